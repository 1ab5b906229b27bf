"""Several comparisons at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Adjust p-values so that the chance of even one false finding keeps its level (Holm 1979, step-down).

    The k-th smallest of m is multiplied by m - k + 1; none becomes smaller than one before it, or larger than 1.

    Args:
        p: (m,) 0 to 1; NaN = a comparison that couldn't be made, which doesn't count among the m.

    Returns:
        (m,) adjusted, in the given order; NaN stays NaN.

    Raises:
        ValueError: not (m,), or a value outside 0 to 1.

    >>> holm([0.01, 0.04, 0.03, np.nan]).tolist()
    [0.03, 0.06, 0.06, nan]
    """
    values = np.asarray(p, dtype=np.float64)
    known = ~np.isnan(values)
    if values.ndim != 1 or (values[known] < 0).any() or (values[known] > 1).any():
        raise ValueError(f"p-values {values.shape} must be (comparisons,) and lie between 0 and 1")
    adjusted = np.full(len(values), np.nan)
    order = np.flatnonzero(known)[np.argsort(values[known], kind="stable")]
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(order), 0, -1)), 1.0)
    return adjusted
