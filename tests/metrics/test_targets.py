import numpy as np
import pytest

from anatomy_clip.inference.label_rule import fit_rule
from anatomy_clip.metrics.calibration import brier, calibration_error, cross_entropy, platt
from anatomy_clip.metrics.classification import auroc, hits, macro_hit_at_1, resampled_auroc
from anatomy_clip.metrics.multilabel import best_threshold, exact_match, f1, sample_f1
from anatomy_clip.metrics.targets import as_targets

SCORES = np.array([[0.1, 0.7], [0.3, 0.2]])


def rule(scores, targets):
    return fit_rule(("a", "b"), scores, targets, "organ")


def resampled(scores, targets):
    return resampled_auroc(scores, targets, np.ones((1, 2)))


@pytest.mark.parametrize(
    "metric", [hits, macro_hit_at_1, auroc, resampled, f1, sample_f1, exact_match, cross_entropy, rule]
)
def test_unknown_labels_are_refused_not_taken_for_shown(metric):
    with pytest.raises(ValueError, match="leave out the slices whose labels are unknown"):
        metric(SCORES > 0.5 if metric in (f1, sample_f1, exact_match) else SCORES, [[1, 0], [-1, -1]])


@pytest.mark.parametrize("metric", [platt, brier, calibration_error, best_threshold])
def test_so_are_those_of_one_label(metric):
    with pytest.raises(ValueError, match="leave out the slices whose labels are unknown"):
        metric(SCORES[0], [1, -1])


def test_numbers_that_say_yes_or_no_are_taken():
    assert as_targets([1.0, 0.0]).tolist() == as_targets([1, 0]).tolist() == [True, False]
