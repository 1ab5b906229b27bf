"""Means over seeds and patients: hand cases, plain loops, Student's tests where the table degenerates, simulation."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from anatomy_clip.metrics.classification import resampled_auroc
from anatomy_clip.metrics.crossed import crossed_mean, moments, p_values, pseudo_values, ratio_values
from experiments.significance import simulate


def plain(values):
    """Standard error and degrees of freedom by loops over the sums of squares."""
    s, p = len(values), len(values[0])
    mean = sum(map(sum, values)) / (s * p)
    of_seed = [sum(row) / p for row in values]
    of_patient = [sum(row[k] for row in values) / s for k in range(p)]
    a = p * sum((x - mean) ** 2 for x in of_seed) / (s - 1)
    b = s * sum((x - mean) ** 2 for x in of_patient) / (p - 1)
    c = 0.0
    for i in range(s):
        for k in range(p):
            c += (values[i][k] - of_seed[i] - of_patient[k] + mean) ** 2 / ((s - 1) * (p - 1))
    parts = [(a, s - 1)] + ([(b, p - 1), (c, (s - 1) * (p - 1))] if b > c else [])
    variance = a + max(b - c, 0)
    df = max(variance**2 / sum(x**2 / d for x, d in parts), min(s, p) - 1)
    return math.sqrt(variance / (s * p)), df


@pytest.mark.parametrize(("seeds", "patients"), [(3, 12), (5, 30), (2, 7), (4, 3)])
@pytest.mark.parametrize("of_patient", [0.0, 3.0])
def test_error_and_degrees_are_those_of_plain_loops(seeds, patients, of_patient):
    rng = np.random.default_rng(seeds)
    values = rng.normal(size=(seeds, patients)) + of_patient * rng.normal(size=patients) + rng.normal(size=(seeds, 1))
    found, (error, df) = crossed_mean(values), plain(values.tolist())
    assert (found.value, found.error, found.df) == pytest.approx((values.mean(), error, df))
    half = stats.t.ppf(0.975, df) * error
    assert (found.lo, found.hi) == pytest.approx((values.mean() - half, values.mean() + half))
    assert (found.seeds, found.patients) == (seeds, patients)
    many = moments(np.stack([values, -2 * values]))
    np.testing.assert_allclose(many.error, [error, 2 * error])
    np.testing.assert_allclose(many.df, df)


def test_by_hand():
    # rows 1 and 3 apart by the seed, columns by the patient, nothing left: A = 12, B = 6, C = 0
    found = crossed_mean([[0, 1, 2], [2, 3, 4]], level=0.9)
    assert found.value == 2 and found.error == pytest.approx(math.sqrt((6 + 2) / 6))
    assert found.df == pytest.approx((6 + 2) ** 2 / (6**2 / 1 + 2**2 / 2))
    assert math.isnan(found.p)  # two seeds


@pytest.mark.parametrize("axis", [0, 1])
def test_where_one_of_the_two_does_not_vary_it_is_the_t_test_over_the_other(axis):
    of_each = np.random.default_rng(0).normal(1.0, 1.0, size=6)
    values = np.stack([of_each] * 4, axis=1 - axis)  # seeds alone differ, or patients alone
    found, test = crossed_mean(values), stats.ttest_1samp(of_each, 0.0)
    assert found.p == pytest.approx(test.pvalue) and found.df == pytest.approx(5)
    assert (found.lo, found.hi) == pytest.approx(tuple(test.confidence_interval()))


def test_one_seed_has_the_t_interval_over_patients_and_no_p_value():
    of_patient = np.random.default_rng(1).normal(1.0, 1.0, size=9)
    found, test = crossed_mean(of_patient[None]), stats.ttest_1samp(of_patient, 0.0)
    assert (found.lo, found.hi) == pytest.approx(tuple(test.confidence_interval())) and math.isnan(found.p)


def test_unknown_and_degenerate():
    alone = crossed_mean([[1.0], [2.0], [4.0]])
    assert alone.value == pytest.approx(7 / 3) and all(map(math.isnan, (alone.lo, alone.hi, alone.error, alone.p)))
    same = crossed_mean(ratio_values(np.full((3, 30), 100 / 3), np.arange(30) % 7))
    assert same.lo == same.hi == pytest.approx(100 / 3) and same.error == 0 and math.isnan(same.p)
    cut = crossed_mean([[0.0, 1.0, 1.0]], bounds=(0.0, 1.0))
    assert (cut.lo, cut.hi) == (0.0, 1.0)
    assert math.isnan(crossed_mean([[1.0, np.nan], [1.0, 2.0]]).lo)
    for bad in ([1.0, 2.0], [[]]):
        with pytest.raises(ValueError, match=r"must be \(seeds, patients\)"):
            crossed_mean(bad)
    with pytest.raises(ValueError, match="level=95"):
        crossed_mean([[0, 1]], level=95)


def test_ratio_values_average_to_each_seeds_ratio_and_vary_as_the_ratio_does():
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(40), rng.integers(5, 40, size=40))
    per = rng.integers(0, 4, size=(3, len(patients))).astype(float)
    values = per * (rng.random(per.shape) < (0.4 + 0.3 * rng.random(40))[patients])
    found = ratio_values(values, patients, per)
    np.testing.assert_allclose(found.mean(axis=1), values.sum(axis=1) / per.sum(axis=1))
    member = patients[:, None] == np.arange(40)
    drawn = rng.multinomial(40, np.full(40, 1 / 40), size=4000)  # patients with replacement
    ratios = (drawn @ (values[0] @ member)) / (drawn @ (per[0] @ member))
    assert crossed_mean(found[:1]).error == pytest.approx(np.std(ratios), rel=0.06)
    np.testing.assert_allclose(found[0], ratio_values(values[0], patients, per[0])[0])


def test_ratio_values_by_hand():
    # seed 0: D = 3 / 4; a has T = 1, n = 2, b has T = 2, n = 2; c has no slice that counts
    found = ratio_values([[1, 0, 1, 1, np.nan]], ["a", "a", "b", "b", "c"])
    np.testing.assert_allclose(found, [[0.75 + (1 - 1.5) * 2 / 4, 0.75 + (2 - 1.5) * 2 / 4]])
    assert np.isnan(ratio_values([[np.nan], [1.0]], ["a"])).tolist() == [[True], [False]]
    with pytest.raises(ValueError, match=r"\(seeds, slices\)"):
        ratio_values([[1, 0]], ["a"])


def test_pseudo_values_of_a_mean_are_its_ratio_values_and_of_an_auroc_the_jackknife():
    rng = np.random.default_rng(0)
    patients, hit = np.repeat(np.arange(8), 5), rng.random(40)
    mean = pseudo_values(lambda counts: counts @ hit / counts.sum(axis=1), patients)
    np.testing.assert_allclose(mean, ratio_values(hit, patients)[0])
    targets = rng.random(40) < 0.4
    scores = rng.normal(size=40) + targets
    found = pseudo_values(lambda c: resampled_auroc(scores[:, None], targets[:, None], c)[:, 0], patients)
    without = [roc_auc_score(targets[patients != p], scores[patients != p]) for p in range(8)]
    assert found.mean() == pytest.approx(roc_auc_score(targets, scores))
    assert crossed_mean(found[None]).error ** 2 == pytest.approx(7 / 8 * np.sum((without - np.mean(without)) ** 2))
    assert pseudo_values(lambda counts: counts @ np.ones(3), ["a"] * 3).tolist() == [3.0]


@pytest.mark.parametrize(("seeds", "patients"), [(3, 30), (5, 30), (3, 10)])
def test_p_values_hold_their_level_and_intervals_their_coverage_where_trainings_differ(seeds, patients):
    """Two systems without a true difference: 4,000 suites tell 7 % from 5 % by five standard errors."""
    for deviation in (0, 1, 2):
        found = simulate(seeds, patients, deviation)
        print(seeds, patients, deviation, found)
        assert 1.0 < found.false_positives <= 7.0
        assert found.coverage >= 92
        if patients == 30 and deviation == 2:
            assert found.patients_only > 20  # what a test over patients alone would call real
            assert found.power[2] > 70
    assert found.power[0] < found.power[1] < found.power[2]


def test_p_values_are_those_of_students_distribution():
    found = p_values([2.0, -2.0, 1.0], [1.0, 1.0, 0.0], [4.0, 4.0, 2.0])
    np.testing.assert_allclose(found, [2 * stats.t.sf(2, 4)] * 2 + [np.nan])
