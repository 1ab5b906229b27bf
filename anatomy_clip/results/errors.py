"""What a run gets wrong: labels taken for others, and accuracy by what is known of a slice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.terms import Modality
from anatomy_clip.metrics.classification import hits
from anatomy_clip.results.layout import RowSpec
from anatomy_clip.results.read import Run, select

if TYPE_CHECKING:
    import pandas as pd

GROUPS = ("modality", "protocol", "orientation")  # columns of the predictions


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
    labels = run.labels[row.task]
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    hit, counted = hits(slices.scores, slices.targets)
    named = slices.scores.argmax(axis=1)
    for n in np.flatnonzero(counted):
        shown = [named[n]] if hit[n] else np.flatnonzero(slices.targets[n])
        counts[shown, named[n]] += 1
    return Confusion(labels, counts)


def by_group(run: Run, task: str, test_set: str) -> dict[str, dict[str, tuple[float, int]]]:
    """Hit@1 by modality, by protocol and by orientation.

    Returns:
        Column of the predictions -> its value -> (hit@1, slices counted); empty where the run lacks the set.
    """
    frame = run.predictions[run.predictions["set"] == test_set]
    if frame.empty:
        return {}
    hit = slice_hits(run, task, test_set)
    return {group: _shares(frame[group], hit) for group in GROUPS}


def slice_hits(run: Run, task: str, test_set: str) -> NDArray[np.float64]:
    """(N,) 1 where the top-1 label is right, 0 where it is wrong, NaN where a slice has no label of the task."""
    slices = select(run, task, test_set, tuple(Modality))
    if slices is None:
        return np.empty(0)
    hit, counted = hits(slices.scores, slices.targets)
    return np.where(counted, hit.astype(np.float64), np.nan)


def _shares(values: pd.Series[str], hit: NDArray[np.float64]) -> dict[str, tuple[float, int]]:
    found = {}
    for value in sorted(set(values)):
        part = hit[(values == value).to_numpy()]
        part = part[~np.isnan(part)]
        if len(part):
            found[value or "none"] = (float(part.mean()), len(part))
    return found
