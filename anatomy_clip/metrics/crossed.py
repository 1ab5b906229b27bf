"""Means over training seeds crossed with patients: the interval includes the chance of seeds and of patients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
FEW_SEEDS = 3  # with fewer, the variance between trainings has one degree of freedom at most: no p-value
_ROUNDING = 1e-9  # of the largest value: a smaller standard error is what floats leave of none


class Crossed(NamedTuple):
    """A mean over seeds and patients.

    Attributes:
        value: the mean.
        lo, hi: ends of the t interval; NaN with fewer than two patients.
        error: standard error; NaN with fewer than two patients.
        df: its degrees of freedom; NaN where it is undefined or 0.
        p: two-sided p-value of a mean of 0; NaN with fewer than `FEW_SEEDS` seeds, or where nothing varies.
        seeds, patients: how many. One seed: interval and error hold the chance of patients alone.
    """

    value: float
    lo: float
    hi: float
    error: float
    df: float
    p: float
    seeds: int
    patients: int


class Moments(NamedTuple):
    """Mean, its standard error and the degrees of freedom, of one table or of many; (...) each."""

    value: Floats
    error: Floats
    df: Floats


def crossed_mean(values: ArrayLike, level: float = 0.95, bounds: tuple[float, float] = (-np.inf, np.inf)) -> Crossed:
    """Estimate a mean over seeds and patients, with its t interval.

    Give differences of two systems, seed by seed and patient by patient, for a paired comparison.

    Args:
        values: (S, P), as `ratio_values` or `pseudo_values` make them; a row a seed, a column a patient.
        level: coverage, 0 to 1.
        bounds: ends of the scale, at which the interval is cut.

    Raises:
        ValueError: `values` isn't (S, P) with one seed and patient at least, or `level` isn't between 0 and 1.

    >>> found = crossed_mean([[0.7, 0.8, 0.9], [0.6, 0.8, 0.9], [0.8, 0.7, 1.0]], bounds=(0.0, 1.0))
    >>> round(found.value, 3), round(found.lo, 3), round(found.hi, 3), round(found.p, 3)
    (0.8, 0.513, 1.0, 0.007)
    """
    from scipy.special import stdtrit

    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError(f"values {table.shape} must be (seeds, patients), one of each at least")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level={level} must lie between 0 and 1")
    seeds, patients = table.shape
    value, error, df = (float(x) for x in moments(table))
    half = float(stdtrit(df, (1 + level) / 2)) * error if error else 0.0  # NaN stays NaN
    lo, hi = (float(np.clip(end, *bounds)) for end in (value - half, value + half))
    p = float(p_values(value, error, df)) if seeds >= FEW_SEEDS else float("nan")
    return Crossed(value, lo, hi, error, df, p, seeds, patients)


def moments(values: ArrayLike) -> Moments:
    """Mean, standard error and degrees of freedom from a two-way analysis of variance without replication.

    With the mean squares of seeds A, patients B and both C (the residual), Var(mean) = (A + max(B - C, 0)) / (S P)
    (Dorfman, Berbaum and Metz, Investigative Radiology 1992; Hillis, Statistics in Medicine 2007, 26:596, with seeds as
    its readers). The degrees of freedom are Satterthwaite's over all mean squares that enter: Hillis counts A's alone,
    which covers too little with few patients. A difference of mean squares can have fewer than any of its parts;
    they are never taken below the fewest of theirs. One seed: Var(mean) = B / P, with P - 1 degrees of freedom.

    Args:
        values: (..., S, P); tables along the first axes.

    Returns:
        Error and degrees NaN with fewer than two patients; an error of 0 has degrees NaN.

    >>> [round(float(x), 3) for x in moments([[0.7, 0.8, 0.9], [0.6, 0.8, 0.9]])]
    [0.783, 0.073, 1.984]
    """
    table = np.asarray(values, dtype=np.float64)
    seeds, patients = table.shape[-2:]
    mean = table.mean(axis=(-2, -1))
    if patients < 2:
        return Moments(mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan))
    by_seed, by_patient = table.mean(axis=-1) - mean[..., None], table.mean(axis=-2) - mean[..., None]
    b = seeds * (by_patient**2).sum(axis=-1) / (patients - 1)
    if seeds == 1:
        variance, inverse, fewest = b, b**2 / (patients - 1), patients - 1
    else:
        rest = table - mean[..., None, None] - by_seed[..., :, None] - by_patient[..., None, :]
        a = patients * (by_seed**2).sum(axis=-1) / (seeds - 1)
        c = (rest**2).sum(axis=(-2, -1)) / ((seeds - 1) * (patients - 1))
        variance, fewest = a + np.maximum(b - c, 0.0), min(seeds, patients) - 1
        of_patients = b**2 / (patients - 1) + c**2 / ((seeds - 1) * (patients - 1))
        inverse = a**2 / (seeds - 1) + np.where(b > c, of_patients, 0.0)
    error = np.sqrt(variance / (seeds * patients))
    error = np.where(error <= _ROUNDING * np.abs(table).max(axis=(-2, -1)), 0.0, error)  # NaN stays NaN
    df = np.full_like(mean, np.nan)
    np.divide(variance**2, inverse, out=df, where=error > 0)
    return Moments(mean, error, np.maximum(df, fewest))


def p_values(value: ArrayLike, error: ArrayLike, df: ArrayLike) -> Floats:
    """Two-sided p-values of Student's t test of `value` against 0; NaN where the error is 0 or NaN.

    >>> p_values([0.0, 2.0, 4.0], 1.0, 10).round(4).tolist()
    [1.0, 0.0734, 0.0025]
    """
    from scipy.special import stdtr

    v, e = np.asarray(value, dtype=np.float64), np.asarray(error, dtype=np.float64)
    t = np.divide(v, e, out=np.full(np.broadcast(v, e).shape, np.nan), where=e > 0)
    return np.asarray(2 * stdtr(df, -np.abs(t)))


def ratio_values(values: ArrayLike, patients: ArrayLike, per: ArrayLike | None = None) -> Floats:
    """Values by seed and patient whose mean over patients is each seed's ratio of sums, such as hit@1.

    A patient with the sum T and the count n gives D + (T - D n) P / N, where D is the seed's ratio and N its count of
    all P patients: the ratio's linearisation (Cochran, "Sampling Techniques", section 6.4), whose mean is exactly D.

    Args:
        values: (S, N) or (N,) float, one value a slice, such as its hit (0 or 1); NaN = the slice doesn't count.
        patients: (N,) patient of each slice; any type that sorts.
        per: as `values`, 0 or more, what a slice counts for: the ratio is sum(values) / sum(per), such as micro F1;
            None = 1 each.

    Returns:
        (S, P), patients in sorted order, without those of whom no slice counts; NaN for a seed of which none does.

    Raises:
        ValueError: shapes differ.

    >>> ratio_values([1, 1, 0, 1], ["a", "a", "b", "b"]).tolist()
    [[1.0, 0.5]]
    """
    v = np.atleast_2d(np.asarray(values, dtype=np.float64))
    ids: NDArray[Any] = np.asarray(patients)
    each = np.ones(v.shape) if per is None else np.atleast_2d(np.asarray(per, dtype=np.float64))
    if v.ndim != 2 or ids.shape != v.shape[1:] or each.shape != v.shape:
        raise ValueError(
            f"values {v.shape}, patients {ids.shape} and per {each.shape} must be (seeds, slices), (slices,)"
        )
    names, of_slice = np.unique(ids, return_inverse=True)
    counted = ~np.isnan(v)
    total, count = (  # (S, P)
        np.array([np.bincount(of_slice, row, len(names)) for row in np.where(counted, x, 0.0)], dtype=np.float64)
        for x in (v, each)
    )
    counts = count.any(axis=0)
    total, count = total[:, counts], count[:, counts]
    whole = count.sum(axis=1, keepdims=True)
    share = np.divide(total.sum(axis=1, keepdims=True), whole, out=np.full_like(whole, np.nan), where=whole > 0)
    return np.asarray(share + (total - share * count) * total.shape[1] / np.where(whole > 0, whole, np.nan))


def pseudo_values(statistic: Callable[[Floats], Floats], patients: ArrayLike) -> Floats:
    """Values by patient of what is no ratio of sums, such as an AUROC; their mean is the statistic of all rows.

    The jackknife's P theta - (P - 1) theta(without the patient), moved by a constant so that their mean is theta
    ("normalised" pseudo-values: Hillis, Obuchowski, Schartz and Berbaum, Statistics in Medicine 2005, 24:1579).

    Args:
        statistic: from (R, N), how often each of R samples holds each of the N rows, to (R,) values.
        patients: (N,) patient of each row.

    Returns:
        (P,), patients in sorted order; the value itself where there is one patient.

    >>> values = [1.0, 0.0, 0.5]
    >>> pseudo_values(lambda counts: counts @ values / counts.sum(axis=1), ["a", "b", "c"]).round(6).tolist()
    [1.0, 0.0, 0.5]
    """
    names, of_row = np.unique(np.asarray(patients), return_inverse=True)
    whole = float(statistic(np.ones((1, len(of_row))))[0])
    if len(names) < 2:
        return np.full(len(names), whole)
    without = statistic((of_row != np.arange(len(names))[:, None]).astype(np.float64))
    return np.asarray(whole - (len(names) - 1) * (without - without.mean()))
