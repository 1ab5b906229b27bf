"""Panels of cells: means over seeds with intervals over seeds and patients, in all forms alike."""

import csv
import io
import json
from dataclasses import replace
from html import unescape

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, roc_auc_score
from test_page import Tags

from anatomy_clip.metrics.crossed import crossed_mean, ratio_values
from anatomy_clip.results.layout import Layout
from anatomy_clip.results.page import page
from anatomy_clip.results.panel import Suite, notes_of, panels_of
from anatomy_clip.results.read import read_suite

COLUMNS = {"random": "random weights", "convirt": "ConVIRT", "gloria": "GLoRIA"}
LAYOUT = Layout(title="Pretraining", columns=COLUMNS, rows={}, further={}, data="Films.", differs={})
FINDINGS, PATIENTS = ["edema", "nodule"], 12
FILM = np.arange(64).reshape(8, 8)
DRAWN = {"drawn_film": FILM.tolist(), "drawn_mask": (FILM > 40).astype(int).tolist(), "drawn_map": [[0, 255], [9, 3]]}


def known(row):
    return {"set": "test", "row": row, "source": "films", "patient": f"p{row // 2}"}


def zero_shot_rows(rng, strength):
    targets = np.random.default_rng(5).integers(-1, 2, (2 * PATIENTS, 2))
    scores = rng.normal(size=targets.shape) + strength * targets
    return [
        {
            **known(n),
            "way": "global",
            "targets": t.tolist(),
            "scores": s.tolist(),
            "named": (s > 0.5).astype(int).tolist(),
        }
        for n, (t, s) in enumerate(zip(targets, scores, strict=True))
    ]


def retrieval_rows(rng, strength):
    values = {"p_at_5": rng.integers(0, 6, 2 * PATIENTS) / 5 * strength, "median_rank": rng.random(2 * PATIENTS)}
    return [
        {**known(n), "task": "image_report", "way": "global", "measure": name, "value": float(one), "chance": 0.1}
        for name, column in values.items() for n, one in enumerate(column)
    ]  # fmt: skip


def class_rows(rng, strength):
    truth = np.arange(2 * PATIENTS) % 3
    return [
        {**known(n), "share": 0.1, "draw": draw, "labelled": 9, "strength": 1.0, "target": int(one),
         "scores": (rng.normal(size=3) + strength * (np.arange(3) == one)).tolist()}
        for draw in range(2) for n, one in enumerate(truth)
    ]  # fmt: skip


def head_rows(rng, strength):
    task = {"task": "pneumonia", "space": "finding", "labels": ["consolidation"], "share": 0.01, "labelled": [19]}
    return [
        {**known(n), "study": f"s{n // 2}", **task, "draw": draw, "targets": [n // 2 % 2],
         "scores": [rng.normal() + strength * (n // 2 % 2)]}
        for draw in range(2) for n in range(2 * PATIENTS)
    ]  # fmt: skip


def fold_rows(rng, strength):
    rows = zero_shot_rows(rng, strength)
    return [{key: row[key] for key in ("set", "row", "source", "patient", "targets", "scores")} for row in rows]


def saliency_rows(rng, strength):
    measured = ("pointing", "iou", "pointing_randomised", "iou_randomised", "rank_correlation")
    rows = [
        {**known(n), "finding": FINDINGS[n % 2], "score": "probe", "map": kind, "pointing_chance": 0.1,
         "iou_chance": 0.05, **{name: strength * rng.random() for name in measured}, **dict.fromkeys(DRAWN)}
        for kind in ("gradient", "grad_cam") for n in range(2 * PATIENTS)
    ]  # fmt: skip
    return [row | (DRAWN if row["row"] < 2 else {}) for row in rows]


def patient_rows(rng, strength):
    of_organs, of_stations = rng.random((2, 2 * PATIENTS)) < 0.3 + strength / 2
    return [
        {**known(n), "modality": ("CT", "MR")[n % 2], "orientation": "axial",
         "organ_shown": ["liver"], "organ_named": "liver", "organ_right": float(of_organs[n]),
         "station_shown": ["chest"], "station_named": "chest", "station_right": float(of_stations[n])}
        for n in range(2 * PATIENTS)
    ]  # fmt: skip


ROWS = {
    "zero_shot_findings": zero_shot_rows, "retrieval": retrieval_rows, "class_probe": class_rows, "head": head_rows,
    "folds_probe": fold_rows, "saliency": saliency_rows, "by_patient": patient_rows,
}  # fmt: skip


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("outputs")
    for name, strength in {"random": 0.1, "convirt": 0.9}.items():
        for seed in (0, 1):
            write_run(outputs, name, seed, strength)
    return Suite("pretraining", LAYOUT, *read_suite(outputs, "pretraining", list(COLUMNS)))


def write_run(outputs, name, seed, strength):
    folder = outputs / "pretraining" / name / f"seed_{seed}"
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, len(name)])
    for evaluator, rows in ROWS.items():
        table = pd.DataFrame(rows(rng, strength)).sample(frac=1.0, random_state=seed)
        table.to_parquet(folder / f"{evaluator}.parquet", index=False)
    scores = {name: [{"cell": "x", "value": None, "n": 0, "lo": None, "hi": None}] for name in ROWS}
    results = {"suite": "pretraining", "name": name, "seed": seed, "labels": {"finding": FINDINGS}, "scores": scores}
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def found(suite, evaluator, cell, column):
    scores = panels_of(suite)[evaluator].scores
    return next(one for one in scores if (one.cell, one.column) == (cell, column))


def of_runs(suite, evaluator, column):
    return [run.tables[evaluator] for run in suite.runs if run.name == column]


def test_values_are_means_over_seeds_of_scikit_learns(suite):
    for measure in ("auroc", "f1"):
        seeds = []
        for rows in of_runs(suite, "zero_shot_findings", "convirt"):
            targets, scores, named = (np.array(rows[key].to_list())[:, 1] for key in ("targets", "scores", "named"))
            at = targets >= 0
            function, of = (roc_auc_score, scores) if measure == "auroc" else (f1_score, named)
            seeds.append(function(targets[at], of[at]))
        one = found(suite, "zero_shot_findings", f"zero_shot/global/{measure}/test/nodule", "convirt")
        assert one.value == pytest.approx(np.mean(seeds)) and one.spread == pytest.approx(np.std(seeds, ddof=1))
        assert one.lo < one.value < one.hi and (one.seeds, one.units) == (2, at.sum())


def test_the_interval_of_a_mean_is_that_of_its_values_by_seed_and_patient(suite):
    tables = [rows[rows["measure"] == "p_at_5"] for rows in of_runs(suite, "retrieval", "convirt")]
    values = [rows["value"].to_numpy() for rows in tables]
    expected = crossed_mean(ratio_values(values, tables[0]["patient"]), bounds=(0, 1))
    one = found(suite, "retrieval", "retrieval/image_report/global/p_at_5/test", "convirt")
    assert one.value == pytest.approx(expected.value) and one.patients == PATIENTS
    assert (one.lo, one.hi) == (pytest.approx(expected.lo), pytest.approx(expected.hi))  # equal counts: no ratio


def test_a_median_has_no_interval(suite):
    one = found(suite, "retrieval", "retrieval/image_report/global/median_rank/test", "random")
    tables = of_runs(suite, "retrieval", "random")
    medians = [np.median(rows[rows["measure"] == "median_rank"]["value"]) for rows in tables]
    assert one.value == pytest.approx(np.mean(medians)) and np.isnan([one.lo, one.hi]).all()


def test_files_and_page_say_the_same(suite):
    panels = panels_of(suite)
    assert list(panels) == list(ROWS)
    text = page(suite, panels)
    Tags(text)
    for name, panel in panels.items():
        files = panel.files()
        rows = list(csv.DictReader(io.StringIO(files[f"{name}.csv"])))
        assert len(rows) == len(panel.scores) > 0 and panel.gaps() == ["gloria"]
        lines = [line for line in files[f"{name}.md"].splitlines() if line.endswith("| n/a |")]  # GLoRIA wasn't run
        assert len(lines) == len({one.cell for one in panel.scores})
        for one in panel.scores:
            value = f"{100 * one.value:.1f}" + (f" [{100 * one.lo:.1f}, " if one.lo == one.lo else "")
            assert f"| {value}" in files[f"{name}.md"] and f"<td>{value}" in text
        run = panel.runs[0]
        cell = panel.scores[0].cell
        assert panel.numbers(run)[cell] == pytest.approx(type(panel).cells(run.tables[name], FINDINGS)[cell].value)


def test_a_correlation_may_be_below_0(suite):
    rows = pd.DataFrame(saliency_rows(np.random.default_rng(0), -1.0))
    panel = type(panels_of(suite)["saliency"])
    assert panel.cells(rows, FINDINGS)["saliency/probe/gradient/rank_correlation/test"].bounds == (-1, 1)
    assert found(suite, "saliency", "saliency/chance/pointing/test", "random").value == pytest.approx(0.1)


def test_maps_are_drawn_of_test_sets_whose_films_may_be_shown(suite):
    assert panels_of(suite)["saliency"].picture is None  # none may
    panel = panels_of(replace(suite, images={"other": FILM[None], "test": FILM[None]}))["saliency"]
    (one, other) = panel.drawn("test")
    assert (one.finding, one.row, other.finding, other.row) == ("edema", 0, "nodule", 1)
    assert list(one.maps) == ["random weights\nprobe", "ConVIRT\nprobe"]  # GLoRIA wasn't run
    assert (one.film == FILM).all() and (one.mask == (FILM > 40)).all()
    assert panel.files()["saliency.png"] == panel.picture and panel.picture.startswith(b"\x89PNG")
    assert panel.shows in unescape(page(panel.suite, {"saliency": panel}))


def test_a_layout_may_show_some_evaluators_alone(suite):
    chosen = replace(suite, layout=replace(LAYOUT, shown=["head", "by_patient"]))
    panels = panels_of(chosen)
    assert list(panels) == ["head", "by_patient"]
    assert not any("isn't shown" in note for note in notes_of(chosen, panels))


def test_seeds_with_other_rows_are_left_out_and_noted(tmp_path):
    write_run(tmp_path, "convirt", 0, 0.5)
    folder = write_run(tmp_path, "convirt", 1, 0.5)
    rows = pd.read_parquet(folder / "class_probe.parquet")
    rows[rows["row"] > 2].to_parquet(folder / "class_probe.parquet")
    suite = Suite("pretraining", LAYOUT, read_suite(tmp_path, "pretraining")[0])
    panels = panels_of(suite)
    assert {one.seeds for one in panels["class_probe"].scores} == {1}
    assert "class_probe of convirt: left out 1 seed(s), because their rows differ" in notes_of(suite, panels)
