"""Cells of a table as statistics of an evaluator's rows, so that a run and the results of many compute the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.evaluation.base import Score
from anatomy_clip.metrics.bootstrap import bootstrap_statistic
from anatomy_clip.metrics.retrieval import weighted_median

Floats = NDArray[np.float64]


class Cell(NamedTuple):
    """What one cell is of.

    Attributes:
        statistic: from (R, N), how often each of R samples holds each of the N units, to (R,) values, NaN
            where a sample has none.
        patients: (N,) the patient of each unit.
        smooth: whether leaving out one patient in turn tells how far it would vary; a median's variance isn't told so
            (Efron 1982, "The Jackknife, the Bootstrap and Other Resampling Plans", section 3.4).
        bounds: of the values.
    """

    statistic: Callable[[Floats], Floats]
    patients: NDArray[np.str_]
    smooth: bool = True
    bounds: tuple[float, float] = (0.0, 1.0)

    @property
    def value(self) -> float:
        """The statistic of the units as they are."""
        return float(self.statistic(np.ones((1, len(self.patients))))[0])


def mean_of(values: Floats, patients: NDArray[np.str_]) -> Cell:
    """The mean of N units' values; a unit of value NaN doesn't count."""
    counted = ~np.isnan(values)
    return _weighted(values[counted], np.ones(int(counted.sum())), patients[counted])


def mean_over_patients(values: Floats, patients: NDArray[np.str_]) -> Cell:
    """The mean over patients of the mean over each one's units, of N; a unit of value NaN doesn't count."""
    counted = ~np.isnan(values)
    _, place, units = np.unique(patients[counted], return_inverse=True, return_counts=True)
    return _weighted(values[counted], 1.0 / units[place], patients[counted])


def _weighted(values: Floats, weights: Floats, patients: NDArray[np.str_]) -> Cell:
    def mean(counts: Floats) -> Floats:
        total = counts @ weights  # (R,)
        found = np.divide(counts @ (weights * values), total, out=np.full(len(counts), np.nan), where=total > 0)
        return np.asarray(found)

    return Cell(mean, patients)


def median_of(values: Floats, patients: NDArray[np.str_]) -> Cell:
    """The median of N units' values; a unit of value NaN doesn't count."""
    counted = ~np.isnan(values)
    held = values[counted]
    return Cell(lambda counts: weighted_median(held, counts), patients[counted], smooth=False)


def scores_of(cells: Mapping[str, Cell], resamples: int) -> list[Score]:
    """The cells of one run, with intervals over patients."""
    found = []
    for name, cell in cells.items():
        lo, hi = bootstrap_statistic(cell.statistic, cell.patients, resamples)
        found.append(Score(name, cell.value, len(cell.patients), lo, hi))
    return found
