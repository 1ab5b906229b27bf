"""Gains of columns over others on the same slices, with their intervals and p-values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.metrics.comparisons import holm
from anatomy_clip.metrics.crossed import FEW_SEEDS
from anatomy_clip.results.layout import Layout, RowSpec
from anatomy_clip.results.slices import percent_of

FEW = 10  # patients; of fewer nobody can tell whether their mean is about normal, which a p-value takes for granted
SIGNIFICANT = 0.05  # below it, a p-value corrected over all gains of a table


class Scored(NamedTuple):
    """One row of one column.

    Attributes:
        keys: the N counted slices.
        patients: (N,) patient of each.
        seeds: the S seeds, one a training.
        hit: (S, N) 0 or 1.
    """

    keys: tuple[tuple[Any, ...], ...]
    patients: NDArray[np.str_]
    seeds: tuple[int, ...]
    hit: NDArray[np.float64]


class Step(NamedTuple):
    """Gain of a column over another on the same slices, percentage points.

    Attributes:
        row, column, over: what was compared.
        value: mean over the seeds that both have; where one has one training, it stands against each of the other's.
        lo, hi: 95 % interval over those seeds and patients.
        p: two-sided p-value; NaN with fewer than `FEW_SEEDS` trainings of either column, or `FEW` patients.
        adjusted: Holm's correction of it over all of the table's gains.
        seeds: pairs of trainings.
    """

    row: str
    column: str
    over: str
    value: float
    lo: float
    hi: float
    p: float = float("nan")
    adjusted: float = float("nan")
    seeds: int = 1

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is below `SIGNIFICANT`; False where it isn't known."""
        return self.adjusted < SIGNIFICANT


def steps(
    rows: Sequence[RowSpec], layout: Layout, scored: Mapping[tuple[str, str], Scored | None], notes: list[str]
) -> tuple[Step, ...]:
    """Each column against those that it is measured against, and the last against the first.

    Args:
        rows: the rows to compare in.
        layout: the columns.
        scored: (row, column) -> its slices.
        notes: where seeds can't be paired, it is added here.
    """
    names = list(layout.columns)
    pairs = layout.pairs() + ([(names[-1], names[0])] if len(names) > 2 else [])
    found = []
    for spec in rows:
        for column, over in dict.fromkeys(pairs):
            a, b = scored[spec.row, column], scored[spec.row, over]
            if a is not None and b is not None and a.keys == b.keys and a.keys:
                found += _step((spec.row, column, over), a, b, notes)
    adjusted = holm([step.p for step in found])
    return tuple(step._replace(adjusted=float(p)) for step, p in zip(found, adjusted, strict=True))


def above(layout: Layout, found: Iterable[Step]) -> set[tuple[str, str]]:
    """(Row, column) of what is significantly above each column that it is measured against."""
    better = {(step.row, step.column, step.over) for step in found if step.significant and step.value > 0}
    others: dict[str, list[str]] = {}
    for column, over in layout.pairs():
        others.setdefault(column, []).append(over)
    rows = {row for row, _, _ in better}
    return {(row, c) for row in rows for c, overs in others.items() if all((row, c, o) in better for o in overs)}


def pair_seeds(a: Sequence[int], b: Sequence[int]) -> tuple[list[int], list[int]]:
    """Places of the trainings of two columns that stand against each other: those of the same seed.

    Where one column has one training, it stands against each of the other's. Empty where no seed is shared.
    """
    if min(len(a), len(b)) == 1:
        return ([0] * len(b), list(range(len(b)))) if len(a) == 1 else (list(range(len(a))), [0] * len(a))
    shared = [seed for seed in a if seed in b]
    return [list(a).index(seed) for seed in shared], [list(b).index(seed) for seed in shared]


def _step(what: tuple[str, str, str], a: Scored, b: Scored, notes: list[str]) -> list[Step]:
    one = min(len(a.seeds), len(b.seeds)) == 1
    left, right = pair_seeds(a.seeds, b.seeds)
    if not one and set(a.seeds) != set(b.seeds):
        _, column, over = what
        shared = ", ".join(str(a.seeds[n]) for n in left)
        seeds = (
            f"the seeds that both columns have ({shared})"
            if shared
            else "no seed, because the columns have no seed in common"
        )
        notes.append(f"gains of {column} over {over} are from {seeds}")
        if not shared:
            return []
    gain = percent_of(a.hit[left] - b.hit[right], a.patients, lowest=-100.0)
    known = not one and gain.seeds >= FEW_SEEDS and gain.patients >= FEW
    return [Step(*what, gain.value, gain.lo, gain.hi, gain.p if known else float("nan"), seeds=gain.seeds)]
