"""Retrieval: which candidates come first when they are ranked by a score.

Values are expected values over all orders of candidates of equal score. So a model with the same score for every
candidate gets the value of chance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def precision_at(scores: ArrayLike, relevant: ArrayLike, cutoff: int) -> Floats:
    """Expected share of relevant candidates among the first.

    Args:
        scores: (Q, M) of each query's candidates; -inf leaves a candidate out.
        relevant: (Q, M) bool.
        cutoff: K, how many are the first.

    Returns:
        (Q,) 0 to 1; NaN for queries with fewer candidates than K.

    Raises:
        ValueError: shapes differ, or a score is NaN.

    >>> precision_at([[0.9, 0.5, 0.1, 0.1]], [[True, False, True, False]], cutoff=3).round(4).tolist()
    [0.5]
    """
    s, shown = _checked(scores, relevant)
    if cutoff > s.shape[1]:
        return np.full(len(s), np.nan)
    last = -np.partition(-s, cutoff - 1, axis=1)[:, cutoff - 1 : cutoff]  # (Q, 1) score of the K-th
    above, level = s > last, s == last
    room = (cutoff - above.sum(axis=1)) / level.sum(axis=1)  # of those of this score, the share among the first
    value = ((above & shown).sum(axis=1) + room * (level & shown).sum(axis=1)) / cutoff
    return np.where(np.isneginf(last[:, 0]), np.nan, value)


def recall_at(scores: ArrayLike, relevant: ArrayLike, cutoff: int) -> Floats:
    """Probability that a relevant candidate is among the first.

    Args:
        scores: as `precision_at`.
        relevant: (Q, M) bool.
        cutoff: K, how many are the first.

    Returns:
        (Q,) 0 to 1; NaN for queries without a relevant candidate.

    Raises:
        ValueError: as `precision_at`.

    >>> recall_at([[0.9, 0.5, 0.1, 0.1]], [[False, False, True, False]], cutoff=3).tolist()
    [0.5]
    """
    from scipy.special import comb

    ahead, level, among = _first_relevant(*_checked(scores, relevant))
    room = np.clip(cutoff - ahead, 0, level)
    missed = comb(level - among, room) / np.maximum(comb(level, room), 1)  # hypergeometric: none of `among` is drawn
    return np.where(among > 0, 1 - missed, np.nan)


def first_rank(scores: ArrayLike, relevant: ArrayLike) -> Floats:
    """Expected rank of the first relevant candidate.

    Args:
        scores: as `precision_at`.
        relevant: (Q, M) bool.

    Returns:
        (Q,) from 1; NaN for queries without a relevant candidate.

    Raises:
        ValueError: as `precision_at`.

    >>> first_rank([[0.9, 0.5, 0.1, 0.1]], [[False, False, True, False]]).tolist()
    [3.5]
    """
    ahead, level, among = _first_relevant(*_checked(scores, relevant))
    return np.where(among > 0, ahead + (level + 1) / (among + 1), np.nan)


def weighted_median(values: Floats, counts: Floats) -> Floats:
    """Medians of N values, each taken so often: (N,), (R, N) -> (R,); as `numpy.median` of them repeated; else NaN.

    >>> weighted_median(np.array([1.0, 2.0, 10.0]), np.array([[1, 1, 1], [0, 1, 3]])).tolist()
    [2.0, 10.0]
    """
    if not len(values):
        return np.full(len(counts), np.nan)
    order = np.argsort(values)
    sums = counts[:, order].cumsum(axis=1)
    middle = sums[:, -1:] / 2
    ends = ((sums >= middle).argmax(axis=1), (sums > middle).argmax(axis=1))
    return np.asarray(np.mean([values[order][end] for end in ends], axis=0))


def _first_relevant(scores: Floats, relevant: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """How many score higher than the best relevant one, as high, and how many of these are relevant; (Q,) each."""
    best = np.where(relevant, scores, -np.inf).max(axis=1, keepdims=True)
    level = scores == best
    found = [(scores > best).sum(axis=1), level.sum(axis=1), (level & relevant).sum(axis=1)]
    ahead, equal, among = (count.astype(np.float64) for count in found)
    return ahead, equal, np.where(np.isneginf(best[:, 0]), 0.0, among)


def _checked(scores: ArrayLike, relevant: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    s, shown = np.asarray(scores, np.float64), np.asarray(relevant, np.bool_)
    if s.ndim != 2 or s.shape != shown.shape or not s.shape[1]:
        raise ValueError(f"scores {s.shape} and relevant {shown.shape} must both be (queries, candidates)")
    if np.isnan(s).any():
        raise ValueError("scores: NaN; did the model diverge?")
    return s, shown
