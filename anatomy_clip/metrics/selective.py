"""Naming only the surest slices: how many slices are named, and how often they are wrong."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class RiskCoverage(NamedTuple):
    """Risk at every coverage that a level of confidence can give.

    Attributes:
        coverage: (T,) share of slices kept, ascending, the last 1.
        risk: (T,) mean loss of the kept slices.
        level: (T,) lowest confidence kept.
        area: area under the curve (AURC): the mean, over n = 1 to N, of the risk of the n surest slices.
    """

    coverage: Floats
    risk: Floats
    level: Floats
    area: float


def risk_coverage(confidence: ArrayLike, loss: ArrayLike) -> RiskCoverage:
    """Keep the surest slices first (El-Yaniv and Wiener 2010; AURC: Geifman, Uziel and El-Yaniv 2019, eq. 2).

    Slices of equal confidence are kept together: each of them counts with the risk of all of them.

    Args:
        confidence: (N,) float, higher is surer.
        loss: (N,) float, such as 1 where the answer is wrong.

    Raises:
        ValueError: lengths differ, there is no slice, or a number isn't finite.

    >>> found = risk_coverage([0.9, 0.8, 0.6, 0.5], [0, 0, 1, 0])
    >>> found.coverage.tolist(), found.risk.round(3).tolist(), round(found.area, 4)
    ([0.25, 0.5, 0.75, 1.0], [0.0, 0.0, 0.333, 0.25], 0.1458)
    """
    c, x = np.asarray(confidence, dtype=np.float64), np.asarray(loss, dtype=np.float64)
    if c.ndim != 1 or c.shape != x.shape or not len(c):
        raise ValueError(f"confidence {c.shape} and loss {x.shape} must both be (slices,), with one slice at least")
    if not (np.isfinite(c).all() and np.isfinite(x).all()):
        raise ValueError("confidence and loss must be finite; did the model diverge?")
    order = np.argsort(-c, kind="stable")
    c, x = c[order], x[order]
    ends = np.append(np.flatnonzero(np.diff(c)), len(c) - 1)  # last slice of each level
    risk = np.cumsum(x)[ends] / (ends + 1)
    area = float(np.average(risk, weights=np.diff(ends, prepend=-1)))
    return RiskCoverage((ends + 1) / len(c), risk, c[ends], area)
