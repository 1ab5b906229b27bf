"""The probe of exclusive classes against scikit-learn written out plainly, on features by hand."""

import numpy as np
import pytest
from films import make_record
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from tested import FakeRun, embedded

from anatomy_clip.anatomy.findings import FindingSet
from anatomy_clip.core.radiographs import Finding
from anatomy_clip.core.refusals import Refused
from anatomy_clip.core.terms import State
from anatomy_clip.evaluation.class_probe import ClassProbe
from anatomy_clip.stores.label_shares import draw_share

CLASSES = ("no_finding", "consolidation", "covid_pattern")
WIDTH, STRENGTHS = 5, (0.001, 0.1, 10.0)
DIRECTIONS = np.random.default_rng(4).normal(size=(3, WIDTH))
POSITIVE, NEGATIVE = Finding(State.POSITIVE), Finding(State.NEGATIVE)


def stated(*shown):
    return {name: POSITIVE if name in shown else NEGATIVE for name in CLASSES}


def films(split, count, seed):
    """Half of the films show nothing, and one in ten two of the classes."""
    rng = np.random.default_rng(seed)
    classes = rng.choice(3, count, p=[0.5, 0.3, 0.2])
    both = rng.random(count) < 0.1
    shown = [CLASSES[1:] if two else (CLASSES[c],) for c, two in zip(classes, both, strict=True)]
    records = [make_record(n, split, patient=f"{split}{n // 2}", findings=stated(*one)) for n, one in enumerate(shown)]
    features = DIRECTIONS[classes] + rng.normal(size=(count, WIDTH)) * [1, 2, 4, 1, 1] + 3
    return embedded(features, records), np.where(both, -1, classes)


def run_of(seed=0, **changes):
    sets = {"train": {"train": films("train", 120, seed)[0]}, "validation": {"v": films("v", 60, seed + 1)[0]}}
    return FakeRun({**sets, "test": {"test": films("test", 90, seed + 2)[0]}} | changes, seed=seed)


def probe(**arguments):
    known = {"classes": CLASSES, "strengths": STRENGTHS, "least": 1, "resamples": 50}
    return ClassProbe(FindingSet(["consolidation", "covid_pattern"]), **known | arguments)


def plain(seed, drawn=None):
    """Strength, and the guesses and truth of the test films that show one class."""
    (x, y), (seen, truth), (at, wanted) = (
        (one.pooled.double().numpy(), labels)
        for one, labels in (films("train", 120, seed), films("v", 60, seed + 1), films("test", 90, seed + 2))
    )
    rows = y >= 0 if drawn is None else drawn
    mean, spread = x[rows].mean(axis=0), x[rows].std(axis=0)
    found = []
    for strength in STRENGTHS:
        line = LogisticRegression(C=strength, class_weight="balanced", tol=1e-8, max_iter=10_000)
        line.fit((x[rows] - mean) / spread, y[rows])
        guesses = line.predict((seen[truth >= 0] - mean) / spread)
        found.append((balanced_accuracy_score(truth[truth >= 0], guesses), strength, line))
    _, strength, line = max(found, key=lambda one: one[0])
    return strength, line.predict((at[wanted >= 0] - mean) / spread), wanted[wanted >= 0]


@pytest.mark.parametrize("seed", range(3))
def test_accuracies_are_scikit_learns_of_films_that_show_one_class(seed):
    one = probe()
    table = one.predict(run_of(seed))
    strength, guesses, truth = plain(seed)
    assert set(table["strength"]) == {strength} and table["target"].tolist() == truth.tolist()
    cells = {cell.cell: cell for cell in one.score(table.sample(frac=1.0, random_state=0))}
    accuracy = cells["classes/accuracy/100/test"]
    assert accuracy.value == pytest.approx(balanced_accuracy_score(truth, guesses)) and accuracy.n == len(truth)
    assert accuracy.lo < accuracy.value < accuracy.hi


def test_draws_of_a_share_are_averaged_and_hold_films_enough_of_each_class():
    one = probe(shares=[0.05], draws=3, least=4)
    table = one.predict(run_of())
    train, labels = films("train", 120, 0)
    owners = [("films", record.patient) for record in train.records]
    accuracies = []
    for draw, part in table.groupby("draw"):
        drawn = draw_share(owners, labels, 0.05, 4, 0, draw)
        assert np.bincount(labels[drawn]).min() >= 4
        assert set(part["labelled"]) == {len({owners[n] for n in np.flatnonzero(drawn)})}
        _, guesses, truth = plain(0, drawn)
        accuracies.append(balanced_accuracy_score(truth, guesses))
    cells = {cell.cell: cell for cell in one.score(table)}
    assert cells["classes/accuracy/5/test"].value == pytest.approx(np.mean(accuracies), abs=1e-9)


def test_what_cannot_be_fitted_or_chosen_is_refused():
    (train,) = run_of().sets("train").values()
    bare = embedded(train.pooled, [make_record(n, findings=stated("no_finding")) for n in range(len(train))])
    with pytest.raises(Refused, match="no training film shows consolidation and no other class"):
        probe().predict(run_of(train={"train": bare}))
    with pytest.raises(Refused, match=r"data\.validation has no set"):
        probe().predict(run_of(validation={}))
    with pytest.raises(Refused, match=r"covid_patern is not one of the labels \(did you mean 'covid_pattern'\?\)"):
        probe(classes=["covid_patern"])
