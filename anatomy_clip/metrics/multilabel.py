"""Sets of labels against sets of labels: F1, exact match, organs that agree with stations, thresholds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomy_clip.metrics.targets import as_targets

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class F1(NamedTuple):
    """F1 of named labels, 0 to 1.

    Attributes:
        micro: over all pairs of slice and label; NaN where nothing is named or shown.
        macro: mean over the labels that any slice shows; NaN where there are none.
    """

    micro: float
    macro: float


def f1(named: ArrayLike, targets: ArrayLike) -> F1:
    """Compute both means of F1 = 2 TP / (2 TP + FP + FN).

    Args:
        named: (N, K) bool.
        targets: (N, K) bool.

    Raises:
        ValueError: shapes differ or aren't (N, K).

    >>> found = f1([[1, 0], [1, 1]], [[1, 0], [0, 1]])
    >>> round(found.micro, 3), round(found.macro, 3)
    (0.8, 0.833)
    """
    p, t = _checked(named, targets)
    seen = t.any(axis=0)
    return F1(
        micro=float(_f1_of_columns(p.reshape(-1, 1), t.reshape(-1, 1), np.nan)[0]),
        macro=float(_f1_of_columns(p, t, np.nan)[seen].mean()) if seen.any() else float("nan"),
    )


def sample_f1(named: ArrayLike, targets: ArrayLike) -> Floats:
    """F1 of each slice's named labels against those that it shows; 1 where both are empty: nothing to name, none named.

    Args:
        named: (N, K) bool.
        targets: (N, K) bool.

    Returns:
        (N,) 0 to 1.

    Raises:
        ValueError: shapes differ or aren't (N, K).

    >>> sample_f1([[1, 0], [1, 1], [0, 0]], [[1, 0], [0, 1], [0, 0]]).round(3).tolist()
    [1.0, 0.667, 1.0]
    """
    p, t = _checked(named, targets)
    return _f1_of_columns(p.T, t.T, 1.0)


def _f1_of_columns(named: Bools, targets: Bools, of_nothing: float) -> Floats:
    """(N, K), (N, K) -> (K,); `of_nothing` for a column in which nothing is named or shown."""
    from sklearn.metrics import f1_score

    if not targets.size:
        return np.full(targets.shape[1], of_nothing)
    only = [1] if targets.shape[1] == 1 else None  # scikit-learn takes one column for two classes
    return np.asarray(f1_score(targets, named, labels=only, average=None, zero_division=of_nothing))


def exact_match(named: ArrayLike, targets: ArrayLike) -> Bools:
    """Tell of each slice whether the named labels are those that it shows, no more and no less; empty equals empty.

    Args:
        named: (N, K) bool.
        targets: (N, K) bool.

    Returns:
        (N,) bool.

    Raises:
        ValueError: shapes differ or aren't (N, K).

    >>> exact_match([[1, 0], [1, 1], [0, 0]], [[1, 0], [0, 1], [0, 0]]).tolist()
    [True, False, True]
    """
    p, t = _checked(named, targets)
    return np.asarray((p == t).all(axis=1), dtype=np.bool_)


def consistent(organs: ArrayLike, stations: ArrayLike, belongs: ArrayLike) -> Floats:
    """Tell of each slice whether every named organ can occur in a named station.

    Args:
        organs: (N, K) bool, named.
        stations: (N, S) bool, named.
        belongs: (K, S) bool, organ k can occur in station s.

    Returns:
        (N,) 1 or 0; NaN where no organ is named, as there is nothing to contradict.

    Raises:
        ValueError: shapes don't fit.

    >>> belongs = [[1, 0], [0, 1]]  # organ 0 lies in station 0, organ 1 in station 1
    >>> consistent([[1, 0], [1, 1], [0, 0]], [[1, 0], [1, 0], [1, 0]], belongs).tolist()
    [1.0, 0.0, nan]
    """
    o, s, b = (np.asarray(part, dtype=np.bool_) for part in (organs, stations, belongs))
    if o.ndim != 2 or s.ndim != 2 or len(o) != len(s) or b.shape != (o.shape[1], s.shape[1]):
        raise ValueError(f"organs {o.shape}, stations {s.shape} and belongs {b.shape}: must be (N, K), (N, S), (K, S)")
    allowed = (s @ b.T.astype(np.int64)) > 0
    return np.where(o.any(axis=1), ~(o & ~allowed).any(axis=1), np.nan)


def best_threshold(scores: ArrayLike, targets: ArrayLike) -> float:
    """The threshold of best F1, halfway between the lowest score taken and the next; the highest of several.

    Args:
        scores: (N,) float; a slice is taken from the threshold upwards.
        targets: (N,) bool, at least one True.

    Raises:
        ValueError: lengths differ, or no target is True.

    >>> round(best_threshold([0.9, 0.8, 0.4, 0.2], [True, True, False, False]), 4)
    0.6
    """
    s, t = np.asarray(scores, dtype=np.float64), as_targets(targets)
    if s.ndim != 1 or s.shape != t.shape or not t.any():
        raise ValueError(f"scores {s.shape} and targets {t.shape} must both be (slices,), with one positive at least")
    order = np.argsort(-s, kind="stable")
    s, found = s[order], np.cumsum(t[order])
    value = 2 * found / (np.arange(1, len(s) + 1) + found[-1])
    ends = np.append(np.flatnonzero(np.diff(s)), len(s) - 1)  # equal scores are taken together
    last = int(ends[value[ends].argmax()])
    return float(s[last] if last == len(s) - 1 else (s[last] + s[last + 1]) / 2)


def _checked(named: ArrayLike, targets: ArrayLike) -> tuple[Bools, Bools]:
    p, t = np.asarray(named, dtype=np.bool_), as_targets(targets)
    if p.ndim != 2 or p.shape != t.shape:
        raise ValueError(f"named {p.shape} and targets {t.shape} must both be (slices, labels)")
    return p, t
