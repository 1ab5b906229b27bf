"""Sets of labels against hand cases and plain counts."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_recall_curve

from anatomy_clip.metrics.multilabel import best_threshold, consistent, exact_match, f1, sample_f1


def test_f1_and_exact_match_by_counting():
    rng = np.random.default_rng(3)
    targets = rng.random((200, 6)) < 0.3
    named = targets ^ (rng.random((200, 6)) < 0.2)
    found, right, wrong = f1(named, targets), named & targets, named ^ targets
    assert found.micro == pytest.approx(2 * right.sum() / (2 * right.sum() + wrong.sum()))
    assert found.macro == pytest.approx(np.mean(2 * right.sum(0) / (2 * right.sum(0) + wrong.sum(0))))
    apart = 2 * right.sum(1) + wrong.sum(1)
    assert (apart == 0).any()  # slices that show nothing and are given nothing count as right
    expected = np.where(apart == 0, 1, 2 * right.sum(1) / np.maximum(apart, 1))
    assert sample_f1(named, targets) == pytest.approx(expected)
    assert exact_match(named, targets).mean() == pytest.approx((wrong.sum(1) == 0).mean())


def test_macro_f1_leaves_labels_out_that_no_slice_shows():
    named = np.array([[1, 1], [1, 1]])
    assert f1(named, [[1, 0], [0, 0]]).macro == pytest.approx(2 / 3)
    assert np.isnan(f1(named, np.zeros((2, 2))).macro) and f1(named, np.zeros((2, 2))).micro == 0.0


def test_nothing_named_and_nothing_shown():
    nothing = np.zeros((3, 2), bool)
    found = f1(nothing, nothing)
    assert np.isnan(found.micro) and np.isnan(found.macro)
    assert exact_match(nothing, nothing).all()
    assert np.isnan(f1(nothing[:0], nothing[:0]).micro)


def test_consistency_by_hand():
    belongs = [[1, 0], [0, 1], [1, 1]]  # brain: head; liver: abdomen; neck: both
    organs = [[1, 0, 1], [1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]]
    stations = [[1, 0], [1, 0], [0, 1], [1, 0], [0, 0]]
    np.testing.assert_array_equal(consistent(organs, stations, belongs), [1, 0, 1, np.nan, 0])
    with pytest.raises(ValueError, match=r"must be \(N, K\)"):
        consistent(organs, stations, [[1, 0]])


def test_sample_f1_by_hand():
    named = [[1, 1, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]]
    targets = [[1, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert sample_f1(named, targets).tolist() == [0.5, 1.0, 0.0, 0.0]
    assert sample_f1(named[:1], targets[:1]).tolist() == [0.5] and len(sample_f1(np.ones((0, 2)), np.ones((0, 2)))) == 0
    with pytest.raises(ValueError, match="must both be"):
        sample_f1([[1, 0]], [[1]])


def test_best_threshold_reaches_the_best_f1_of_all():
    rng = np.random.default_rng(1)
    targets = rng.random(300) < 0.2
    scores = np.round(rng.normal(size=300) + 2 * targets, 1)  # with ties
    precision, recall, _ = precision_recall_curve(targets, scores)
    best = np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12))
    assert f1_score(targets, scores >= best_threshold(scores, targets)) == pytest.approx(best)


def test_best_threshold_lies_between_the_scores():
    assert best_threshold([0.1, 0.9, 0.5], [False, True, False]) == pytest.approx(0.7)
    assert best_threshold([0.1, 0.9], [True, True]) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="one positive at least"):
        best_threshold([0.1, 0.9], [False, False])
