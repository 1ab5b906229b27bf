"""Percentile bootstrap over patients: slices of one patient are alike, so patients are the sampling unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CHUNK = 2_000_000  # patient draws held at once: 32 MB, however many patients there are


class Interval(NamedTuple):
    """A bootstrap interval.

    Attributes:
        lo: lower bound; NaN where the interval is undefined.
        hi: upper bound; NaN where the interval is undefined.
    """

    lo: float
    hi: float


def bootstrap_interval(
    values: ArrayLike,
    patients: ArrayLike,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    per: ArrayLike | None = None,
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
        per: (N,) 0 or more, what a slice counts for: the interval is that of sum(values) / sum(per), such as micro
            F1's; None = 1 each.

    Raises:
        ValueError: lengths differ, `resamples` < 1, or `level` is not between 0 and 1.

    >>> hits, patients = [1, 1, 1, 0, 0, 0], ["a", "a", "b", "b", "c", "c"]
    >>> bootstrap_interval(hits, patients, seed=0)
    Interval(lo=0.0, hi=1.0)
    """
    return _percentiles(_means(values, patients, resamples, seed, per), level)


def bootstrap_statistic(
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    patients: ArrayLike,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of a statistic that isn't a mean of rows, such as an AUROC, by resampling whole patients.

    Args:
        statistic: from (R, N), how often each of R resamples holds each of the N rows, to (R,) values; NaN where a
            resample has none.
        patients: (N,) patient of each row.
        resamples: resamples to draw.
        seed: seed of the draws.
        level: coverage, 0 to 1.

    Returns:
        NaN bounds with fewer than two patients.

    Raises:
        ValueError: `resamples` < 1, or `level` is not between 0 and 1.

    >>> values = [1.0, 0.0, 3.0, 2.0, 8.0, 4.0]
    >>> bootstrap_statistic(lambda counts: counts @ values / counts.sum(axis=1), ["a", "a", "b", "b", "c", "c"])
    Interval(lo=0.5, hi=6.0)
    """
    if resamples < 1:
        raise ValueError(f"resamples={resamples} must be 1 or more")
    names, of_row = np.unique(np.asarray(patients), return_inverse=True)
    if len(names) < 2:
        return _percentiles(np.empty(0), level)
    shares = np.full(len(names), 1 / len(names))
    drawn = np.random.default_rng(seed).multinomial(len(names), shares, size=resamples)  # (R, P)
    step = max(1, _CHUNK // max(1, len(of_row)))
    parts = [statistic(part[:, of_row].astype(np.float64)) for part in np.array_split(drawn, -(-resamples // step))]
    return _percentiles(np.concatenate(parts), level)


def _percentiles(values: NDArray[np.float64], level: float) -> Interval:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level={level} must lie between 0 and 1")
    kept = values[~np.isnan(values)]
    if not len(kept):
        return Interval(float("nan"), float("nan"))
    tail = 100 * (1 - level) / 2
    lo, hi = np.percentile(kept, [tail, 100 - tail])
    return Interval(float(lo), float(hi))


def _means(
    values: ArrayLike, patients: ArrayLike, resamples: int, seed: int, per: ArrayLike | None
) -> NDArray[np.float64]:
    """(resamples,) ratio of sums of resampled patients, NaN where nothing counts; (0,) with less than two patients."""
    v = np.asarray(values, dtype=np.float64)
    ids: NDArray[Any] = np.asarray(patients)
    each = np.ones(v.shape) if per is None else np.asarray(per, dtype=np.float64)
    if v.ndim != 1 or v.shape != ids.shape or v.shape != each.shape:
        raise ValueError(f"values {v.shape}, patients {ids.shape} and per {each.shape} must be (slices,)")
    if resamples < 1:
        raise ValueError(f"resamples={resamples} must be 1 or more")
    names, of_slice = np.unique(ids, return_inverse=True)
    counted = ~np.isnan(v)
    if len(names) < 2 or not counted.any():
        return np.empty(0)
    # (P,) sum of values, and of what they count for, of each patient
    total = np.bincount(of_slice[counted], weights=v[counted], minlength=len(names)).astype(np.float64)
    count = np.bincount(of_slice[counted], weights=each[counted], minlength=len(names)).astype(np.float64)
    return _resampled_means(total, count, resamples, np.random.default_rng(seed))


def _resampled_means(
    total: NDArray[np.float64], count: NDArray[np.float64], resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(P,), (P,) -> (resamples,) ratio of sums; NaN where nothing counted."""
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
