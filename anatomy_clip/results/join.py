"""Rows of further suites beside a suite's own: what was trained on from its runs is shown in the same columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from anatomy_clip.results.read import Run, read_suite


def joined(
    runs: Sequence[Run], outputs: Path, suites: Mapping[str, Sequence[str]], columns: Sequence[str]
) -> tuple[tuple[Run, ...], tuple[str, ...]]:
    """Give runs the rows that runs of the same name and seed have in further suites.

    Args:
        runs: the suite's runs.
        outputs: folder of all suites.
        suites: evaluator -> patterns of the further suites' names; its rows alone are taken from them.
        columns: experiments to read.

    Returns:
        The runs, with one table an evaluator, and a note for each run that has no counterpart or was left out.
    """
    notes: list[str] = []
    for evaluator, patterns in suites.items():
        names = sorted({path.name for pattern in patterns for path in outputs.glob(pattern) if path.is_dir()})
        if not names:
            notes.append(f"{evaluator}: no suite {' or '.join(patterns)} was run")
        for name in names:
            runs = _with_rows(runs, evaluator, name, outputs, columns, notes)
    return tuple(runs), tuple(notes)


def _with_rows(
    runs: Sequence[Run], evaluator: str, suite: str, outputs: Path, columns: Sequence[str], notes: list[str]
) -> list[Run]:
    import pandas as pd

    try:
        found, odd = read_suite(outputs, suite, columns)
    except ValueError as error:
        notes.append(str(error))
        return list(runs)
    notes += [f"suite {suite}: {note}" for note in odd]
    further = {(run.name, run.seed): run for run in found if evaluator in run.tables}
    alone = sorted(further.keys() - {(run.name, run.seed) for run in runs})
    notes += [
        f"suite {suite}: {name}, seed {seed} is left out, because this suite has no such run" for name, seed in alone
    ]
    made = []
    for run in runs:
        if other := further.get((run.name, run.seed)):
            tables = [one.tables[evaluator] for one in (run, other) if evaluator in one.tables]
            rows = pd.concat(tables, ignore_index=True).sort_values(["set", "row"], kind="stable", ignore_index=True)
            scores = {**other.scores, **run.scores}
            run = replace(run, tables={**run.tables, evaluator: rows}, scores=scores)
        made.append(run)
    return made
