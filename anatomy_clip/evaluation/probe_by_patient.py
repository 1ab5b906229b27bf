"""As `by_patient`, with linear classifiers on frozen features in place of prompts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.evaluation.base import TestedRun
from anatomy_clip.evaluation.by_patient import KINDS, ByPatient, Scorer
from anatomy_clip.evaluation.cells import Floats
from anatomy_clip.evaluation.linear_probe import features_of, fit_labels, logits


class ProbeByPatient(ByPatient):
    """Names the organ and the station whose logistic regression on the pooled features scores highest.

    Each label is fitted on the training slices of which it is known, without augmentation. Nothing is chosen.

    Args:
        taxonomy: the labels.
        sets: names of the test sets.
        strength: inverse penalty (scikit-learn's C).
        resamples: bootstrap resamples of patients.
        prompts: of `ByPatient`; a probe has none.
    """

    compares = False

    def __init__(
        self,
        taxonomy: Taxonomy,
        *,
        sets: Sequence[str],
        strength: float = 0.01,
        resamples: int = 1000,
        prompts: None = None,
    ) -> None:
        super().__init__(prompts, taxonomy, sets=sets, resamples=resamples)
        self.strength = strength

    def _scorer(self, run: TestedRun) -> Scorer:
        (train,) = run.sets("train").values()
        features, weights = features_of(train), {}
        for kind in KINDS:
            labels = train.labels[kind]
            weights[kind] = fit_labels(features, labels, np.ones(labels.shape, np.bool_), self.strength)
        return lambda shown: {kind: _known(logits(features_of(shown), weights[kind])) for kind in KINDS}


def _known(scores: Floats) -> Floats:
    """Scores by which a label that training never shows isn't named."""
    return np.where(np.isnan(scores), -np.inf, scores)
