"""Risk and coverage against a plain loop over levels."""

import numpy as np
import pytest

from anatomy_clip.metrics.selective import risk_coverage


def test_every_point_and_the_area_by_a_plain_loop():
    rng = np.random.default_rng(0)
    confidence = np.round(rng.random(200), 2)  # with ties
    loss = (rng.random(200) > confidence).astype(float)
    found = risk_coverage(confidence, loss)
    for coverage, risk, level in zip(found.coverage, found.risk, found.level, strict=True):
        kept = confidence >= level
        assert (coverage, risk) == (pytest.approx(kept.mean()), pytest.approx(loss[kept].mean()))
    assert found.area == pytest.approx(np.mean([loss[confidence >= c].mean() for c in confidence]))
    assert (np.diff(found.coverage) > 0).all() and found.coverage[-1] == 1.0


def test_by_hand():
    found = risk_coverage([0.9, 0.1, 0.5], [0, 1, 0])
    assert found.risk.tolist() == pytest.approx([0, 0, 1 / 3])
    assert found.area == pytest.approx(1 / 9)
    assert risk_coverage([1, 1], [1, 0]).risk.tolist() == [0.5]


def test_sure_where_right_beats_sure_where_wrong():
    loss = np.array([0, 0, 0, 1, 1])
    assert risk_coverage(-loss, loss).area < risk_coverage(loss, loss).area


def test_bad_input():
    with pytest.raises(ValueError, match="one slice at least"):
        risk_coverage([], [])
    with pytest.raises(ValueError, match="finite"):
        risk_coverage([np.nan], [1])
