"""One kind of label decided from cosines: a calibrated probability a label, and the least one at which it is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomy_clip.metrics.calibration import Line, cross_entropy, logit, platt, sigmoid
from anatomy_clip.metrics.multilabel import best_threshold
from anatomy_clip.metrics.targets import as_targets

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_TRUSTED = 20  # positives at which a label's own threshold weighs as much as the one of all labels
_SCALES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)


@dataclass(frozen=True, eq=False)
class LabelRule:
    """How one kind of label is decided from cosines, one label against the rest.

    Cosines of one image are all high or all low together, so they're compared within the slice first: each is taken
    less the slice's log-mean-exp, which makes it the logarithm of its share in the softmax (eq. 2) up to a factor.

    Attributes:
        labels: the K labels, in the order of the score columns.
        slope, intercept: (K,) of each label's logistic line.
        threshold: (K,) least probability at which a label is named.
        scale: inverse temperature of that softmax; 0: cosines as they are.
    """

    labels: tuple[str, ...]
    slope: Floats
    intercept: Floats
    threshold: Floats
    scale: float = 0.0

    def __post_init__(self) -> None:
        for name in ("slope", "intercept", "threshold"):
            shape = np.shape(getattr(self, name))
            if shape != (len(self.labels),):
                raise ValueError(f"{name} {shape} must have a number for each of the {len(self.labels)} labels")

    def probabilities(self, scores: ArrayLike) -> Floats:
        """Calibrated probability of each label.

        Args:
            scores: (N, K) cosines.

        Returns:
            (N, K) 0 to 1.

        Raises:
            ValueError: another number of labels.
        """
        s = np.asarray(scores, dtype=np.float64)
        if s.ndim != 2 or s.shape[1] != len(self.labels):
            raise ValueError(f"scores {s.shape} must be (slices, {len(self.labels)}): {', '.join(self.labels)}")
        return sigmoid(self.slope * _relative(s, self.scale) + self.intercept)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and checkpoints."""
        numbers = {name: getattr(self, name).tolist() for name in ("slope", "intercept", "threshold")}
        return {"labels": list(self.labels), **numbers, "scale": self.scale}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LabelRule:
        """Rebuild from what `to_dict` gave."""
        slope, intercept, threshold = (np.asarray(data[n], np.float64) for n in ("slope", "intercept", "threshold"))
        return cls(tuple(data["labels"]), slope, intercept, threshold, float(data["scale"]))


def fit_rule(
    labels: tuple[str, ...], scores: ArrayLike, targets: ArrayLike, kind: str, known: ArrayLike | None = None
) -> LabelRule:
    """Choose a rule on the validation slices whose labels of this kind are known.

    A label that a slice leaves open is no positive and no negative of that slice.

    Scale: of `_SCALES`, the one of least cross entropy. Lines: `platt`, one a label; a label without positives or
    negatives gets the slope that fits all labels together (each label's scores centred) and its base rate,
    (positives + 1) / (slices + 2), at its mean score. Thresholds: of best F1, one a label, drawn towards the one of
    best F1 over all labels together, in log odds: a label with 20 positives weighs its own as much, one with none
    takes the common one.

    Args:
        labels: the K labels.
        scores: (N, K) cosines.
        targets: (N, K) bool.
        kind: "organ" or "station", for messages.
        known: (N, K) bool, False where a slice leaves a label open; None: all are known.

    Raises:
        ValueError: shapes don't fit, a score isn't finite, or no slice shows any label.
    """
    s, t = np.asarray(scores, dtype=np.float64), as_targets(targets)
    if s.ndim != 2 or s.shape != t.shape or s.shape[1] != len(labels):
        raise ValueError(f"{kind} scores {s.shape} and targets {t.shape} must both be (slices, {len(labels)})")
    given = np.ones_like(t) if known is None else np.asarray(known, dtype=np.bool_)
    if given.shape != t.shape:
        raise ValueError(f"{kind}: known {given.shape} must have the shape of targets {t.shape}")
    t = t & given
    if not t.any():
        raise ValueError(f"no validation slice shows any {kind}: give data.validation a store with {kind}s")
    fitted = [_lines(labels, s, t, given, scale) for scale in _SCALES]
    losses = [cross_entropy(rule.probabilities(s)[given], t[given]) for rule in fitted]
    best = fitted[int(np.argmin(losses))]
    return replace(best, threshold=_thresholds(best.probabilities(s), t, given))


def _lines(labels: tuple[str, ...], scores: Floats, targets: Bools, known: Bools, scale: float) -> LabelRule:
    """Fit a line a label at one scale; thresholds are still 0."""
    s = _relative(scores, scale)
    pooled = platt((s - s.mean(axis=0))[known], targets[known]).slope if not targets[known].all() else 0.0
    lines = [_line(s[:, k], targets[:, k], known[:, k], pooled) for k in range(len(labels))]
    slope, intercept = np.array([line.slope for line in lines]), np.array([line.intercept for line in lines])
    return LabelRule(labels, slope, intercept, np.zeros(len(labels)), scale)


def _relative(scores: Floats, scale: float) -> Floats:
    """(N, K) cosines -> each less its slice's log-mean-exp at the scale."""
    if scale == 0.0:
        return scores
    top = scores.max(axis=1, keepdims=True)
    level: Floats = top + np.log(np.exp(scale * (scores - top)).mean(axis=1, keepdims=True)) / scale
    return scores - level


def _line(scores: Floats, targets: Bools, known: Bools, pooled: float) -> Line:
    positives, slices = int(targets.sum()), int(known.sum())
    if 0 < positives < slices:
        return platt(scores[known], targets[known])
    base = (positives + 1) / (slices + 2)
    return Line(pooled, logit(base) - pooled * float(scores.mean()))


def _thresholds(probability: Floats, targets: Bools, known: Bools) -> Floats:
    """Three (N, K) -> (K,): each label's own threshold, drawn towards the common one where positives are few."""
    least, most = np.finfo(np.float64).tiny, 1 - np.finfo(np.float64).epsneg  # log odds stay finite
    common = logit(float(np.clip(best_threshold(probability[known], targets[known]), least, most)))
    drawn = np.full(targets.shape[1], common)
    for k in np.flatnonzero(targets.any(axis=0)):
        rows = known[:, k]
        own = logit(float(np.clip(best_threshold(probability[rows, k], targets[rows, k]), least, most)))
        weight = targets[:, k].sum() / (targets[:, k].sum() + _TRUSTED)
        drawn[k] = weight * own + (1 - weight) * common
    return sigmoid(drawn)
