"""What a reviewer is shown, against scikit-learn and plain loops."""

import numpy as np
import pytest
from fake_suite import ORGANS, write_suite
from sklearn.metrics import average_precision_score, roc_auc_score

from anatomy_clip.core.pseudonyms import Pseudonyms
from anatomy_clip.metrics.crossed import crossed_mean, ratio_values
from anatomy_clip.results.read import read_suite
from anatomy_clip.results.run_summary import GALLERY_COLUMNS, cells, gallery_rows, label_rows, settings, summary


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("outputs")
    write_suite(outputs, seeds=(0,))
    return {run.name: run for run in read_suite(outputs, "table3")[0]}


def rows_of(run, test_set, modality):
    frame = run.tables["zero_shot"]
    return frame[(frame["set"] == test_set) & (frame["modality"] == modality)].to_dict("records")


def plain(run, test_set, modality):
    """(patient, hit) of each slice that shows an organ."""
    rows = [row for row in rows_of(run, test_set, modality) if len(row["organ_targets"])]
    best = [ORGANS[int(np.argmax(row["organ_scores"]))] for row in rows]
    hits = [float(b in row["organ_targets"]) for b, row in zip(best, rows, strict=True)]
    return [f"fake/{row['patient']}" for row in rows], np.array(hits)


def test_cells_are_named_as_the_evaluation_names_them(runs):
    assert list(cells(runs["pmc"])) == [
        "organ/samples_ct_ct", "station/samples_ct_ct", "organ/samples_mr_mr", "station/samples_mr_mr",
        "organ/set1_mr", "organ/set1_ct", "station/set1_mr_ct",
        "organ/shifted_mr", "organ/shifted_ct", "station/shifted_mr_ct",
    ]  # fmt: skip


def test_numbers_and_gains_equal_plain_ones(runs):
    found = summary(runs["pmc_msa"], runs["pmc"])
    patients, hit = plain(runs["pmc_msa"], "set1", "MR")
    _, before = plain(runs["pmc"], "set1", "MR")
    for key, values in (("test/organ/set1_mr", hit), ("delta/organ/set1_mr", hit - before)):
        interval = crossed_mean(ratio_values(values, patients))
        shown = [found[f"{key}{end}"] for end in ("", "/lo", "/hi", "/n")]
        assert shown == pytest.approx([values.mean(), interval.lo, interval.hi, len(values)])
    assert found["delta/organ/set1_mr"] > 0.3
    assert not [key for key in summary(runs["pmc"]) if key.startswith("delta")]
    assert "test/organ/samples_mr_mr/lo" not in found  # one patient: no interval


def test_areas_by_label_equal_those_of_scikit_learn(runs):
    run = runs["pmc_m"]
    rows = rows_of(run, "shifted", "CT")
    found = summary(run)
    table = {(row[0], row[1]): row for row in label_rows(run)}
    for k, organ in enumerate(ORGANS):
        shown = [organ in row["organ_targets"] for row in rows]
        scores = [row["organ_scores"][k] for row in rows]
        cell = "organ/shifted_ct"
        area, precision = roc_auc_score(shown, scores), average_precision_score(shown, scores)
        assert found[f"test/{cell}/auroc/{organ}"] == pytest.approx(area)
        assert found[f"test/{cell}/auroc_n/{organ}"] == sum(shown)
        _, _, n, slices, _, auroc, ap = table[cell, organ]
        assert (n, slices, auroc, ap) == (sum(shown), len(rows), pytest.approx(area), pytest.approx(precision))


def test_gallery_holds_right_and_wrong_slices_under_ids_that_name_nobody(runs):
    run = runs["pmc_m"]
    stack = np.arange(200, dtype=np.uint8).reshape(-1, 1, 1) * np.ones((1, 4, 4), np.uint8)
    found = gallery_rows(run, {"set1": stack, "absent": stack}, 12, Pseudonyms("salt"))
    assert 6 <= len(found) <= 12
    other = gallery_rows(run, {"set1": stack}, 12, Pseudonyms("pepper"))
    column = {name: n for n, name in enumerate(GALLERY_COLUMNS)}
    assert {row[column["slice"]] for _, row in found}.isdisjoint(row[column["slice"]] for _, row in other)
    frame = run.tables["zero_shot"][run.tables["zero_shot"]["set"] == "set1"].set_index("row")
    for image, row in found:
        truth = frame.loc[int(image[0, 0])]
        assert row[column["true organs"]] == ", ".join(truth["organ_targets"])
        assert row[column["organ"]] == ORGANS[int(np.argmax(truth["organ_scores"]))]
        assert row[column["organ right"]] == (row[column["organ"]] in truth["organ_targets"])
        assert "set1-" not in row[column["slice"]] + row[column["patient"]]
    wrong = [not (row[column["organ right"]] and row[column["station right"]]) for _, row in found]
    assert any(wrong) and not all(wrong)


def test_settings_tell_how_a_run_was_made_and_not_where_its_files_lie():
    config = {
        "name": "a", "paths": {"data": "/mnt/jane"}, "logger": {"mode": "offline"}, "stages": ["fit"],
        "model": {"weights": "jane.ckpt", "embed_dim": 4},
        "data": {"train": ["jane"], "test": {"set1": "jane"}, "validation": {"x": "jane"}, "train_patients": 8},
        "optim": {"lr": 0.1, "log": "/mnt/jane/x", "files": ["a", "b/jane"]},
    }  # fmt: skip
    assert settings(config) == {
        "stages": ["fit"], "model.embed_dim": 4, "data.train_patients": 8, "optim.lr": 0.1,
    }  # fmt: skip
