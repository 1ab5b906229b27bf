"""Percentile bootstrap over patients: slices of one patient are alike, so patients are the sampling unit."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CHUNK = 2_000_000  # patient draws held at once: 32 MB, however many patients there are


class Interval(NamedTuple):
    """A bootstrap interval.

    Attributes:
        lo: lower bound; NaN where the interval is undefined.
        hi: upper bound; NaN where the interval is undefined.
        resamples: resamples drawn.
        dropped: resamples left out, as no slice counted in them.
    """

    lo: float
    hi: float
    resamples: int
    dropped: int


def bootstrap_interval(
    values: ArrayLike,
    patients: ArrayLike,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of the mean over slices, by resampling whole patients with replacement.

    Each resample's mean is the ratio of the patients' sums to the patients' counts (Davison and Hinkley,
    "Bootstrap Methods and their Application", section 3.8). Give the difference of two systems on the same
    slices for a paired interval, and the mean over seeds of each slice's hit for several seeds.

    With fewer than two patients the spread between patients is unknown: both bounds are NaN.

    Args:
        values: (N,) float, one value a slice, such as its hit (0 or 1); NaN = the slice doesn't count.
        patients: (N,) patient of each slice; any type that sorts.
        resamples: resamples to draw.
        seed: seed of the draws. The interval doesn't depend on the order of the rows.
        level: coverage, 0 to 1.

    Raises:
        ValueError: lengths differ, `resamples` < 1, or `level` is not between 0 and 1.
    """
    v = np.asarray(values, dtype=np.float64)
    ids: NDArray[Any] = np.asarray(patients)
    if v.ndim != 1 or v.shape != ids.shape:
        raise ValueError(f"values {v.shape} and patients {ids.shape} must both be (slices,)")
    if resamples < 1 or not 0.0 < level < 1.0:
        raise ValueError(f"resamples={resamples} must be 1 or more and level={level} between 0 and 1")
    names, of_slice = np.unique(ids, return_inverse=True)
    counted = ~np.isnan(v)
    if len(names) < 2 or not counted.any():
        return Interval(float("nan"), float("nan"), resamples, 0)
    # (P,) sum of values and number of counted slices of each patient
    total = np.bincount(of_slice[counted], weights=v[counted], minlength=len(names)).astype(np.float64)
    count = np.bincount(of_slice[counted], minlength=len(names)).astype(np.float64)
    means = _resampled_means(total, count, resamples, np.random.default_rng(seed))
    kept = means[~np.isnan(means)]
    if not len(kept):
        return Interval(float("nan"), float("nan"), resamples, resamples)
    tail = 100 * (1 - level) / 2
    lo, hi = np.percentile(kept, [tail, 100 - tail])
    return Interval(float(lo), float(hi), resamples, resamples - len(kept))


def _resampled_means(
    total: NDArray[np.float64], count: NDArray[np.float64], resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(P,), (P,) -> (resamples,) ratio of sums; NaN where no slice counted."""
    size = len(total)
    means = np.full(resamples, np.nan)
    step = max(1, _CHUNK // size)
    for start in range(0, resamples, step):
        # (chunk, P) patients drawn with replacement
        drawn = rng.integers(size, size=(min(step, resamples - start), size), dtype=np.int64)
        n = count[drawn].sum(axis=1)
        stop = start + len(drawn)
        np.divide(total[drawn].sum(axis=1), n, out=means[start:stop], where=n > 0)
    return means
