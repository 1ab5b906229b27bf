"""The probe of real films against scikit-learn written out plainly, and by what no fit may see."""

import os
from pathlib import Path

import numpy as np
import pytest
from films import make_record
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from support import compose_config
from tested import FakeRun, embedded

from anatomy_clip.anatomy.findings import FindingSet
from anatomy_clip.anatomy.labels import label_matrices
from anatomy_clip.cli.prepare import prepare
from anatomy_clip.evaluation.folds_probe import FoldsProbe, cells_of, folds_of
from anatomy_clip.runs.wiring import build
from anatomy_clip.stores.store import Store

NAMES, WIDTH, FOLDS, STRENGTH = ["edema", "nodule", "cardiomegaly"], 4, 5, 0.1
REAL = Path(os.environ.get("REAL_DATA", Path(__file__).parents[2].parent / "shared" / "realdata")) / "radiographs"


def probe(**arguments):
    known = {"sets": ["nih"], "strength": STRENGTH, "folds": FOLDS, "resamples": 100}
    return FoldsProbe(FindingSet(NAMES), **known | arguments)


def films(seed=0, patients=60, signal=2.0):
    """Two films a patient; edema is told by features, nodules are by chance, and cardiomegaly is shown by nine."""
    rng = np.random.default_rng(seed)
    count = 2 * patients
    features = rng.normal(3, [1, 2, 5, 1], size=(count, WIDTH))
    labels = np.stack([
        signal * (features[:, 0] - 3) + rng.normal(size=count) > 0.5, rng.random(count) < 0.3, np.arange(count) < 18,
    ], axis=1).astype(np.int8)  # fmt: skip
    labels[rng.random((count, 3)) < [0.1, 0.1, 0]] = -1
    return embedded(features, [make_record(n, "real", patient=f"p{n // 2}") for n in range(count)], finding=labels)


def run_of(films):
    return FakeRun({"test": {"nih": films}})


def plain(films, k):
    """(N,) scores of a finding: for each fold a fit of the films of all other patients; NaN where it isn't known."""
    x, y = films.pooled.double().numpy(), films.labels["finding"][:, k]
    owners = [("films", record.patient) for record in films.records]
    folds = folds_of(owners, y, FOLDS, 10, 0)
    scores = np.full(len(y), np.nan)
    for fold in range(FOLDS):
        out = {owner for owner, f in zip(owners, folds, strict=True) if f == fold}
        rows = [n for n in range(len(y)) if y[n] >= 0 and owners[n] not in out]
        mean, spread = x[rows].mean(axis=0), x[rows].std(axis=0)
        line = LogisticRegression(C=STRENGTH, tol=1e-10, max_iter=10_000).fit((x[rows] - mean) / spread, y[rows])
        for n in range(len(y)):
            if owners[n] in out and y[n] >= 0:
                scores[n] = line.decision_function(((x[n] - mean) / spread)[None])[0]
    return scores


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_scikit_learns_of_fits_without_the_patient(seed):
    shown = films(seed)
    table = probe().predict(run_of(shown))
    scores, truth = np.array(table["scores"].to_list()), shown.labels["finding"]
    cells = {cell.cell: cell for cell in probe().score(table.sample(frac=1.0, random_state=0))}
    areas = []
    for k in range(2):
        expected, known = plain(shown, k), truth[:, k] >= 0
        np.testing.assert_allclose(scores[known, k], expected[known], rtol=2e-3, atol=2e-3)
        cell = cells[f"real_films/nih/{NAMES[k]}"]
        areas.append(roc_auc_score(truth[known, k], scores[known, k]))
        assert cell.value == pytest.approx(areas[-1]) and cell.n == known.sum() and cell.lo < cell.value < cell.hi
    assert areas[0] > 0.85 and abs(areas[1] - 0.5) < 0.2
    assert cells["real_films/nih"].value == pytest.approx(np.mean(areas))
    assert set(cells) == {"real_films/nih", "real_films/nih/edema", "real_films/nih/nodule"}  # nine patients: too few


def test_the_labels_of_a_patient_move_the_scores_of_others_and_not_their_own():
    def scores(*of_first):
        shown = films()
        shown.labels["finding"][:2, 0] = of_first
        return np.array(probe().predict(run_of(shown))["scores"].to_list())[:, 0]

    before, after = scores(1, 0), scores(0, 1)  # shows it either way, so the folds stay
    assert (before[:2] == after[:2]).all() and not np.isnan(before[:2]).any()
    assert (before[2:] != after[2:]).any()


def test_folds_keep_patients_whole_and_deal_those_who_show_a_finding_evenly():
    rng = np.random.default_rng(3)
    owners = [("s", f"p{n}") for n in rng.integers(0, 83, 400)]
    labels = rng.choice([-1, 0, 1], 400, p=[0.2, 0.7, 0.1]).astype(np.int8)
    folds = folds_of(owners, labels, 5, 10, seed=1)
    assert ((folds == -1) == (labels == -1)).all() and set(folds) == {-1, 0, 1, 2, 3, 4}
    known = {owner: {f for o, f in zip(owners, folds, strict=True) if o == owner} - {-1} for owner in owners}
    assert all(len(found) <= 1 for found in known.values())
    showing = {owner for owner, label in zip(owners, labels, strict=True) if label == 1}
    for some in (showing, set(owners) - showing):
        sizes = [sum(fold in known[owner] for owner in some) for fold in range(5)]
        assert max(sizes) - min(sizes) <= 1 and min(sizes) > 3
    assert (folds != folds_of(owners, labels, 5, 10, seed=2)).any()
    assert (folds_of(owners, labels, 5, 60, seed=1) == -1).all()


def test_a_set_that_is_not_there_is_left_out_and_noted(tmp_path):
    one = probe(sets=["nih", "other"])
    run = run_of(films())
    assert set(one.predict(run)["set"]) == {"nih"}
    assert one.choose(run, tmp_path) == ["folds_probe: there is no test set other"]
    bare = FakeRun({"test": {}})
    assert one.score(one.predict(bare)) == [] and cells_of(one.predict(bare), NAMES) == {}
    with pytest.raises(ValueError, match="folds=1 must be from 2"):
        probe(folds=1)


@pytest.mark.skipif(not (REAL / "nih_64px").is_dir(), reason=f"no real radiographs at {REAL}")
def test_real_films_become_one_store_of_which_findings_of_ten_patients_are_scored(tmp_path, monkeypatch):
    monkeypatch.setenv("REAL_FILMS", str(REAL / "nih_64px"))
    quick = ("side=16", "workers=0", "contact_sheet=false")
    cfg = compose_config("prepare", "source=real_films", *quick, f"paths.data={tmp_path}")
    prepare(cfg, build(cfg.source), "real")
    store = Store.open(tmp_path / "nih_chestxray14" / "real", kind=None)
    taxonomy = FindingSet(["pleural_effusion", "cardiomegaly", "edema", "rib_fracture"])
    labels = label_matrices(store.manifest, taxonomy)
    pixels = np.asarray(store.images, np.float32).reshape(len(labels["finding"]), -1)
    run = run_of(embedded(pixels, list(store.manifest), **labels))
    one = FoldsProbe(taxonomy, sets=["nih"], strength=0.001, resamples=100)
    cells = {cell.cell: cell for cell in one.score(one.predict(run))}
    assert len(pixels) == 475 and len(store.manifest.patients()) == 128
    # All 21 films with edema are of one patient, and NIH says nothing of ribs.
    assert set(cells) == {"real_films/nih", "real_films/nih/pleural_effusion", "real_films/nih/cardiomegaly"}
    assert all(cell.n == 475 and cell.lo < cell.value < cell.hi for cell in cells.values())
