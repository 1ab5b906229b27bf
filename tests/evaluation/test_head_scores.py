"""The scores of a head against scikit-learn, on features by hand."""

from dataclasses import dataclass

import numpy as np
import pytest
from films import make_record
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from tested import FakeRun, embedded

from anatomy_clip.anatomy.classes import ClassSet
from anatomy_clip.anatomy.findings import FindingSet
from anatomy_clip.core.refusals import Refused
from anatomy_clip.data.labelled import Labelled
from anatomy_clip.evaluation.head_scores import COLUMNS, HeadScores

FILMS, WIDTH = 60, 4
FINDINGS, CLASSES = FindingSet(["edema", "nodule"], name="two"), ClassSet(["no_finding", "edema", "nodule"])


@dataclass
class HeadRun(FakeRun):
    """A run whose head has the given weights, (W, K)."""

    head: np.ndarray | None = None
    known: Labelled | None = None

    def head_scores(self, pooled):
        return pooled.double().numpy() @ self.head

    def labelled(self):
        return self.known


def run_of(labels, draw=0, **sets):
    """Test films, two a study and four a patient, of (N, K) labels; the head is the draw's."""
    space = "finding" if labels.shape[1] == 2 else "class"
    rng = np.random.default_rng(0)
    features = rng.normal(size=(FILMS, WIDTH)) + labels[:, :1]
    records = [make_record(n, "test", patient=f"p{n // 4}", study=f"s{n // 2}") for n in range(FILMS)]
    films = embedded(features, records, **{space: labels})
    head = np.random.default_rng(draw + 1).normal(size=(WIDTH, labels.shape[1]))
    known = Labelled(0.1, draw, (7,) * labels.shape[1])
    return HeadRun({"test": {"test": films} | sets}, head=head, known=known), features.astype(np.float32) @ head


def findings():
    labels = np.random.default_rng(2).integers(0, 2, (FILMS, 2))
    labels[::9] = -1
    labels[1::9, 1] = -1
    return labels


def area(truth, scores):
    truth, scores = np.array(truth), np.array(scores)
    return roc_auc_score(truth[truth >= 0], scores[truth >= 0])


def test_findings_have_areas_by_film_by_study_and_each_alone():
    labels, one = findings(), HeadScores(FINDINGS, resamples=20)
    run, scores = run_of(labels)
    table = one.predict(run)
    assert tuple(table.columns) == COLUMNS and len(table) == FILMS
    np.testing.assert_allclose(np.stack(table["scores"]), scores, atol=1e-5)
    first = table.iloc[0]
    assert (first["task"], first["share"], first["draw"], list(first["labels"])) == ("two", 0.1, 0, ["edema", "nodule"])
    assert first["labelled"] == (7, 7)
    cells = {cell.cell: cell for cell in one.score(table.sample(frac=1.0, random_state=0))}
    alone = [area(labels[:, k], scores[:, k]) for k in range(2)]
    assert cells["fine_tuned/two/10/test"].value == pytest.approx(np.mean(alone), abs=1e-6)
    assert [cells[f"fine_tuned/two/10/test/{name}"].value for name in FINDINGS.findings] == pytest.approx(
        alone, abs=1e-6
    )
    pairs = labels.reshape(-1, 2, 2).max(axis=1), scores.reshape(-1, 2, 2).mean(axis=1)
    by_study = np.mean([area(pairs[0][:, k], pairs[1][:, k]) for k in range(2)])
    assert cells["fine_tuned/two/10/test/by_study"].value == pytest.approx(by_study, abs=1e-6)
    assert cells["fine_tuned/two/10/test/by_study"].n == (pairs[0].max(axis=1) >= 0).sum()


def classes():
    chosen = np.random.default_rng(3).choice(3, FILMS, p=[0.6, 0.3, 0.1])
    labels = np.eye(3, dtype=int)[chosen]
    labels[::5] = -1
    return labels


def test_classes_have_the_accuracy_that_is_the_mean_over_classes():
    labels, one = classes(), HeadScores(CLASSES, resamples=20)
    run, scores = run_of(labels)
    [cell] = one.score(one.predict(run))
    known = labels.max(axis=1) == 1
    expected = balanced_accuracy_score(labels[known].argmax(axis=1), scores[known].argmax(axis=1))
    assert cell.cell == "fine_tuned/classes/10/test" and cell.value == pytest.approx(expected) and cell.n == known.sum()


@pytest.mark.parametrize(("taxonomy", "labels"), [(FINDINGS, findings()), (CLASSES, classes())])
def test_draws_in_one_table_are_averaged(taxonomy, labels):
    import pandas as pd

    one = HeadScores(taxonomy, resamples=5)
    tables = [one.predict(run_of(labels, draw)[0]) for draw in range(3)]
    each = [{cell.cell: cell.value for cell in one.score(table)} for table in tables]
    joined = {cell.cell: cell.value for cell in one.score(pd.concat(tables))}
    assert joined == {name: pytest.approx(np.mean([values[name] for values in each])) for name in each[0]}
    assert len({values[f"fine_tuned/{taxonomy.name}/10/test"] for values in each}) == 3


def test_a_test_set_that_is_not_there_is_refused():
    with pytest.raises(Refused, match=r"it uses the test set shifted, which is not in data\.test"):
        HeadScores(FINDINGS, sets=["shifted"]).predict(run_of(findings())[0])
