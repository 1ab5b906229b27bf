"""Columns of a suite may differ only in what they declare: another difference could be mistaken for its effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from anatomy_clip.core.trees import differences
from anatomy_clip.results.layout import Layout
from anatomy_clip.results.read import Run
from anatomy_clip.runs.settings import deciding


def confounds(runs: Sequence[Run], layout: Layout) -> list[str]:
    """Compare every run with those that its column is measured against, and with the column's first seed.

    Args:
        runs: the suite's runs.
        layout: says in which keys each column may differ from which other (`differs`).

    Returns:
        One sentence for each pair of runs that differ in more; empty where all is declared, and where the layout
        declares nothing.
    """
    if not layout.differs:
        return []
    found = []
    for run in runs:
        for column, declared in [(run.name, ()), *layout.differs.get(run.name, {}).items()]:
            other = _counterpart(run, column, runs)
            if other is not None and (odd := list(undeclared(run.config, other.config, declared))):
                names = [f"{r.name}, seed {r.seed}" for r in (run, other)]
                found.append(f"undeclared difference between {names[0]} and {names[1]}: {'; '.join(odd)}")
    return found


def undeclared(config: Mapping[str, Any], other: Mapping[str, Any], declared: Sequence[str]) -> Iterator[str]:
    """The keys in which two configs differ and which no declared key holds, each with both values."""
    for key, (mine, theirs) in differences(*(deciding(each, "seed") for each in (config, other))).items():
        if not any(key == name or key.startswith(f"{name}.") for name in declared):
            yield f"{key} is {_shown(mine)}, not {_shown(theirs)}"


def _counterpart(run: Run, column: str, runs: Sequence[Run]) -> Run | None:
    """The run of a column to compare with: of the same seed, or else its first; of the own column, its first."""
    of_column = [r for r in runs if r.name == column and r.config]
    if not of_column or not run.config:
        return None
    if column == run.name:
        return of_column[0] if of_column[0] is not run else None
    return next((r for r in of_column if r.seed == run.seed), of_column[0])


def _shown(value: Any) -> str:
    text = "null" if value is None else str(value)
    text = "another file" if "/" in text.replace("${paths.data}/", "") else text  # somebody's folders are private
    return text if len(text) <= 60 else f"{text[:57]}..."
