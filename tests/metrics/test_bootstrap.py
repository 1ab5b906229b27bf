"""The patient bootstrap: hand cases, an independent loop, coverage by simulation, speed."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from anatomy_clip.metrics.bootstrap import bootstrap_interval


def clustered(rng, patients=60, spread=0.2):
    """Hits with patients of different size and difficulty; the true rate is 0.7."""
    size = rng.integers(5, 15, size=patients)
    of_slice = np.repeat(np.arange(patients), size)
    rate = np.clip(0.7 + rng.uniform(-spread, spread, size=patients), 0, 1)
    return (rng.random(len(of_slice)) < rate[of_slice]).astype(float), of_slice


def test_matches_a_plain_loop():
    values, patients = clustered(np.random.default_rng(0))
    rng = np.random.default_rng(1)
    means = []
    for _ in range(2000):
        drawn = rng.choice(60, size=60)
        means.append(np.concatenate([values[patients == p] for p in drawn]).mean())
    ours = bootstrap_interval(values, patients, resamples=4000)
    np.testing.assert_allclose([ours.lo, ours.hi], np.percentile(means, [2.5, 97.5]), atol=0.01)
    assert ours.lo < values.mean() < ours.hi and ours.dropped == 0


def test_coverage_by_simulation():
    rng = np.random.default_rng(5)
    inside = naive = 0
    for trial in range(300):
        values, patients = clustered(rng, patients=40, spread=0.3)
        interval = bootstrap_interval(values, patients, resamples=400, seed=trial)
        inside += interval.lo <= 0.7 <= interval.hi
        slices = bootstrap_interval(values, np.arange(len(values)), resamples=400, seed=trial)
        naive += slices.lo <= 0.7 <= slices.hi
    assert 0.91 <= inside / 300 <= 0.985
    assert naive < inside  # slices as the unit would claim too much


def test_one_patient_is_undefined():
    interval = bootstrap_interval([1, 0, 1], ["a", "a", "a"])
    assert math.isnan(interval.lo) and math.isnan(interval.hi)
    empty = bootstrap_interval([], [])
    assert math.isnan(empty.lo)


def test_equal_patients_have_no_spread():
    assert bootstrap_interval([1, 0, 1, 0], ["a", "a", "b", "b"])[:2] == (0.5, 0.5)


def test_two_patients_by_hand():
    # resamples: both a (0), both b (1), one of each (0.5): the interval spans them all
    assert bootstrap_interval([0, 1], ["a", "b"])[:2] == (0.0, 1.0)


def test_slices_that_do_not_count_are_nan_and_empty_resamples_are_dropped():
    interval = bootstrap_interval([1.0, np.nan, np.nan], ["a", "b", "b"], resamples=1000)
    assert (interval.lo, interval.hi) == (1.0, 1.0)
    assert 200 < interval.dropped < 300  # both draws are b in a quarter of the resamples
    assert math.isnan(bootstrap_interval([np.nan, np.nan], ["a", "b"]).lo)


def test_same_seed_same_interval_whatever_the_row_order():
    values, patients = clustered(np.random.default_rng(3))
    order = np.random.default_rng(4).permutation(len(values))
    ours = bootstrap_interval(values, patients, seed=7)
    assert ours == bootstrap_interval(values, patients, seed=7)
    assert ours == bootstrap_interval(values[order], patients[order], seed=7)
    assert ours != bootstrap_interval(values, patients, seed=8)


def test_paired_difference_is_narrower():
    rng = np.random.default_rng(6)
    a, patients = clustered(rng)
    b = np.where(rng.random(len(a)) < 0.05, 1 - a, a)
    paired = bootstrap_interval(a - b, patients)
    alone = bootstrap_interval(a, patients)
    assert paired.hi - paired.lo < alone.hi - alone.lo


def test_quick_for_ten_thousand_patients():
    start = time.process_time()
    bootstrap_interval(np.ones(10_000), np.arange(10_000), resamples=1000)
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize("bad", [{"resamples": 0}, {"level": 1.0}, {"level": 95}])
def test_bad_settings(bad):
    with pytest.raises(ValueError, match="resamples"):
        bootstrap_interval([1, 0], ["a", "b"], **bad)
    with pytest.raises(ValueError, match="must both be"):
        bootstrap_interval([1, 0], ["a"])
