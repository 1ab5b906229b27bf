"""Hit@1, its baselines, AUROC and average precision against hand cases and plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from anatomy_clip.metrics.classification import (
    auroc,
    average_precision,
    chance_baseline,
    hit_at_1,
    hits,
    macro_hit_at_1,
    majority_baseline,
    resampled_auroc,
)

SCORES = np.array([[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])
TARGETS = np.array([[1, 0, 0], [1, 0, 1], [0, 1, 1], [0, 0, 0]], dtype=bool)


def test_hand_case_leaves_out_the_empty_target_set():
    hit, counted = hits(SCORES, TARGETS)
    assert hit.tolist() == [True, False, True, False]
    assert counted.tolist() == [True, True, True, False]
    assert hit_at_1(SCORES, TARGETS) == (pytest.approx(2 / 3), 3)


def test_any_member_of_the_target_set_is_right():
    assert hit_at_1([[0.1, 0.9], [0.9, 0.1]], [[1, 1], [1, 1]]).value == 1.0


def test_ties_go_to_the_lowest_index():
    assert hit_at_1([[0.5, 0.5]], [[1, 0]]).value == 1.0
    assert hit_at_1([[0.5, 0.5]], [[0, 1]]).value == 0.0


def test_monotone_scale_and_negative_scores_change_nothing():
    rng = np.random.default_rng(0)
    scores, targets = rng.normal(size=(50, 5)) - 10, rng.random((50, 5)) < 0.3
    assert hit_at_1(scores, targets) == hit_at_1(np.exp(scores / 7), targets)


def test_single_target_equals_plain_accuracy():
    rng = np.random.default_rng(1)
    scores, truth = rng.normal(size=(200, 6)), rng.integers(6, size=200)
    assert hit_at_1(scores, np.eye(6)[truth]).value == pytest.approx((scores.argmax(1) == truth).mean())


def test_no_counted_slice_is_undefined_not_zero():
    for scores, targets in ([[0.1, 0.9]], [[0, 0]]), (np.zeros((0, 2)), np.zeros((0, 2))):
        rate = hit_at_1(scores, targets)
        assert math.isnan(rate.value) and rate.n == 0
        assert math.isnan(majority_baseline(targets).value) and math.isnan(chance_baseline(targets).value)
        assert math.isnan(macro_hit_at_1(scores, targets))


@pytest.mark.parametrize(
    ("scores", "targets", "message"),
    [
        ([[0.1, np.nan]], [[1, 0]], "NaN in 1 slice"),
        ([[0.1, 0.2, 0.3]], [[1, 0]], "one shape"),
        ([0.1, 0.2], [1, 0], "shape"),
        ([[0.1, 0.2]], [[2, 0]], "0 or 1"),
        (np.zeros((3, 0)), np.zeros((3, 0)), "one label"),
    ],
)
def test_bad_input_is_one_clear_message(scores, targets, message):
    with pytest.raises(ValueError, match=message):
        hit_at_1(scores, targets)


def test_majority_and_chance_by_hand():
    assert majority_baseline(TARGETS) == (0, pytest.approx(2 / 3), 3)  # labels 0 and 2 tie
    assert chance_baseline(TARGETS) == (pytest.approx((1 / 3 + 2 / 3 + 2 / 3) / 3), 3)


def test_chance_equals_the_mean_of_random_scores():
    rng = np.random.default_rng(2)
    targets = rng.random((300, 5)) < 0.3
    drawn = np.mean([hit_at_1(rng.random((300, 5)), targets).value for _ in range(200)])
    assert drawn == pytest.approx(chance_baseline(targets).value, abs=0.01)


def test_no_constant_answer_beats_the_majority():
    targets = np.random.default_rng(3).random((200, 7)) < 0.2
    constant = [hit_at_1(np.tile(np.eye(7)[k], (200, 1)), targets).value for k in range(7)]
    assert majority_baseline(targets).value == pytest.approx(max(constant))


def test_macro_weighs_a_rare_label_like_a_common_one():
    targets = np.eye(2)[[0] * 9 + [1]]
    always_first = np.tile([1.0, 0.0], (10, 1))
    assert hit_at_1(always_first, targets).value == pytest.approx(0.9)
    assert macro_hit_at_1(always_first, targets) == pytest.approx(0.5)


def test_auroc_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(4)
    targets = rng.random((80, 4)) < 0.25
    scores = np.round(rng.normal(size=(80, 4)) + targets, 1)  # rounding makes ties, which count half
    for k, area in enumerate(auroc(scores, targets).value):
        gaps = np.subtract.outer(scores[targets[:, k], k], scores[~targets[:, k], k])
        assert area == pytest.approx(((gaps > 0) + (gaps == 0) / 2).mean(), rel=1e-12)


def test_auroc_of_one_class_is_nan_with_its_support():
    ours = auroc([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], [[0, 1, 1], [0, 1, 0]])
    assert np.isnan(ours.value[:2]).all() and ours.value[2] == 0.0
    assert ours.positives.tolist() == [0, 2, 1]


def test_average_precision_by_hand_with_a_tie():
    # The first of one shows it, two of the first three, three of all four: each adds a third of the recall.
    value = average_precision([[0.5], [0.9], [0.1], [0.5]], [[0], [1], [1], [1]])
    assert value == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)


def test_average_precision_of_an_absent_label_is_nan_and_of_a_constant_score_the_share():
    value = average_precision([[0.1, 0.5], [0.2, 0.5], [0.3, 0.5], [0.4, 0.5]], [[0, 1], [0, 0], [0, 0], [0, 0]])
    assert np.isnan(value[0]) and value[1] == 0.25


def test_resampled_auroc_is_that_of_rows_repeated_with_ties_counted_half():
    rng = np.random.default_rng(0)
    scores, targets = rng.integers(0, 6, (30, 3)) / 5, rng.random((30, 3)) > 0.6
    counts = rng.multinomial(30, np.full(30, 1 / 30), size=20).astype(float)
    counts[0, targets[:, 1]] = 0  # no positive of the second label
    found = resampled_auroc(scores, targets, counts)
    for r, held in enumerate(counts):
        for k in range(3):
            rows = [n for n, times in enumerate(held) for _ in range(int(times))]
            wins = [
                (scores[a, k] > scores[b, k]) + (scores[a, k] == scores[b, k]) / 2
                for a in rows if targets[a, k] for b in rows if not targets[b, k]
            ]  # fmt: skip
            assert found[r, k] == pytest.approx(sum(wins) / len(wins) if wins else math.nan, nan_ok=True)
    assert math.isnan(found[0, 1]) and np.isnan(found).sum() == 1
    once = resampled_auroc(scores, targets, np.ones((1, 30)))[0]
    np.testing.assert_allclose(once, auroc(scores, targets).value)


def test_resampled_auroc_of_no_rows_is_nan():
    assert np.isnan(resampled_auroc(np.empty((0, 2)), np.empty((0, 2), bool), np.empty((4, 0)))).all()


def left_open(n=60):
    """Scores, targets and what is known of them; a label that is left open has a target that may not matter."""
    rng = np.random.default_rng(5)
    return rng.normal(size=(n, 4)), rng.random((n, 4)) < 0.4, rng.random((n, 4)) < 0.7


def test_areas_are_those_of_the_slices_that_know_the_label():
    scores, targets, known = left_open()
    for k in range(4):
        rows = known[:, k]
        area = roc_auc_score(targets[rows, k], scores[rows, k])
        precision = average_precision_score(targets[rows, k], scores[rows, k])
        assert auroc(scores, targets, known).value[k] == area
        assert average_precision(scores, targets, known)[k] == precision
    assert auroc(scores, targets, known).positives.tolist() == (targets & known).sum(axis=0).tolist()
    assert np.isnan(auroc(scores, targets, np.zeros_like(known)).value).all()


def test_baselines_leave_out_what_is_left_open():
    _, targets, known = left_open()
    chances, named = [], {k: [] for k in range(4)}
    for shown, given in zip(targets, known, strict=True):
        right = [k for k in range(4) if shown[k] and given[k]]
        if right:
            chances.append(len(right) / given.sum())
            for k in np.flatnonzero(given):
                named[k].append(k in right)
    assert chance_baseline(targets, known) == (pytest.approx(np.mean(chances)), len(chances))
    best = max(named, key=lambda k: sum(named[k]))
    assert majority_baseline(targets, known) == (best, pytest.approx(np.mean(named[best])), len(chances))


def test_where_all_is_known_nothing_changes():
    scores, targets, _ = left_open()
    everything = np.ones_like(targets)
    for measure in (auroc, average_precision):
        np.testing.assert_array_equal(measure(scores, targets, everything), measure(scores, targets))
    for measure in (majority_baseline, chance_baseline):
        assert measure(targets, everything) == measure(targets)
    # as scikit-learn has it for all labels at once
    np.testing.assert_array_equal(auroc(scores, targets).value, roc_auc_score(targets, scores, average=None))
    assert chance_baseline(targets).value == targets[targets.any(axis=1)].mean()
