"""Decisions: hand cases of the rules, and what is chosen on validation."""

import json

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.inference.decisions import Decisions, LabelRule, choose
from anatomy_clip.metrics.calibration import logit
from anatomy_clip.metrics.multilabel import best_threshold

TAXONOMY = Taxonomy.load("whole_body")
ORGANS, STATIONS = TAXONOMY.organs, TAXONOMY.stations


def rule(labels, threshold):
    """Probability = sigmoid of the score."""
    return LabelRule(labels, np.ones(len(labels)), np.zeros(len(labels)), np.full(len(labels), threshold))


def hand(abstain_below=0.0):
    belongs = np.array([[True, False], [False, True], [True, True]])  # brain: head; liver: abdomen; skin: both
    return Decisions(rule(("brain", "liver", "skin"), 0.5), rule(("head", "abdomen"), 0.5), belongs, abstain_below)


def named(decided):
    return decided.organs[0].astype(int).tolist(), decided.stations[0].astype(int).tolist()


def test_an_organ_is_named_only_with_a_station_where_it_can_occur():
    assert named(hand().decide([[3, 2, 1]], [[3, -1]])) == ([1, 0, 1], [1, 0])
    assert named(hand().decide([[3, 2, 1]], [[3, 1]])) == ([1, 1, 1], [1, 1])


def test_the_likeliest_station_is_named_below_its_threshold():
    assert named(hand().decide([[-1, 1, -1]], [[-2, -1]])) == ([0, 1, 0], [0, 1])


def test_nothing_is_named_where_no_organ_is_likely_enough():
    decided = hand(abstain_below=0.4).decide([[-2, -1, -3], [-0.1, -1, -3]], [[3, -1], [3, -1]])
    assert decided.abstained.tolist() == [True, False]
    assert named(decided) == ([0, 0, 0], [0, 0])
    assert decided.stations[1].tolist() == [True, False]
    np.testing.assert_allclose(decided.organ_probabilities[0, 0], 1 / (1 + np.exp(2)))


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"must be \(slices, 3\): brain, liver, skin"):
        hand().decide([[1, 2]], [[1, 2]])
    with pytest.raises(ValueError, match="2 rows of organ scores, but 1"):
        hand().decide([[1, 2, 3]] * 2, [[1, 2]])
    with pytest.raises(ValueError, match="slope"):
        LabelRule(("a", "b"), np.ones(1), np.ones(2), np.ones(2))


def validation(n=600, seed=0, lost=()):
    """Slices of one station and one or two of its organs, or of nothing; cosines a little above the others'."""
    rng = np.random.default_rng(seed)
    organs, stations = np.zeros((n, len(ORGANS)), bool), np.zeros((n, len(STATIONS)), bool)
    for row in range(n // 10, n):
        station = STATIONS[rng.integers(len(STATIONS))]
        inside = [o for o in ORGANS if station in TAXONOMY.organ_stations[o] and o not in lost]
        chosen = rng.choice(inside, size=rng.integers(1, 3), replace=False)
        organs[row], stations[row] = TAXONOMY.organ_vector(chosen), TAXONOMY.station_vector([station])

    def cosines(shown):
        return 0.2 + rng.normal(scale=0.02, size=shown.shape) + 0.08 * shown

    return cosines(organs), organs, cosines(stations), stations


@pytest.fixture(scope="module")
def chosen():
    return choose(*validation(), TAXONOMY)


def test_probabilities_are_scikit_learns(chosen):
    scores, targets, _, _ = validation()
    k, scale = ORGANS.index("liver"), chosen.organ.scale
    share = log_softmax(scale * scores, axis=1)[:, k] / scale  # equation 2; the line is blind to a constant
    z = ((share - share.mean()) / share.std())[:, None]
    expected = LogisticRegression(C=1.0, tol=1e-10).fit(z, targets[:, k]).predict_proba(z)[:, 1]
    np.testing.assert_allclose(chosen.organ.probabilities(scores)[:, k], expected, atol=1e-5)


def test_chosen_rules_do_well_on_other_slices(chosen):
    organ_scores, organs, station_scores, stations = validation(seed=1)
    decided = chosen.decide(organ_scores, station_scores)
    assert f1_score(organs, decided.organs, average="micro") > 0.8
    assert f1_score(stations, decided.stations, average="micro") > 0.9
    empty = ~organs.any(axis=1)
    assert decided.abstained[empty].mean() > 0.6 and decided.abstained[~empty].mean() < 0.2
    allowed = decided.stations @ chosen.belongs.T
    assert not (decided.organs & ~allowed).any()


def test_a_label_that_validation_lacks_gets_its_base_rate_and_the_common_threshold():
    scores, organs, station_scores, stations = validation(lost=("foot",))
    found = choose(scores, organs, station_scores, stations, TAXONOMY)
    k = ORGANS.index("foot")
    probability = found.organ.probabilities(scores)
    odds = np.log(probability[:, k] / (1 - probability[:, k]))
    assert odds.mean() == pytest.approx(np.log(1 / (len(scores) + 1)))  # 1 / (N + 2) at the mean score
    assert found.organ.slope[k] > 0 and np.isfinite(probability).all()
    thresholds = found.organ.threshold
    assert f1_score(organs, probability >= thresholds[k], average="micro") > 0.8  # the common one


def test_few_positives_draw_a_threshold_to_the_common_one():
    scores, organs, station_scores, stations = validation()
    k = ORGANS.index("heart")
    few = organs.copy()
    few[:, k] = False
    few[np.flatnonzero(organs[:, k])[:2], k] = True
    found = choose(scores, few, station_scores, stations, TAXONOMY)
    common = choose(scores, organs & (np.arange(len(ORGANS)) != k), station_scores, stations, TAXONOMY)

    def odds(p):
        return np.log(p / (1 - p))

    # two positives among many lookalikes: its own best threshold is far from the others', and weighs 2 / 22
    assert abs(odds(found.organ.threshold[k]) - odds(common.organ.threshold[k])) < 1.0


def test_slices_are_left_unnamed_below_where_the_likeliest_organ_is_as_often_right_as_wrong(chosen):
    scores, organs, _, _ = validation()
    probability = chosen.organ.probabilities(scores)
    right = organs[np.arange(len(organs)), probability.argmax(axis=1)]
    z = (highest := probability.max(axis=1))[:, None] / highest.std()
    line = LogisticRegression(C=1.0, tol=1e-10).fit(z, right)
    assert chosen.abstain_below == pytest.approx(-line.intercept_[0] / line.coef_[0, 0] * highest.std(), rel=1e-3)
    assert right[highest < chosen.abstain_below].mean() < 0.5 < right[highest >= chosen.abstain_below].mean()


def test_a_sure_model_names_everything_and_a_wrong_one_nothing():
    scores, organs, station_scores, stations = (part[60:] for part in validation())
    sure = choose(scores + organs, organs, station_scores, stations, TAXONOMY)
    assert sure.abstain_below == 0.0
    one = np.zeros_like(organs)
    one[:, 0] = np.random.default_rng(0).random(len(one)) < 0.1
    assert choose(scores, one, station_scores, stations, TAXONOMY).abstain_below == 1.0


def test_a_shift_of_all_of_a_slices_cosines_changes_nothing(chosen):
    organ_scores, _, station_scores, _ = validation(seed=2)
    a = chosen.decide(organ_scores, station_scores)
    b = chosen.decide(organ_scores + np.linspace(-1, 1, len(organ_scores))[:, None], station_scores - 0.3)
    np.testing.assert_allclose(a.organ_probabilities, b.organ_probabilities, rtol=1e-6)


def test_plain_values_there_and_back(chosen):
    again = Decisions.from_dict(json.loads(json.dumps(chosen.to_dict())))
    organ_scores, _, station_scores, _ = validation(seed=2)
    for a, b in zip(
        chosen.decide(organ_scores, station_scores), again.decide(organ_scores, station_scores), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match=r"KeyError: 'station'.*stages=\[evaluate\]"):
        Decisions.from_dict({"organ": chosen.organ.to_dict()})
    with pytest.raises(ValueError, match="belongs"):
        Decisions.from_dict(chosen.to_dict() | {"belongs": [[True]]})


def test_what_cannot_be_chosen_from_is_refused():
    scores, organs, station_scores, stations = validation(50)
    with pytest.raises(ValueError, match="no validation slice shows any organ"):
        choose(scores, np.zeros_like(organs), station_scores, stations, TAXONOMY)
    with pytest.raises(ValueError, match="station scores"):
        choose(scores, organs, station_scores[:, :2], stations, TAXONOMY)
    with pytest.raises(ValueError, match="aren't finite"):
        choose(np.where(organs, np.nan, scores), organs, station_scores, stations, TAXONOMY)


def left_open():
    """The validation slices, and organs that some of them leave open: shown ones, and others."""
    scores, organs, station_scores, stations = validation()
    known = np.random.default_rng(7).random(organs.shape) > 0.15
    known[:20, 5] = False  # slices that show none for certain, and may show one
    return (scores, organs & known, station_scores, stations), known


def test_an_organ_that_is_left_open_is_neither_positive_nor_negative():
    parts, known = left_open()
    found = choose(*parts, TAXONOMY, known)
    scores, organs = parts[:2]
    other = (organs | ~known, *parts[2:])  # as if all that is left open were shown
    assert choose(scores, *other, TAXONOMY, known).to_dict() == found.to_dict() != choose(*parts, TAXONOMY).to_dict()
    k, scale = ORGANS.index("liver"), found.organ.scale
    share = log_softmax(scale * scores, axis=1)[known[:, k], k] / scale
    z = ((share - share.mean()) / share.std())[:, None]
    expected = LogisticRegression(C=1.0, tol=1e-10).fit(z, organs[known[:, k], k]).predict_proba(z)[:, 1]
    np.testing.assert_allclose(found.organ.probabilities(scores)[known[:, k], k], expected, atol=1e-5)


def test_thresholds_are_of_the_slices_that_know_the_label():
    (scores, organs, *stations), known = left_open()
    found = choose(scores, organs, *stations, TAXONOMY, known).organ
    probability = found.probabilities(scores)
    common = logit(best_threshold(probability[known], organs[known]))
    for k in range(len(ORGANS)):
        n, rows = organs[:, k].sum(), known[:, k]
        own = logit(best_threshold(probability[rows, k], organs[rows, k]))
        assert logit(found.threshold[k]) == pytest.approx((n * own + 20 * common) / (n + 20))


def test_nor_does_it_say_when_to_name_nothing():
    parts, known = left_open()
    found = choose(*parts, TAXONOMY, known)
    highest, right = [], []
    for row, shown, given in zip(found.organ.probabilities(parts[0]), parts[1], known, strict=True):
        if shown.any() or given.all():
            best = max(np.flatnonzero(given), key=lambda k: row[k])
            highest.append(row[best])
            right.append(shown[best])
    z = (highest := np.array(highest))[:, None] / highest.std()
    line = LogisticRegression(C=1.0, tol=1e-10).fit(z, right)
    assert len(right) < len(known)
    assert found.abstain_below == pytest.approx(-line.intercept_[0] / line.coef_[0, 0] * highest.std(), rel=1e-3)


def test_where_all_organs_are_known_nothing_changes(chosen):
    parts = validation()
    assert choose(*parts, TAXONOMY, np.ones_like(parts[1])).to_dict() == chosen.to_dict()
    with pytest.raises(ValueError, match="organ: known"):
        choose(*parts, TAXONOMY, np.ones((2, 2), bool))


def test_an_organ_that_every_slice_leaves_open_gets_a_rule_all_the_same():
    scores, organs, station_scores, stations = validation(lost=("foot",))
    known = np.arange(len(ORGANS)) != ORGANS.index("foot")
    found = choose(scores, organs, station_scores, stations, TAXONOMY, np.tile(known, (len(scores), 1)))
    assert np.isfinite(found.organ.probabilities(scores)).all() and np.isfinite(found.organ.threshold).all()
