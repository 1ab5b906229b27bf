"""The linear probe against scikit-learn written out plainly, on features by hand."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from tested import FakeRun, embedded

from anatomy_clip.anatomy.findings import FindingSet
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.refusals import Refused
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.evaluation.linear_probe import LinearProbe, logits
from anatomy_clip.metrics.bootstrap import bootstrap_statistic
from anatomy_clip.stores.label_shares import draw_share

TAXONOMY = Taxonomy.load("whole_body")
WIDTH, LABELS, STRENGTHS = 6, 3, (0.0001, 0.01, 10.0)


def records(name, patients, slices):
    return [
        SliceRecord("s", name, f"{name}-{p}", "s", "1", n, Modality.CT, Protocol.NONE, Orientation.AXIAL)
        for p in range(patients) for n in range(slices)
    ]  # fmt: skip


def noisy(name, seed, patients=8, slices=6, unknown=0.2):
    """Features of which each label follows a few, with noise; some labels are unknown."""
    rng = np.random.default_rng([seed, len(name)])
    features = rng.normal(3, [1, 2, 5, 1, 1, 1], size=(patients * slices, WIDTH))
    slopes = np.random.default_rng(seed).normal(size=(WIDTH, LABELS))
    signal = (features - 3) @ slopes
    labels = (signal + rng.normal(size=signal.shape) * 3 > 1).astype(int)
    labels[rng.random(labels.shape) < unknown] = -1
    return embedded(features, records(name, patients, slices), organ=labels)


def fake(seed=0, **changes):
    sets = {"train": "train", "validation": "phantom", "test": "set1"}
    return FakeRun({role: {name: noisy(role, seed)} for role, name in sets.items()} | changes, seed=seed)


def probe(**arguments):
    return LinearProbe(TAXONOMY, **{"strengths": STRENGTHS, "resamples": 100, **arguments})


def plain(run):
    """Strength and (N, K) scores of the test slices, as the docstring of `LinearProbe` says, label by label."""
    (train,), (validation,), (test,) = (run.sets(role).values() for role in ("train", "validation", "test"))
    x, y = train.pooled.double().numpy(), train.labels["organ"]
    mean, spread = x.mean(axis=0), x.std(axis=0)
    best = None
    for strength in STRENGTHS:
        lines, areas = [], []
        for k in range(LABELS):
            rows = [n for n in range(len(x)) if y[n, k] != -1]
            line = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000).fit((x[rows] - mean) / spread, y[rows, k])
            lines.append(line)
            seen, truth = validation.pooled.double().numpy(), validation.labels["organ"][:, k]
            rows = [n for n in range(len(seen)) if truth[n] != -1]
            areas.append(roc_auc_score(truth[rows], line.decision_function((seen[rows] - mean) / spread)))
        if best is None or np.mean(areas) > best[0]:
            best = np.mean(areas), strength, lines
    at = (test.pooled.double().numpy() - mean) / spread
    return best[1], np.stack([line.decision_function(at) for line in best[2]], axis=1)


def mean_auroc(scores, labels):
    return np.mean([roc_auc_score(labels[labels[:, k] >= 0, k], scores[labels[:, k] >= 0, k]) for k in range(LABELS)])


def test_scores_and_cell_are_scikit_learns_with_unknown_labels_left_out():
    chosen = set()
    for seed in range(6):
        run = fake(seed)
        table = probe().predict(run)
        strength, scores = plain(run)
        assert set(table["strength"]) == {strength}
        np.testing.assert_allclose(np.stack(table["scores"]), scores, rtol=2e-3, atol=2e-3)
        labels = run.sets("test")["set1"].labels["organ"]
        assert (np.stack(table["targets"]) == labels).all() and (labels == -1).any()
        (cell,) = probe().score(table)
        assert cell.cell == "probe/organ/100/set1" and cell.n == (labels >= 0).any(axis=1).sum()
        assert cell.value == pytest.approx(mean_auroc(scores, labels), abs=2e-3)
        assert cell.lo < cell.value < cell.hi
        chosen.add(strength)
    assert len(chosen) > 1  # the strengths do compete


def test_labels_are_fitted_one_by_one_and_one_that_is_unknown_throughout_has_no_score():
    run = fake()
    (train,) = run.sets("train").values()
    alone = train.labels["organ"].copy()
    alone[:, 1:] = -1  # the first label alone is fitted
    only = fake(train={"train": embedded(train.pooled, train.records, organ=alone)})
    one, all_three = (np.stack(probe(strengths=[1.0]).predict(r)["scores"]) for r in (only, run))
    np.testing.assert_allclose(one[:, 0], all_three[:, 0], atol=1e-6)
    assert np.isnan(one[:, 1:]).all() and not np.isnan(all_three).any()


def test_the_strength_is_chosen_on_validation_alone():
    run, (test,) = fake(1), fake(1).sets("test").values()
    turned = np.where(test.labels["organ"] == -1, -1, 1 - test.labels["organ"])
    other = fake(1, test={"set1": embedded(test.pooled, test.records, organ=turned)})
    ours, theirs = probe().predict(run), probe().predict(other)
    for column in ("strength", "scores"):
        assert ours[column].tolist() == theirs[column].tolist()
    assert probe().score(theirs)[0].value == pytest.approx(1 - probe().score(ours)[0].value)
    strengths = set()
    for seed in range(6):
        validation = {"phantom": noisy("validation", seed)}
        strengths |= set(probe().predict(fake(1, validation=validation))["strength"])
    assert len(strengths) > 1


def one_label_a_patient(name, patients=8):
    """Label k is shown by one slice of patient k and by no other: a fit knows it only if that patient is in it."""
    labels = np.zeros((patients * 2, patients), int)
    labels[np.arange(patients) * 2, np.arange(patients)] = 1
    features = np.random.default_rng(len(name)).normal(size=(patients * 2, WIDTH))
    return embedded(features, records(name, patients, 2), organ=labels)


def patients_by_share(seed, draws=3):
    roles = {role: {role: one_label_a_patient(role)} for role in ("train", "validation", "test")}
    table = probe(shares=[0.25, 0.5, 1.0], draws=draws, strengths=[1.0]).predict(FakeRun(roles, seed=seed))
    assert table.groupby(["share", "draw"])["row"].apply(list).map(lambda rows: rows == list(range(16))).all()
    found = {}
    for key, part in table.groupby(["share", "draw"]):
        known = ~np.isnan(np.stack(part["scores"]))
        assert (known == known[0]).all() and set(part["patients"]) == {known[0].sum()}
        found[key] = set(np.flatnonzero(known[0]))
    return found


def test_shares_are_of_patients_each_within_the_next_and_draws_differ():
    found = patients_by_share(seed=0)
    assert {key: len(p) for key, p in found.items()} == {
        **{(0.25, draw): 2 for draw in range(3)}, **{(0.5, draw): 4 for draw in range(3)}, (1.0, 0): 8,
    }  # fmt: skip
    for draw in range(3):
        assert found[0.25, draw] < found[0.5, draw] < found[1.0, 0]
    assert len({frozenset(found[0.5, draw]) for draw in range(3)}) > 1
    assert patients_by_share(seed=0) == found
    assert patients_by_share(seed=1) != found


def test_draws_are_averaged_and_their_interval_is_that_of_the_mean():
    run = fake(2)
    one = probe(shares=[0.5], draws=3, resamples=20)
    table = one.predict(run)
    (cell,) = one.score(table.sample(frac=1.0, random_state=0))  # a table promises no order
    labels = run.sets("test")["set1"].labels["organ"]
    draws = [np.stack(part.sort_values("row")["scores"]) for _, part in table.groupby("draw")]
    assert len(draws) == 3 and cell.cell == "probe/organ/50/set1"
    assert cell.value == pytest.approx(np.mean([mean_auroc(scores, labels) for scores in draws]))
    patients = (table["source"] + "/" + table["patient"])[table["draw"] == 0].to_numpy()

    def statistic(counts):
        rows = [np.repeat(np.arange(48), one.astype(int)) for one in counts]
        return np.array([np.mean([mean_auroc(scores[r], labels[r]) for scores in draws]) for r in rows])

    expected = bootstrap_statistic(statistic, patients, 20)
    assert (cell.lo, cell.hi) == pytest.approx(tuple(expected))


def test_a_test_set_without_a_known_label_has_no_score_and_no_warning():
    (test,) = fake().sets("test").values()
    unknown = embedded(test.pooled, test.records, organ=np.full((len(test), LABELS), -1))
    run = fake(test={"known": test, "unknown": unknown})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        known, nothing = probe().score(probe().predict(run))
    assert known.cell == "probe/organ/100/known" and known.n > 0 and not np.isnan(known.lo)
    assert nothing.cell == "probe/organ/100/unknown" and nothing.n == 0
    assert np.isnan([nothing.value, nothing.lo, nothing.hi]).all()


def test_a_label_that_training_never_shows_counts_as_chance():
    run = fake()
    (train,), (test,) = run.sets("train").values(), run.sets("test").values()
    labels = train.labels["organ"].copy()
    labels[:, 2] = np.minimum(labels[:, 2], 0)
    run = fake(train={"train": embedded(train.pooled, train.records, organ=labels)})
    table = probe().predict(run)
    scores, truth = np.stack(table["scores"]), test.labels["organ"]
    assert np.isnan(scores[:, 2]).all() and not np.isnan(scores[:, :2]).any()
    areas = [roc_auc_score(truth[truth[:, k] >= 0, k], scores[truth[:, k] >= 0, k]) for k in range(2)]
    assert probe().score(table)[0].value == pytest.approx(np.mean([*areas, 0.5]))


def as_findings(run):
    """The same run, whose labels are of findings."""
    roles = {
        role: {name: embedded(one.pooled, one.records, finding=one.labels["organ"]) for name, one in sets.items()}
        for role, sets in run.roles.items()
    }
    return FakeRun(roles, seed=run.seed)


def test_labels_as_tasks_of_their_own_are_fitted_on_draws_of_their_own():
    run = as_findings(fake(3))
    (train,), (test,) = run.sets("train").values(), run.sets("test").values()
    findings = FindingSet(["nodule", "edema", "pneumothorax"])
    one = LinearProbe(findings, space="finding", strengths=[1.0], shares=[0.25], draws=2, least_positives=10)
    table = one.predict(run)
    y, x, owners = train.labels["finding"], train.pooled.double().numpy(), [("s", r.patient) for r in train.records]
    at = test.pooled.double().numpy()
    for draw, part in table.groupby("draw"):
        for k in range(LABELS):
            rows = draw_share(owners, y[:, k], 0.25, 10, 3, draw)
            assert (y[rows, k] == 1).sum() >= 10
            mean, spread = x[rows].mean(axis=0), x[rows].std(axis=0)
            line = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit((x[rows] - mean) / spread, y[rows, k])
            found = np.stack(part["scores"])[:, k]
            np.testing.assert_allclose(found, line.decision_function((at - mean) / spread), rtol=2e-3, atol=2e-3)
            assert part["labelled"].iloc[0][k] == len({owners[n] for n in np.flatnonzero(rows)})
        assert part["patients"].iloc[0] == round(np.mean(part["labelled"].iloc[0]))
    whole, *each = one.score(table)
    assert [cell.cell for cell in each] == [f"{whole.cell}/{name}" for name in findings.findings]
    assert whole.value == pytest.approx(np.mean([cell.value for cell in each]))
    for k, cell in enumerate(each):
        truth = test.labels["finding"][:, k]
        areas = [roc_auc_score(truth[truth >= 0], np.stack(part["scores"])[truth >= 0, k])
                 for _, part in table.groupby("draw")]  # fmt: skip
        assert cell.value == pytest.approx(np.mean(areas)) and cell.n == (truth >= 0).sum()


def test_the_named_test_sets_alone_are_scored_and_an_unknown_one_is_refused():
    (test,) = fake().sets("test").values()
    run = fake(test={"set1": test, "set2": test})
    assert set(probe(sets=["set2"]).predict(run)["set"]) == {"set2"}
    with pytest.raises(Refused, match=r"test set sett1, which is not in data.test \(did you mean 'set1'\?\)"):
        probe(sets=["sett1"]).predict(run)
    with pytest.raises(Refused, match="needs labels of findings; the taxonomy has organ, station, modality"):
        probe(space="finding")


def test_by_study_the_mean_score_of_its_slices_counts():
    run = as_findings(fake(4))
    findings = FindingSet(["nodule", "edema", "pneumothorax"])
    one = LinearProbe(findings, space="finding", strengths=[1.0], least_positives=1, by_study=["edema"], resamples=10)
    table = one.predict(run)
    studies = table["patient"] + table["study"]
    scores, truth = {}, {}
    for study, values, labels in zip(studies, table["scores"], table["targets"], strict=True):
        scores.setdefault(study, []).append(values[1])
        truth.setdefault(study, []).append(labels[1])
    known = [study for study, labels in truth.items() if max(labels) >= 0]
    expected = roc_auc_score([max(truth[s]) for s in known], [np.mean(scores[s]) for s in known])
    *_, cell = one.score(table)
    assert cell.cell == "probe/finding/100/set1/edema_by_study" and cell.n == len(known) == len(scores)
    assert cell.value == pytest.approx(expected)
    with pytest.raises(Refused, match="oedema is not one of the labels"):
        LinearProbe(findings, space="finding", by_study=["oedema"])


def test_the_first_draw_can_be_had_alone():
    run = fake(seed=3)
    evaluator = probe(shares=[0.5, 1.0], draws=2)
    table = evaluator.predict(run)
    first = table[(table["share"] == 0.5) & (table["draw"] == 0)]
    (test,) = run.sets("test").values()
    scores = logits(test.pooled.double().numpy(), evaluator.of_first_draw(run))
    np.testing.assert_array_equal(scores, np.array(first["scores"].to_list()))
