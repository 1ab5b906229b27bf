"""Logistic lines and calibration against scikit-learn."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from anatomy_clip.metrics.calibration import brier, calibration_error, cross_entropy, platt, reliability, sigmoid


def scored(rng, n=400, gap=0.05, share=0.2):
    """Cosines of slices with and without a label, and whether they show it."""
    targets = rng.random(n) < share
    return 0.2 + gap * targets + rng.normal(scale=0.03, size=n), targets


@pytest.mark.parametrize("penalty", [1.0, 10.0])
@pytest.mark.parametrize("gap", [0.02, 0.5])  # mixed, and perfectly separable
def test_line_matches_scikit_learn(penalty, gap):
    scores, targets = scored(np.random.default_rng(0), gap=gap)
    line = platt(scores, targets, penalty)
    z = ((scores - scores.mean()) / scores.std())[:, None]
    reference = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=1000).fit(z, targets)
    expected = reference.predict_proba(z)[:, 1]
    np.testing.assert_allclose(sigmoid(line.slope * scores + line.intercept), expected, atol=1e-5)


def test_a_line_is_blind_to_shift_and_scale():
    scores, targets = scored(np.random.default_rng(1))
    a, b = platt(scores, targets), platt(100 * scores - 7, targets)
    np.testing.assert_allclose(b.slope, a.slope / 100, rtol=1e-4)
    np.testing.assert_allclose(b.intercept, a.intercept + 7 * b.slope, rtol=1e-4)


def test_scores_that_speak_against_their_label_say_nothing():
    scores, targets = scored(np.random.default_rng(2), gap=-0.05)
    line = platt(scores, targets)
    assert line.slope == 0.0
    assert sigmoid(line.intercept) == pytest.approx(targets.mean(), abs=1e-6)
    assert platt([0.3, 0.3, 0.3, 0.3], [1, 0, 0, 0]).slope == 0.0


def test_nothing_to_fit_is_an_error():
    with pytest.raises(ValueError, match="all equal"):
        platt([0.1, 0.2], [True, True])
    with pytest.raises(ValueError, match="1 of 2 aren't finite"):
        platt([0.1, np.nan], [True, False])
    with pytest.raises(ValueError, match="must both be"):
        platt([0.1, 0.2], [True])


def promised(n=1000, seed=0):
    """Probabilities crowded near 0, as those of 20 organs are, that promise too much."""
    rng = np.random.default_rng(seed)
    p = rng.beta(0.3, 3, size=n)
    return p, rng.random(n) < p**1.5


def test_reliability_is_scikit_learns():
    p, y = promised(1004)  # no quantile is one of the probabilities
    happened, means = calibration_curve(y, p, n_bins=15, strategy="quantile")
    ours = reliability(p, y, 15)
    np.testing.assert_allclose(ours.happened, happened)
    np.testing.assert_allclose(ours.promised, means)
    assert ours.size.sum() == len(p) and np.ptp(ours.size) <= 1


def test_calibration_error_is_the_sum_over_sorted_blocks():
    p, y = promised()
    blocks = np.array_split(np.argsort(p), 10)  # 1,000 in 10 blocks: equal mass by another road
    expected = sum(len(b) / len(p) * abs(y[b].mean() - p[b].mean()) for b in blocks)
    assert calibration_error(p, y, 10) == pytest.approx(expected, abs=1e-4)
    assert calibration_error([0.2] * 10, [True] * 2 + [False] * 8) == pytest.approx(0.0)
    assert calibration_error([0.9, 0.9], [False, False]) == pytest.approx(0.9)


def test_equal_probabilities_share_a_bin_whatever_their_order():
    p, y = np.repeat([0.1, 0.4, 0.8], 50), np.random.default_rng(1).random(150) < 0.4
    ours = reliability(p, y, 15)
    assert ours.size.tolist() == [50, 50, 50] and ours.promised == pytest.approx([0.1, 0.4, 0.8])
    order = np.random.default_rng(2).permutation(150)
    assert calibration_error(p[order], y[order]) == pytest.approx(calibration_error(p, y))


def test_brier_and_cross_entropy_are_scikit_learns():
    p, y = promised()
    assert brier(p, y) == pytest.approx(brier_score_loss(y, p))
    assert cross_entropy(p, y) == pytest.approx(log_loss(y, p))
    assert cross_entropy([[0.0, 1.0]], [[False, True]]) == pytest.approx(0.0, abs=1e-12)


def test_nothing_to_measure_is_nan_and_odd_probabilities_are_refused():
    assert np.isnan(calibration_error([], [])) and np.isnan(brier([], [])) and np.isnan(cross_entropy([], []))
    with pytest.raises(ValueError, match="between 0 and 1"):
        calibration_error([1.2], [True])
    with pytest.raises(ValueError, match="bins=0"):
        calibration_error([0.2], [True], bins=0)
