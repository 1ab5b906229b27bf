"""Hit@1 taken apart: by label, by the number of right answers, by what is known of a slice; and labels mixed up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.terms import Modality
from anatomy_clip.metrics.classification import auroc, average_precision, hits, macro_hit_at_1
from anatomy_clip.results.layout import Layout, RowSpec
from anatomy_clip.results.read import Run
from anatomy_clip.results.slices import Slices, by_run, select

if TYPE_CHECKING:
    import pandas as pd

GROUPS = ("modality", "protocol", "orientation")  # columns of the predictions
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LabelScores:
    """One column's numbers for every label of a row; means over seeds, NaN where undefined.

    Attributes:
        hit: (K,) hit@1 of the slices that show the label, 0 to 1.
        auroc: (K,) one-vs-rest area under the ROC curve over all slices of the row of which the label is known.
        precision: (K,) average precision over the same slices.
    """

    hit: Floats
    auroc: Floats
    precision: Floats


@dataclass(frozen=True)
class LabelTable:
    """A row of the results table, label by label.

    Attributes:
        row: which slices.
        labels: the K labels.
        support: (K,) slices that show the label.
        slices: slices in all whose labels are known.
        columns: column -> its numbers.
    """

    row: RowSpec
    labels: tuple[str, ...]
    support: NDArray[np.int64]
    slices: int
    columns: Mapping[str, LabelScores]


def per_label(runs: Sequence[Run], layout: Layout) -> list[LabelTable]:
    """Compute the table of every row that some run has slices of."""
    tables = []
    for row in layout.rows + layout.further:
        scored: dict[str, list[LabelScores]] = {}
        taken = by_run(runs, row)
        for run, slices in taken:
            scored.setdefault(run.name, []).append(_scores(slices))
        if taken:
            first = taken[0][1]
            columns = {column: _mean(scored[column]) for column in layout.columns if column in scored}
            support = first.targets.sum(axis=0).astype(np.int64)
            tables.append(LabelTable(row, first.labels, support, len(first.keys), columns))
    return tables


def _scores(slices: Slices) -> LabelScores:
    hit, _ = hits(slices.ranked, slices.targets)
    support = slices.targets.sum(axis=0)
    found = (hit[:, None] & slices.targets).sum(axis=0)
    share = np.divide(found, support, out=np.full(len(support), np.nan), where=support > 0)
    pairs = (slices.scores, slices.targets, ~slices.unsure)
    return LabelScores(share, auroc(*pairs).value, average_precision(*pairs))


def _mean(seeds: Sequence[LabelScores]) -> LabelScores:
    return LabelScores(*(np.mean([getattr(s, n) for s in seeds], axis=0) for n in ("hit", "auroc", "precision")))


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
    return [
        _by_size(row.row, column, [slices for _, slices in taken])
        for row in layout.rows + layout.further
        for column in layout.columns
        if (taken := by_run([run for run in runs if run.name == column], row))
    ]


def _by_size(row: str, column: str, seeds: Sequence[Slices]) -> BySize:
    size = np.minimum(seeds[0].targets.sum(axis=1), len(SIZES))  # (N,) 0 where nothing counts
    groups = [size == n for n in range(1, len(SIZES) + 1)]
    shares = []
    for slices in seeds:
        hit, _ = hits(slices.ranked, slices.targets)
        by = [float(hit[group].mean()) if group.any() else np.nan for group in groups]
        shares.append([macro_hit_at_1(slices.ranked, slices.targets), *by])
    macro, one, two, three, more = (float(x) for x in 100 * np.mean(shares, axis=0))
    return BySize(row, column, macro, one, two, three, more, *(int(group.sum()) for group in groups))


@dataclass(frozen=True)
class Confusion:
    """Slices by what they show and what they were named.

    Attributes:
        labels: the K labels.
        counts: (K, K) int; row = label that a slice shows, column = its top-1 label. A slice that was named right
            counts once, on the diagonal; one that was named wrong counts in the row of every label that it shows.
    """

    labels: tuple[str, ...]
    counts: NDArray[np.int64]


def confusion(run: Run, row: RowSpec) -> Confusion | None:
    """Count the confusions of one row's slices; None where the run has none of them."""
    slices = select(run, row.task, row.test_set, row.modalities)
    if slices is None:
        return None
    counts = np.zeros((len(slices.labels),) * 2, dtype=np.int64)
    hit, counted = hits(slices.ranked, slices.targets)
    named = slices.ranked.argmax(axis=1)
    for n in np.flatnonzero(counted):
        shown = [named[n]] if hit[n] else np.flatnonzero(slices.targets[n])
        counts[shown, named[n]] += 1
    return Confusion(slices.labels, counts)


def by_group(run: Run, task: str, test_set: str) -> dict[str, dict[str, tuple[float, int]]]:
    """Hit@1 by modality, by protocol and by orientation.

    Returns:
        Column of the predictions -> its value -> (hit@1, slices counted); empty where the run lacks the set.
    """
    frame = run.tables["zero_shot"][run.tables["zero_shot"]["set"] == test_set]
    if frame.empty:
        return {}
    hit = slice_hits(run, task, test_set)
    return {group: _shares(frame[group], hit) for group in GROUPS}


def slice_hits(run: Run, task: str, test_set: str) -> NDArray[np.float64]:
    """(N,) 1 where the top-1 label is right, 0 where it is wrong, NaN where no label of the task is shown or known."""
    slices = select(run, task, test_set, tuple(Modality), unknown=True)
    if slices is None:
        return np.empty(0)
    hit, counted = hits(slices.ranked, slices.targets)
    return np.where(counted, hit.astype(np.float64), np.nan)


def _shares(values: pd.Series[str], hit: NDArray[np.float64]) -> dict[str, tuple[float, int]]:
    found = {}
    for value in sorted(set(values)):
        part = hit[(values == value).to_numpy()]
        part = part[~np.isnan(part)]
        if len(part):
            found[value or "none"] = (float(part.mean()), len(part))
    return found
