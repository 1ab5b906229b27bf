"""The patient bootstrap: hand cases, an independent loop, coverage by simulation, speed."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from anatomy_clip.metrics import bootstrap
from anatomy_clip.metrics.bootstrap import bootstrap_interval, bootstrap_statistic


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
    assert ours.lo < values.mean() < ours.hi


def coverage(patients, trials=400):
    """Share of simulated studies whose interval holds the truth: with patients as the unit, and with slices."""
    rng = np.random.default_rng(patients)
    inside = naive = 0
    for trial in range(trials):
        values, of_slice = clustered(rng, patients=patients, spread=0.3)
        interval = bootstrap_interval(values, of_slice, resamples=400, seed=trial)
        inside += interval.lo <= 0.7 <= interval.hi
        slices = bootstrap_interval(values, np.arange(len(values)), resamples=400, seed=trial)
        naive += slices.lo <= 0.7 <= slices.hi
    return inside / trials, naive / trials


def test_coverage_by_simulation_with_30_patients():
    by_patient, by_slice = coverage(30)
    assert 0.90 <= by_patient <= 0.99
    assert by_slice < by_patient  # slices as the unit would claim too much


def test_with_3_patients_an_interval_covers_far_less_than_it_says():
    by_patient, _ = coverage(3)
    assert 0.6 <= by_patient <= 0.85  # three equal draws are the widest there is: never trust them


def test_one_patient_is_undefined():
    interval = bootstrap_interval([1, 0, 1], ["a", "a", "a"])
    assert math.isnan(interval.lo) and math.isnan(interval.hi)
    empty = bootstrap_interval([], [])
    assert math.isnan(empty.lo)


def test_equal_patients_have_no_spread():
    assert bootstrap_interval([1, 0, 1, 0], ["a", "a", "b", "b"]) == (0.5, 0.5)


def test_two_patients_by_hand():
    # resamples: both a (0), both b (1), one of each (0.5): the interval spans them all
    assert bootstrap_interval([0, 1], ["a", "b"]) == (0.0, 1.0)


def test_slices_that_do_not_count_are_nan_and_empty_resamples_are_dropped():
    interval = bootstrap_interval([1.0, np.nan, np.nan], ["a", "b", "b"], resamples=1000)
    assert interval == (1.0, 1.0)  # both draws are b in a quarter of the resamples
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


def test_a_ratio_of_sums_matches_a_plain_loop():
    rng = np.random.default_rng(0)
    per = rng.integers(0, 5, size=300).astype(float)
    values, patients = rng.random(300) * per, np.repeat(np.arange(30), 10)
    ratios = []
    for _ in range(2000):
        taken = np.concatenate([np.flatnonzero(patients == p) for p in rng.choice(30, size=30)])
        ratios.append(values[taken].sum() / per[taken].sum())
    ours = bootstrap_interval(values, patients, resamples=4000, per=per)
    np.testing.assert_allclose([ours.lo, ours.hi], np.percentile(ratios, [2.5, 97.5]), atol=0.01)
    assert bootstrap_interval(values, patients, per=np.ones(300)) == bootstrap_interval(values, patients)


def test_quick_for_ten_thousand_patients():
    start = time.process_time()
    bootstrap_interval(np.ones(10_000), np.arange(10_000), resamples=1000)
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize("bad", [{"resamples": 0}, {"level": 1.0}, {"level": 95}])
def test_bad_settings(bad):
    with pytest.raises(ValueError, match=f"{next(iter(bad))}={next(iter(bad.values()))} must"):
        bootstrap_interval([1, 0], ["a", "b"], **bad)
    with pytest.raises(ValueError, match=r"must be \(slices,\)"):
        bootstrap_interval([1, 0], ["a"])


def weighted_mean(values):
    return lambda counts: (counts @ values) / counts.sum(axis=1)


def test_a_statistic_in_resamples_matches_a_plain_loop():
    """Of a spread, which no ratio of sums is."""
    values, patients = clustered(np.random.default_rng(0), patients=12)

    def spreads(counts):
        mean = weighted_mean(values)(counts)
        return np.sqrt(weighted_mean(values**2)(counts) - mean**2)

    rng, found = np.random.default_rng(2), []
    for _ in range(2000):
        found.append(np.concatenate([values[patients == p] for p in rng.choice(12, size=12)]).std())
    ours = bootstrap_statistic(spreads, patients, resamples=4000)
    np.testing.assert_allclose(ours, np.percentile(found, [2.5, 97.5]), atol=0.01)
    narrow = bootstrap_statistic(spreads, patients, resamples=4000, level=0.5)
    np.testing.assert_allclose(narrow, np.percentile(found, [25, 75]), atol=0.01)


def test_the_mean_as_a_statistic_has_the_interval_of_the_mean(monkeypatch):
    values, patients = clustered(np.random.default_rng(0))
    whole = bootstrap_statistic(weighted_mean(values), patients, resamples=4000)
    np.testing.assert_allclose(whole, bootstrap_interval(values, patients, resamples=4000), atol=0.01)
    monkeypatch.setattr(bootstrap, "_CHUNK", 3 * len(values))  # 3 resamples at once
    assert bootstrap_statistic(weighted_mean(values), patients, resamples=4000) == whole


def test_a_statistic_of_one_patient_has_no_interval_and_resamples_without_a_value_are_left_out():
    assert np.isnan(bootstrap_statistic(weighted_mean(np.ones(3)), ["p"] * 3)).all()
    values = np.arange(4.0)
    some = bootstrap_statistic(
        lambda counts: np.where(counts[:, 0] > 0, counts @ values, np.nan), ["a", "b", "c", "d"], resamples=500
    )
    assert 0 <= some.lo < some.hi <= 9  # never the 12 of four times the last row, which lacks the first
    with pytest.raises(ValueError, match="resamples=0"):
        bootstrap_statistic(weighted_mean(values), ["a", "b", "c", "d"], resamples=0)
    with pytest.raises(ValueError, match="level=1"):
        bootstrap_statistic(weighted_mean(values), ["a", "b", "c", "d"], level=1.0)
