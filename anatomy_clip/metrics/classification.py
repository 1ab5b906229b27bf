"""Hit@1 against a set of right answers, its baselines, and one-vs-rest AUROC and average precision."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomy_clip.metrics.targets import as_targets

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Hits(NamedTuple):
    """Which slices are hit and which count.

    Attributes:
        hit: (N,) bool, the top-1 label is in the slice's target set; False where the slice doesn't count.
        counted: (N,) bool, the slice has a target set that isn't empty.
    """

    hit: Bools
    counted: Bools


class Rate(NamedTuple):
    """A share of slices.

    Attributes:
        value: 0 to 1; NaN where `n` is 0.
        n: slices counted.
    """

    value: float
    n: int


class Majority(NamedTuple):
    """The best constant answer.

    Attributes:
        label: index of the label that most slices show; the lowest index on a tie, -1 where no slice counts.
        value: hit@1 of always naming it, over the counted slices of which it is known; NaN where `n` is 0.
        n: slices counted.
    """

    label: int
    value: float
    n: int


class AUROC(NamedTuple):
    """One-vs-rest areas under the ROC curve.

    Attributes:
        value: (K,) 0 to 1; NaN for a label with no positive or no negative slice.
        positives: (K,) int, slices that show the label (its support).
    """

    value: Floats
    positives: NDArray[np.int64]


def hits(scores: ArrayLike, targets: ArrayLike) -> Hits:
    """Tell for every slice whether its top-1 label is in its target set (eq. 4 of the paper).

    Ties go to the label with the lowest index, as in `numpy.argmax`.

    Args:
        scores: (N, K) float, higher is likelier; any monotone scale (cosine, logit, probability).
        targets: (N, K) bool.

    Raises:
        ValueError: shapes differ or aren't (N, K) with K >= 1, a score is NaN, or a target isn't 0 or 1.

    >>> hits([[0.7, 0.3], [0.4, 0.6]], [[1, 0], [1, 0]]).hit.tolist()
    [True, False]
    """
    s, t = _checked(scores, targets)
    hit = t[np.arange(len(t)), s.argmax(axis=1)]  # False where the set is empty
    return Hits(hit, _counted(t))


def hit_at_1(scores: ArrayLike, targets: ArrayLike) -> Rate:
    """Share of slices whose top-1 label is in the target set (eq. 4); slices with an empty set are left out.

    Args:
        scores: (N, K) float.
        targets: (N, K) bool.

    Raises:
        ValueError: as `hits`.

    >>> hit_at_1([[0.7, 0.3], [0.4, 0.6], [0.9, 0.1]], [[1, 0], [1, 0], [0, 0]])
    Rate(value=0.5, n=2)
    """
    hit, counted = hits(scores, targets)
    return _rate(hit, counted)


def macro_hit_at_1(scores: ArrayLike, targets: ArrayLike) -> float:
    """Hit@1 of the slices that show a label, averaged over the labels that any slice shows.

    A rare label weighs as much as a common one, so always naming a common organ no longer pays.

    Args:
        scores: (N, K) float.
        targets: (N, K) bool.

    Returns:
        0 to 1; NaN where no slice shows any label.

    Raises:
        ValueError: as `hits`.

    >>> macro_hit_at_1([[0.7, 0.3], [0.8, 0.2], [0.9, 0.1]], [[1, 0], [1, 0], [0, 1]])
    0.5
    """
    hit, _ = hits(scores, targets)
    shows = as_targets(targets)
    support = shows.sum(axis=0)
    seen = support > 0
    if not seen.any():
        return float("nan")
    return float(((hit[:, None] & shows).sum(axis=0)[seen] / support[seen]).mean())


def majority_baseline(targets: ArrayLike, known: ArrayLike | None = None) -> Majority:
    """Hit@1 of always naming the label that most of these slices show.

    It's fitted to the very slices that it's scored on: where all labels are known, no constant answer does better.

    Args:
        targets: (N, K) bool.
        known: (N, K) bool, what is known of each slice; None: all.

    Raises:
        ValueError: not (N, K) with K >= 1, or a target isn't 0 or 1.

    >>> majority_baseline([[1, 0], [1, 1], [1, 0], [0, 1]])
    Majority(label=0, value=0.75, n=4)
    """
    t, given = _of_known(_checked_targets(targets), known)
    counted = _counted(t)
    n = int(counted.sum())
    if n == 0:
        return Majority(-1, float("nan"), 0)
    support = t.sum(axis=0)
    label = int(support.argmax())
    return Majority(label, float(support[label]) / int(given[counted, label].sum()), n)


def chance_baseline(targets: ArrayLike, known: ArrayLike | None = None) -> Rate:
    """Expected hit@1 of naming one of a slice's known labels at random, each equally likely.

    Args:
        targets: (N, K) bool.
        known: (N, K) bool, what is known of each slice; None: all.

    Raises:
        ValueError: as `majority_baseline`.

    >>> chance_baseline([[1, 0], [1, 1], [1, 0], [0, 1]])
    Rate(value=0.625, n=4)
    """
    t, given = _of_known(_checked_targets(targets), known)
    counted = _counted(t)
    n, labels = int(counted.sum()), t.shape[1]
    if not n:
        return Rate(float("nan"), 0)
    weight = labels / given[counted].sum(axis=1)  # (n,) 1 where all are known, so that sums stay whole
    return Rate(float((t[counted].sum(axis=1) * weight).sum() / (n * labels)), n)


def auroc(scores: ArrayLike, targets: ArrayLike, known: ArrayLike | None = None) -> AUROC:
    """One-vs-rest AUROC of every label, ties counted half.

    Every slice given counts; one with an empty target set is a negative of all labels.

    Args:
        scores: (N, K) float.
        targets: (N, K) bool.
        known: (N, K) bool; a slice has no part in the area of a label that isn't known of it. None: all are.

    Raises:
        ValueError: as `hits`, or a score is infinite.

    >>> auroc([[0.9], [0.6], [0.4], [0.1]], [[1], [0], [1], [0]]).value.tolist()
    [0.75]
    """
    from sklearn.metrics import roc_auc_score

    s, t = _checked(scores, targets)
    t, given = _of_known(t, known)
    positives, value = t.sum(axis=0).astype(np.int64), np.full(t.shape[1], np.nan)
    for k, rows in enumerate(given.T):
        if 0 < positives[k] < rows.sum():
            value[k] = roc_auc_score(t[rows, k], s[rows, k])
    return AUROC(value, positives)


def resampled_auroc(scores: ArrayLike, targets: ArrayLike, counts: NDArray[np.float64]) -> Floats:
    """One-vs-rest AUROC of each label in resamples of the rows; ties count half.

    Args:
        scores: (N, K).
        targets: (N, K) bool.
        counts: (R, N) how often each resample holds each row.

    Returns:
        (R, K); NaN where a resample has no positive or no negative of a label.

    >>> counts = np.array([[1, 1, 1, 1], [2, 1, 0, 1]])
    >>> resampled_auroc([[0.9], [0.6], [0.4], [0.1]], [[1], [0], [1], [0]], counts).tolist()
    [[0.75], [1.0]]
    """
    s, shown = np.asarray(scores, dtype=np.float64), as_targets(targets)
    areas = np.full((len(counts), s.shape[1]), np.nan)
    for k in range(s.shape[1]):
        rows = np.flatnonzero(~shown[:, k])
        rows = rows[np.argsort(s[rows, k], kind="stable")]  # negatives, from the lowest score
        low = np.zeros((len(counts), len(rows) + 1))  # (R, n + 1): negatives among the lowest 0, 1, ... n
        np.cumsum(counts[:, rows], axis=1, out=low[:, 1:])
        up_to, with_ties = (np.searchsorted(s[rows, k], s[shown[:, k], k], side) for side in ("left", "right"))
        positive = counts[:, shown[:, k]]  # (R, p)
        below = (low[:, up_to] + low[:, with_ties]) / 2  # (R, p)
        pairs = positive.sum(axis=1) * low[:, -1]
        np.divide((positive * below).sum(axis=1), pairs, out=areas[:, k], where=pairs > 0)
    return areas


def average_precision(scores: ArrayLike, targets: ArrayLike, known: ArrayLike | None = None) -> Floats:
    """One-vs-rest average precision of every label: the sum over thresholds of precision times the gain in recall.

    Slices of equal score share one threshold. Every slice given counts, as in `auroc`.

    Args:
        scores: (N, K) float.
        targets: (N, K) bool.
        known: as for `auroc`.

    Returns:
        (K,) 0 to 1; NaN for a label that no slice shows.

    Raises:
        ValueError: as `auroc`.

    >>> average_precision([[0.9], [0.6], [0.4], [0.1]], [[1], [0], [1], [0]]).round(4).tolist()
    [0.8333]
    """
    from sklearn.metrics import average_precision_score

    s, t = _checked(scores, targets)
    t, given = _of_known(t, known)
    value = np.full(t.shape[1], np.nan)
    for k in np.flatnonzero(t.any(axis=0)):
        value[k] = average_precision_score(t[given[:, k], k], s[given[:, k], k])
    return value


def _counted(targets: Bools) -> Bools:
    return np.asarray(targets.any(axis=1), dtype=np.bool_)


def _of_known(targets: Bools, known: ArrayLike | None) -> tuple[Bools, Bools]:
    """(N, K) targets, False where they aren't known, and where they are."""
    given = np.ones_like(targets) if known is None else np.asarray(known, dtype=np.bool_)
    return targets & given, given


def _rate(hit: Bools, counted: Bools) -> Rate:
    n = int(counted.sum())
    return Rate(float(hit[counted].mean()) if n else float("nan"), n)


def _checked(scores: ArrayLike, targets: ArrayLike) -> tuple[Floats, Bools]:
    t = _checked_targets(targets)
    s = np.asarray(scores, dtype=np.float64)
    if s.shape != t.shape:
        raise ValueError(f"scores {s.shape} and targets {t.shape} must have one shape (slices, labels)")
    bad = np.flatnonzero(np.isnan(s).any(axis=1))
    if len(bad):
        raise ValueError(f"scores: NaN in {len(bad)} slice(s), first in row {bad[0]}; did the model diverge?")
    return s, t


def _checked_targets(targets: ArrayLike) -> Bools:
    t = as_targets(targets)
    if t.ndim != 2 or t.shape[1] == 0:
        raise ValueError(f"targets {t.shape} must have the shape (slices, labels) with one label at least")
    return t
