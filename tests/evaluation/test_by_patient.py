"""Hit@1 as the mean over patients, against loops over a hand-made set."""

from itertools import groupby

import numpy as np
import pytest
import torch
from tested import FakeRun, embedded

from anatomy_clip.anatomy.labels import label_matrices
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.evaluation.by_patient import ByPatient, cells_of, of_folds
from anatomy_clip.evaluation.cells import mean_over_patients
from anatomy_clip.evaluation.probe_by_patient import ProbeByPatient
from anatomy_clip.text.class_prompts import EvaluationPrompts

TAXONOMY = Taxonomy.load("whole_body")
ORGANS, STATIONS = list(TAXONOMY.organs), list(TAXONOMY.stations)


def embed(texts):
    names = [*ORGANS, *STATIONS]
    return torch.eye(len(names))[[names.index(text) for text in texts]]


def one(patient, modality, organs, stations, says, unsure=(), source="a"):
    """A slice, and the organ and station that its image is nearest to."""
    protocol = Protocol.OTHER if modality == "MR" else Protocol.NONE
    known = {"organs": organs, "stations": stations, "unsure": unsure}
    record = SliceRecord(source, "x", patient, "", "", 0, Modality(modality), protocol, Orientation.AXIAL, **known)
    image = torch.zeros(len(ORGANS) + len(STATIONS))
    for rank, name in enumerate(says[0]):
        image[ORGANS.index(name)] = 2.0 - rank
    image[len(ORGANS) + STATIONS.index(says[1])] = 2.0
    return record, image.tolist()


SLICES = [
    one("p", "CT", ("lungs",), ("chest",), [["lungs"], "chest"]),
    one("p", "CT", ("lungs", "heart"), ("chest",), [["heart"], "abdomen"]),
    one("p", "CT", ("lungs",), ("chest",), [["liver"], "abdomen"]),
    one("q", "CT", ("liver",), None, [["kidneys", "liver"], "head"], unsure=("kidneys",)),  # the next one counts
    one("q", "MR", None, ("abdomen",), [["brain"], "abdomen"]),  # no organ is known
    one("p", "MR", ("brain",), ("head",), [["neck"], "head"], source="b"),  # the id is another patient's in source b
]


def rows(slices=SLICES):
    records, images = zip(*slices, strict=True)
    labels = label_matrices(records, TAXONOMY)
    shown = embedded(images, list(records), **labels)
    evaluator = ByPatient(EvaluationPrompts(["{organ}"], ["{station}"]), TAXONOMY, sets=["held_out"], resamples=100)
    run = FakeRun({"test": {"held_out": shown}}, embed, records=list(records))
    return evaluator, evaluator.predict(run)


def test_answers_leave_unsure_organs_out_and_unknown_ones_uncounted():
    _, table = rows()
    assert table["organ_named"].tolist() == ["lungs", "heart", "liver", "liver", "brain", "neck"]
    np.testing.assert_array_equal(table["organ_right"], [1, 1, 0, 1, np.nan, 0])
    np.testing.assert_array_equal(table["station_right"], [1, 0, 0, np.nan, 1, 1])


def test_a_patient_of_many_slices_counts_once():
    evaluator, table = rows()
    scores = {score.cell: score for score in evaluator.score(table)}

    def plain(kind, keep=lambda row: True):
        kept = [row for _, row in table.iterrows() if keep(row) and not np.isnan(row[f"{kind}_right"])]
        key = lambda row: (row["source"], row["patient"])  # noqa: E731
        means = [np.mean([row[f"{kind}_right"] for row in of]) for _, of in groupby(sorted(kept, key=key), key)]
        return np.mean(means), len(kept)

    for kind in ("organ", "station"):
        cells = {"": lambda row: True, "/CT": lambda row: row["modality"] == "CT", "/a/CT": lambda row: (
            row["source"], row["modality"]) == ("a", "CT")}  # fmt: skip
        for part, keep in cells.items():
            value, n = plain(kind, keep)
            assert scores[f"{kind}/held_out{part}"].value == pytest.approx(value)
            assert scores[f"{kind}/held_out{part}"].n == n
    assert scores["organ/held_out/lungs/CT"].value == pytest.approx(2 / 3)
    assert scores["organ/held_out/heart/CT"].value == 1.0
    # lungs are on all slices of p in source a, and on none of the two other patients'
    assert scores["organ/held_out/constant"].value == pytest.approx(np.mean([1, 0, 0]))
    assert scores["station/held_out/MR/constant"].value == pytest.approx(0.5)
    assert "organ/held_out/brain/CT" not in scores


def test_folds_that_are_joined_are_one_set_of_patients():
    import pandas as pd

    _, first = rows(SLICES[:3])
    _, second = rows(SLICES[3:])
    _, whole = rows()
    joined = cells_of(pd.concat([first, second], ignore_index=True).sort_values(["set", "row"], kind="stable"))
    for name, cell in cells_of(whole).items():
        assert joined[name].value == pytest.approx(cell.value)


def test_resampled_patients_keep_their_weight():
    values, patients = np.array([1.0, 0.0, 0.0, np.nan]), np.array(["a", "a", "b", "c"])
    cell = mean_over_patients(values, patients)
    assert cell.value == pytest.approx(0.25) and len(cell.patients) == 3
    counts = np.array([[2.0, 2.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(cell.statistic(counts), [(2 * 0.5 + 0) / 3, 0.0, np.nan])


def test_the_runs_of_a_cross_validation_are_scored_as_one(tmp_path):
    evaluator, whole = rows()
    for fold, part in enumerate((SLICES[:3], SLICES[3:])):
        (folder := tmp_path / f"real_{fold}").mkdir()
        rows(part)[1].to_parquet(folder / "by_patient.parquet")
    (tmp_path / "real_2").mkdir()  # not evaluated
    found = {one.cell: one for one in of_folds(tmp_path.glob("real_*"), 100)}
    wanted = {one.cell: one for one in evaluator.score(whole)}
    assert set(found) == {f"{kind}/held_out{part}" for kind in ("organ", "station") for part in ("", "/CT", "/MR")}
    for name, one in found.items():
        assert (one.value, one.n) == (pytest.approx(wanted[name].value), wanted[name].n)
    assert of_folds([tmp_path / "real_2"], 100) == []


def test_a_probe_names_what_scikit_learns_regressions_score_highest():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    choices = [("brain", "head"), ("lungs", "chest"), ("liver", "abdomen")]
    picks = rng.integers(0, 3, 60)
    slices = [one(f"p{n}", "CT", (choices[k][0],), (choices[k][1],), [[], "head"]) for n, k in enumerate(picks)]
    records = [record for record, _ in slices]
    images = rng.normal(size=(60, 5)) + np.eye(5)[picks] * 1.5
    labels = label_matrices(records, TAXONOMY)
    train, test = (
        embedded(images[part].tolist(), records[part], **{kind: values[part] for kind, values in labels.items()})
        for part in (slice(0, 40), slice(40, 60))
    )
    evaluator = ProbeByPatient(TAXONOMY, sets=["held_out"], strength=0.3)
    table = evaluator.predict(FakeRun({"train": {"train": train}, "test": {"held_out": test}}, embed, records=records))
    seen = train.pooled.numpy().astype(np.float64)
    scores = []
    for k in range(3):
        fitted = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, tol=1e-8)).fit(seen, picks[:40] == k)
        scores.append(fitted.decision_function(test.pooled.numpy().astype(np.float64)))
    best = np.argmax(scores, axis=0)
    assert table["organ_named"].tolist() == [choices[k][0] for k in best]
    assert table["station_named"].tolist() == [choices[k][1] for k in best]
    assert table["organ_right"].tolist() == [float(k == pick) for k, pick in zip(best, picks[40:], strict=True)]
