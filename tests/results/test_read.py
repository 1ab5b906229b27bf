"""Reading runs: order, contents, and one clear message for each kind of damage."""

import json

import numpy as np
import pytest
from fake_suite import ORGANS, write_run, write_suite

from anatomy_clip.results.read import read_run, read_suite
from anatomy_clip.results.slices import select


def test_reads_all_runs_in_order(tmp_path):
    write_suite(tmp_path, sets=["set1"])
    runs, notes = read_suite(tmp_path, "table3")
    assert [(r.name, r.seed) for r in runs] == [
        (name, seed) for name in ("pmc", "pmc_m", "pmc_ms", "pmc_msa") for seed in (0, 1)
    ]
    assert notes == () and runs[0].labels["organ"] == tuple(ORGANS)


def test_only_the_named_experiments_are_read(tmp_path):
    write_run(tmp_path, "pmc", 0, 0.5, sets=["set1"])
    (tmp_path / "table3" / "stand_in" / "seed_0").mkdir(parents=True)
    (tmp_path / "table3" / "table3.md").write_text("")
    runs, notes = read_suite(tmp_path, "table3", ["pmc", "pmc_m"])
    assert [r.name for r in runs] == ["pmc"]
    assert notes == ("pmc_m is left out: it was not run yet",)


def test_select_gives_rows_in_order_with_targets_by_label(tmp_path):
    run = read_run(write_run(tmp_path, "pmc", 0, 0.5))
    slices = select(run, "organ", "set1", ["MR"])
    assert slices is not None and slices.scores.shape == slices.targets.shape == (96, 5)
    rows = [key[1] for key in slices.keys]
    assert rows == sorted(rows)
    frame = run.tables["zero_shot"]
    one = frame[(frame["set"] == "set1") & (frame["row"] == rows[3])].iloc[0]
    assert [ORGANS[k] for k in np.flatnonzero(slices.targets[3])] == sorted(one["organ_targets"], key=ORGANS.index)
    assert slices.scores[3].tolist() == list(one["organ_scores"])
    assert slices.patients[3] == f"fake/{one['patient']}"
    assert select(run, "organ", "visible_human", ["CT"]) is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "results.json").unlink(), "results.json is missing"),
        (lambda f: (f / "results.json").write_text("{"), "results.json is damaged"),
        (lambda f: (f / "results.json").write_text('{"scores": []}'), "results.json is damaged"),
        (lambda f: (f / "zero_shot.parquet").unlink(), "zero_shot.parquet is missing"),
        (lambda f: (f / "zero_shot.parquet").write_bytes(b"PAR1 half"), "can't be read"),
    ],
)
def test_a_broken_run_is_left_out_with_a_note(tmp_path, damage, message):
    damage(write_run(tmp_path, "pmc", 0, 0.5, sets=["set1"]))
    with pytest.raises(ValueError, match=f"no finished run.*{message}"):
        read_suite(tmp_path, "table3")
    write_run(tmp_path, "pmc", 1, 0.5, sets=["set1"])
    runs, notes = read_suite(tmp_path, "table3")
    assert [r.seed for r in runs] == [1]
    assert len(notes) == 1 and message in notes[0] and "pmc, seed 0" in notes[0]


def test_missing_column_unknown_target_and_wrong_length(tmp_path):
    folder = write_run(tmp_path, "pmc", 0, 0.5, sets=["set1"])
    run = read_run(folder)
    run.tables["zero_shot"].drop(columns="organ_scores").to_parquet(folder / "zero_shot.parquet")
    with pytest.raises(ValueError, match=r"does not have the column.*organ_scores"):
        read_run(folder)
    results = json.loads((folder / "results.json").read_text())
    run.tables["zero_shot"].to_parquet(folder / "zero_shot.parquet")
    (folder / "results.json").write_text(json.dumps(results | {"labels": {"organ": ORGANS[:4], "station": []}}))
    with pytest.raises(ValueError, match="must have 4 numbers"):
        select(read_run(folder), "organ", "set1", ["CT"])
    renamed = {"organ": [*ORGANS[:4], "spleen"], "station": []}
    (folder / "results.json").write_text(json.dumps(results | {"labels": renamed}))
    with pytest.raises(ValueError, match="target 'knee' is not a label"):
        select(read_run(folder), "organ", "set1", ["CT"])


def test_no_such_suite(tmp_path):
    with pytest.raises(ValueError, match="suite 'nothing' has no finished run"):
        read_suite(tmp_path, "nothing")
