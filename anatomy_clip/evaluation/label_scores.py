"""How well scores tell labels apart in an evaluator's rows: mean AUROC over labels, unknown ones left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.evaluation.base import patients_of
from anatomy_clip.evaluation.cells import Cell, Floats
from anatomy_clip.metrics.classification import auroc, resampled_auroc

if TYPE_CHECKING:
    import pandas as pd


def of_labels(
    rows: pd.DataFrame, places: Sequence[int], columns: Sequence[str] = ("targets", "scores")
) -> pd.DataFrame:
    """The same rows with some labels alone in the columns that have a value a label."""
    alone = rows.copy()
    for key in columns:
        alone[key] = [[values[k] for k in places] for values in rows[key]]
    return alone


def of_studies(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a study: the mean of its slices' scores, and what any of them shows; its row is that of its first slice."""

    def mean(each: pd.Series[Any]) -> list[float]:
        return [float(value) for value in np.mean(each.to_list(), axis=0)]

    def most(each: pd.Series[Any]) -> list[int]:
        return [int(value) for value in np.max(each.to_list(), axis=0)]

    of_study = rows.groupby(["source", "patient", "study"], sort=False, as_index=False)
    return of_study.agg({"row": "min", "scores": mean, "targets": most})


def known_slices(rows: pd.DataFrame) -> int:
    """Slices with a known label."""
    return int(_known(rows).sum())


def _known(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """(N,) the rows of which a label is known."""
    return np.array([max(labels) >= 0 for labels in rows["targets"]], dtype=np.bool_)


def mean_statistic(draws: Sequence[pd.DataFrame]) -> Cell:
    """The mean AUROC over labels, mean over draws, of the slices of which a label is known.

    A label that a share of the patients doesn't show has no classifier, and counts as chance: else small shares would
    be measured on fewer, commoner labels.

    Args:
        draws: rows of one test set and share, a table a draw.
    """
    draws = [one.sort_values("row") for one in draws]
    arrays = [(np.nan_to_num(one["scores"].to_list()), np.array(one["targets"].to_list())) for one in draws]
    known = _known(draws[0])
    arrays = [(scores[known], targets[known]) for scores, targets in arrays]

    def statistic(counts: Floats) -> Floats:
        each = [_mean_resampled(*pair, counts) for pair in arrays]
        return np.asarray(np.mean(each, axis=0))

    return Cell(statistic, patients_of(draws[0])[known])


def mean_auroc(scores: Floats, targets: NDArray[np.int8]) -> float:
    """Mean over the labels that have a score, a positive and a negative; NaN where none has.

    Args:
        scores: (N, K), NaN for labels without a score.
        targets: (N, K) 1 shown, 0 not, -1 unknown.
    """
    areas = [_auroc(scores[:, k], targets[:, k]) for k in range(scores.shape[1])]
    known = [area for area in areas if not np.isnan(area)]
    return float(np.mean(known)) if known else float("nan")


def _auroc(scores: Floats, targets: NDArray[np.int8]) -> float:
    known = targets >= 0
    if np.isnan(scores).any():
        return float("nan")
    return float(auroc(scores[known, None], targets[known, None] == 1).value[0])


def _mean_resampled(scores: Floats, targets: NDArray[np.int8], counts: Floats) -> Floats:
    """(R,) `mean_auroc` in resamples."""
    areas = np.full((len(counts), scores.shape[1]), np.nan)
    for k in np.flatnonzero(~np.isnan(scores).any(axis=0)):
        known = targets[:, k] >= 0
        areas[:, k] = resampled_auroc(scores[known, k : k + 1], targets[known, k : k + 1] == 1, counts[:, known])[:, 0]
    return nan_mean(areas)


def nan_mean(values: Floats) -> Floats:
    """Mean over the last axis of what isn't NaN; NaN where all are, without a warning."""
    found = ~np.isnan(values)
    means = np.full(values.shape[:-1], np.nan)
    np.divide(values.sum(axis=-1, where=found), found.sum(axis=-1), out=means, where=found.any(axis=-1))
    return means
