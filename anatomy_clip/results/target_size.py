"""Hit@1 fairly: by the number of right answers, and with every label weighing the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from anatomy_clip.metrics.classification import hits, macro_hit_at_1
from anatomy_clip.results.layout import Layout, RowSpec
from anatomy_clip.results.read import Run, select

SIZES = ("1", "2", "3", "4+")  # right answers of a slice


class BySize(NamedTuple):
    """One row of the results table for one column; percent, means over seeds.

    Attributes:
        row, column: which.
        macro: hit@1 averaged over labels; NaN where no label is shown.
        one, two, three, more: hit@1 of the slices with so many right answers; NaN where there are none.
        n_one, n_two, n_three, n_more: how many slices those are.
    """

    row: str
    column: str
    macro: float
    one: float
    two: float
    three: float
    more: float
    n_one: int
    n_two: int
    n_three: int
    n_more: int


def by_size(runs: Sequence[Run], layout: Layout) -> list[BySize]:
    """Measure every row of the table that some run has slices of."""
    cells = [(row, column) for row in layout.rows + layout.further for column in layout.columns]
    return [found for row, column in cells if (found := _cell([r for r in runs if r.name == column], row, column))]


def _cell(runs: Sequence[Run], row: RowSpec, column: str) -> BySize | None:
    taken = [s for run in runs if (s := select(run, row.task, row.test_set, row.modalities)) is not None]
    taken = [s for s in taken if s.keys == taken[0].keys]
    if not taken:
        return None
    size = np.minimum(taken[0].targets.sum(axis=1), len(SIZES))  # (N,) 0 where nothing counts
    shares = []
    for slices in taken:
        hit, _ = hits(slices.scores, slices.targets)
        by = [float(hit[size == n].mean()) if (size == n).any() else np.nan for n in range(1, len(SIZES) + 1)]
        shares.append([macro_hit_at_1(slices.scores, slices.targets), *by])
    macro, one, two, three, more = (float(x) for x in 100 * np.mean(shares, axis=0))
    counts = (int((size == n).sum()) for n in range(1, len(SIZES) + 1))
    return BySize(row.row, column, macro, one, two, three, more, *counts)
