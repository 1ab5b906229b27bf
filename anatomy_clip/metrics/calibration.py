"""Scores to probabilities, and how well probabilities agree with the observed shares."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomy_clip.metrics.targets import as_targets

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Line(NamedTuple):
    """A logistic line: probability = sigmoid(slope * score + intercept)."""

    slope: float
    intercept: float


class Reliability(NamedTuple):
    """What probabilities promise, and what happens, in bins of equally many.

    Attributes:
        promised: (B,) mean probability in each bin, ascending.
        happened: (B,) share of the bin that is positive.
        size: (B,) int, number in the bin; empty bins are left out.
    """

    promised: Floats
    happened: Floats
    size: NDArray[np.int64]


def sigmoid(values: ArrayLike) -> Floats:
    """Logits to probabilities, without overflow; any shape.

    >>> sigmoid([-1000.0, 0.0, 2.0]).round(3).tolist()
    [0.0, 0.5, 0.881]
    """
    from scipy.special import expit

    return np.asarray(expit(np.asarray(values, dtype=np.float64)), dtype=np.float64)


def logit(share: float) -> float:
    """Log odds of a share strictly between 0 and 1.

    >>> round(logit(0.75), 4)
    1.0986
    """
    return float(np.log(share) - np.log1p(-share))


def platt(scores: ArrayLike, targets: ArrayLike, penalty: float = 1.0) -> Line:
    """Fit a logistic line to one label's scores (Platt, "Probabilistic Outputs for Support Vector Machines", 1999).

    Minimises the sum of cross entropies plus `penalty` / 2 times the square of the slope for scores of standard
    deviation 1, in place of Platt's smoothed targets: it keeps the slope finite where the score separates the label
    perfectly. The slope is never negative: a higher score doesn't speak against its label.

    Args:
        scores: (N,) float.
        targets: (N,) bool.
        penalty: weight of the penalty; above 0.

    Raises:
        ValueError: lengths differ, a score isn't finite, or all targets are equal.

    >>> line = platt([0.1, 0.2, 0.3, 0.4], [False, False, True, True])
    >>> sigmoid(line.slope * np.array([0.1, 0.4]) + line.intercept).round(2).tolist()
    [0.22, 0.78]
    """
    from scipy.optimize import minimize

    s, t = _checked(scores, targets, "scores")
    if t.all() or not t.any():
        raise ValueError("targets are all equal: a logistic line needs slices with and without the label")
    centre, spread = float(s.mean()), float(s.std())
    if spread == 0.0:
        return Line(0.0, logit(float(t.mean())))
    z = (s - centre) / spread

    def loss(x: Floats) -> tuple[float, Floats]:
        logits = x[0] * z + x[1]
        error = sigmoid(logits) - t
        value = np.logaddexp(0.0, logits).sum() - logits[t].sum() + penalty * x[0] ** 2 / 2
        return float(value), np.array([error @ z + penalty * x[0], error.sum()])

    start = np.array([0.0, logit(float(t.mean()))])
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)], options={"ftol": 1e-13}
    )
    slope = float(found.x[0]) / spread
    return Line(slope, float(found.x[1]) - slope * centre)


def reliability(probabilities: ArrayLike, targets: ArrayLike, bins: int = 15) -> Reliability:
    """Sort probabilities into bins between their quantiles; equal probabilities share a bin.

    Args:
        probabilities: (N,) 0 to 1.
        targets: (N,) bool.
        bins: bins wanted; fewer come back where probabilities are few or equal.

    Raises:
        ValueError: lengths differ, a probability isn't in 0 to 1, or `bins` < 1.

    >>> found = reliability([0.2, 0.2, 0.8, 0.8], [False, False, True, False], bins=2)
    >>> found.promised.tolist(), found.happened.tolist(), found.size.tolist()
    ([0.2, 0.8], [0.0, 0.5], [2, 2])
    """
    p, t = _checked(probabilities, targets, "probabilities")
    if bins < 1 or ((p < 0) | (p > 1)).any():
        raise ValueError(f"bins={bins} must be 1 or more, and probabilities lie between 0 and 1")
    if not len(p):
        return Reliability(np.empty(0), np.empty(0), np.empty(0, np.int64))
    inner = np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1])
    of = np.searchsorted(inner, p, side="left")  # (N,) bin of each
    count = np.bincount(of, minlength=bins)
    held = count > 0
    promised, happened = np.bincount(of, weights=p, minlength=bins), np.bincount(of, weights=t, minlength=bins)
    return Reliability(promised[held] / count[held], happened[held] / count[held], count[held].astype(np.int64))


def calibration_error(probabilities: ArrayLike, targets: ArrayLike, bins: int = 15) -> float:
    """Expected calibration error: the mean over bins, by their size, of |share positive - mean probability|.

    ECE as Guo et al. ("On Calibration of Modern Neural Networks", 2017, eq. 3) define it, in bins of equal mass as
    Nixon et al. ("Measuring Calibration in Deep Learning", 2019) recommend: bins of equal width are mostly empty
    where most probabilities are near 0.

    Args:
        probabilities: (N,) 0 to 1.
        targets: (N,) bool.
        bins: bins of equally many.

    Returns:
        0 to 1; NaN where there is nothing to measure.

    Raises:
        ValueError: as `reliability`.

    >>> round(calibration_error([0.2, 0.2, 0.8, 0.8], [False, False, True, False], bins=2), 4)
    0.25
    """
    found = reliability(probabilities, targets, bins)
    if not len(found.size):
        return float("nan")
    return float(np.average(np.abs(found.happened - found.promised), weights=found.size))


def brier(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Brier score: mean square of probability minus outcome, 0 to 1; NaN where there is nothing to measure.

    Args:
        probabilities: (N,) 0 to 1.
        targets: (N,) bool.

    Raises:
        ValueError: lengths differ, or a probability isn't finite.

    >>> brier([0.5, 1.0], [True, True])
    0.125
    """
    p, t = _checked(probabilities, targets, "probabilities")
    return float(((p - t) ** 2).mean()) if len(p) else float("nan")


def cross_entropy(probabilities: ArrayLike, targets: ArrayLike) -> float:
    """Mean negative log likelihood of outcomes, nats; NaN where there is nothing to measure.

    Args:
        probabilities: 0 to 1, any shape; nearer to 0 or 1 than 1e-15 counts as that.
        targets: bool, the same shape.

    >>> round(cross_entropy([0.5, 1.0], [True, True]), 4)
    0.3466
    """
    p = np.clip(np.asarray(probabilities, dtype=np.float64), 1e-15, 1 - 1e-15)
    t = as_targets(targets)
    return float(-np.log(np.where(t, p, 1 - p)).mean()) if p.size else float("nan")


def _checked(values: ArrayLike, targets: ArrayLike, name: str) -> tuple[Floats, Bools]:
    v, t = np.asarray(values, dtype=np.float64), as_targets(targets)
    if v.ndim != 1 or v.shape != t.shape:
        raise ValueError(f"{name} {v.shape} and targets {t.shape} must both be (slices,)")
    if not np.isfinite(v).all():
        raise ValueError(f"{name}: {int((~np.isfinite(v)).sum())} of {len(v)} aren't finite; did the model diverge?")
    return v, t
