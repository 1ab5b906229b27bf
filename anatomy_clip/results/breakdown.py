"""Each label by itself: how often slices that show it are named right, and how well its score tells them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.metrics.classification import auroc, average_precision, hits
from anatomy_clip.results.layout import Layout, RowSpec
from anatomy_clip.results.read import Run, Slices, select

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LabelScores:
    """One column's numbers for every label of a row; means over seeds, NaN where undefined.

    Attributes:
        hit: (K,) hit@1 of the slices that show the label, 0 to 1.
        auroc: (K,) one-vs-rest area under the ROC curve over all slices of the row.
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
        slices: slices in all.
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
        taken = [(run, s) for run in runs if (s := select(run, row.task, row.test_set, row.modalities)) is not None]
        if not taken:
            continue
        first, slices = taken[0]
        same = [(run, s) for run, s in taken if s.keys == slices.keys]
        columns = {
            column: _mean([_scores(s) for run, s in same if run.name == column])
            for column in layout.columns
            if any(run.name == column for run, _ in same)
        }
        support = slices.targets.sum(axis=0).astype(np.int64)
        tables.append(LabelTable(row, first.labels[row.task], support, len(slices.keys), columns))
    return tables


def _scores(slices: Slices) -> LabelScores:
    hit, _ = hits(slices.scores, slices.targets)
    support = slices.targets.sum(axis=0)
    found = (hit[:, None] & slices.targets).sum(axis=0)
    share = np.divide(found, support, out=np.full(len(support), np.nan), where=support > 0)
    return LabelScores(
        share, auroc(slices.scores, slices.targets).value, average_precision(slices.scores, slices.targets)
    )


def _mean(seeds: Sequence[LabelScores]) -> LabelScores:
    return LabelScores(*(np.mean([getattr(s, n) for s in seeds], axis=0) for n in ("hit", "auroc", "precision")))
