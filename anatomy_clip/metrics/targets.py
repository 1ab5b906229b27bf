"""Targets of all metrics: which labels a slice shows, known labels only."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def as_targets(values: ArrayLike) -> NDArray[np.bool_]:
    """Targets as booleans, of any shape.

    Raises:
        ValueError: one is neither 0 nor 1, such as an unknown label (-1).

    >>> as_targets([1, 0, 1]).tolist()
    [True, False, True]
    """
    raw = np.asarray(values)
    targets = raw.astype(np.bool_)
    if raw.dtype != np.bool_ and not np.array_equal(raw, targets):
        raise ValueError("targets must be 0 or 1 (not shown, shown): leave out the slices whose labels are unknown")
    return targets
