"""Summary, claims and rows of further suites: against plain computations, and what is refused or left out."""

import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from support import compose_config
from test_cells import FINDINGS, class_rows, known, retrieval_rows, zero_shot_rows

from anatomy_clip.results.cells import text_of
from anatomy_clip.results.join import joined
from anatomy_clip.results.layout import layout
from anatomy_clip.results.page import page
from anatomy_clip.results.panel import Suite, notes_of, panels_of
from anatomy_clip.results.read import read_suite
from anatomy_clip.runs import wiring

COLUMNS = {"random": "random weights", "simclr": "SimCLR", "convirt": "ConVIRT", "convirt_30": "30 %"}
AT_5 = "retrieval/image_report/global/p_at_5/{set}"
SUMMARY = {
    "one": {
        "text": "Reports", "sets": ["test"],
        "measures": {
            "report": {"text": "report", "cell": ["retrieval/image_report/both/p_at_5/{set}", AT_5],
                       "chance": "retrieval/image_report/chance/p_at_5/{set}"},
            "classes": {"text": "classes", "cell": "classes/accuracy/{share}/{set}", "shares": [1, 10], "chance": 0.25,
                        "plain": "{share} % of the labels"},
        },
    }
}  # fmt: skip
PUBLISHED = [{"part": "one", "method": "ConVIRT", "paper": "A, table 2", "data": "B", "values": {"report": 50.25}}]
CLAIMS = {
    "sets": ["test"],
    "of": [
        {"text": "reports help", "better": ["convirt", AT_5], "than": ["random", AT_5]},
        {"text": "films help", "better": ["convirt", AT_5], "than": ["convirt_30", AT_5]},
        {"text": "reports name", "better": ["convirt", "zero_shot/global/auroc/{set}"],
         "than": ["random", "zero_shot/global/auroc/{set}"]},
        {"text": "maps help", "better": ["convirt", "saliency/x/{set}"], "than": ["random", AT_5]},
        {"text": "medians", "better": ["convirt", "retrieval/image_report/global/median_rank/{set}"],
         "than": ["random", "retrieval/image_report/global/median_rank/{set}"]},
    ],
}  # fmt: skip


def made(**changes):
    spec = {"columns": COLUMNS, "rows": {}, "further": {}, "data": "Films.", "title": "Pretraining",
            "optional": ["convirt_30"], "summary": SUMMARY, "published": PUBLISHED, "claims": CLAIMS}  # fmt: skip
    return layout(**spec | changes)


def write_run(outputs, suite, name, seed, tables):
    folder = outputs / suite / name / f"seed_{seed}"
    folder.mkdir(parents=True)
    for evaluator, rows in tables.items():
        if rows:
            pd.DataFrame(rows).to_parquet(folder / f"{evaluator}.parquet", index=False)
    cell = [{"cell": "x", "value": None}]
    results = {"labels": {"finding": FINDINGS}, "scores": {name: cell if rows else [] for name, rows in tables.items()}}
    (folder / "results.json").write_text(json.dumps(results))
    return folder


def write_suite(outputs, seeds, suite="pretraining"):
    for name, strength in {"random": 0.3, "convirt": 0.9}.items():
        for seed in range(seeds):
            rng = np.random.default_rng([seed, len(name)])
            tables = {"retrieval": retrieval_rows(rng, strength), "class_probe": class_rows(rng, strength)}
            write_run(outputs, suite, name, seed, {"zero_shot_findings": zero_shot_rows(rng, strength), **tables})
    write_run(outputs, suite, "simclr", 0, {"zero_shot_findings": [], "class_probe": class_rows(rng, 0.5)})


def suite_of(outputs, **changes):
    declared = made(**changes).without(name for name in COLUMNS if name == "convirt_30")
    return Suite("pretraining", declared, *read_suite(outputs, "pretraining", list(declared.columns)))


@pytest.fixture(scope="module", params=[3, 2], ids=["three seeds", "two seeds"])
def suite(request, tmp_path_factory):
    outputs = tmp_path_factory.mktemp("outputs")
    write_suite(outputs, request.param)
    return suite_of(outputs)


def by_patient(suite, column):
    """(S, P) mean p_at_5 of each seed and patient, by loops; every patient has two films."""
    values = []
    for run in (run for run in suite.runs if run.name == column):
        rows = run.tables["retrieval"]
        rows = rows[rows["measure"] == "p_at_5"]
        values.append([rows[rows["patient"] == patient]["value"].mean() for patient in sorted(set(rows["patient"]))])
    return 100 * np.array(values)


def two_way(d):
    """Mean, interval and p-value of (S, P) differences, as docs/STATISTICS.md says, by loops."""
    s, p = d.shape
    mean = sum(d[i, j] for i in range(s) for j in range(p)) / (s * p)
    rows, columns = [d[i].sum() / p for i in range(s)], [d[:, j].sum() / s for j in range(p)]
    a = p * sum((row - mean) ** 2 for row in rows) / (s - 1)
    b = s * sum((column - mean) ** 2 for column in columns) / (p - 1)
    rest = sum((d[i, j] - rows[i] - columns[j] + mean) ** 2 for i in range(s) for j in range(p))
    c = rest / ((s - 1) * (p - 1))
    variance, more = a + max(b - c, 0), b**2 / (p - 1) + c**2 / ((s - 1) * (p - 1))
    df = max(variance**2 / (a**2 / (s - 1) + (more if b > c else 0)), min(s, p) - 1)
    error = np.sqrt(variance / (s * p))
    half = stats.t.ppf(0.975, df) * error
    return mean, mean - half, mean + half, 2 * stats.t.sf(abs(mean) / error, df)


def test_claims_are_differences_by_seed_and_patient_corrected_by_holm(suite):
    seeds = len({run.seed for run in suite.runs})
    reports, names = panels_of(suite)["claims"].tested
    expected = two_way(by_patient(suite, "convirt") - by_patient(suite, "random"))
    assert (reports.difference, reports.lo, reports.hi) == tuple(pytest.approx(x) for x in expected[:3])
    assert (reports.value, reports.over_value) == tuple(
        pytest.approx(by_patient(suite, column).mean()) for column in ("convirt", "random")
    )
    assert reports.text == "reports help, on test" and (reports.seeds, reports.patients) == (seeds, 12)
    if seeds == 3:
        assert reports.p == pytest.approx(expected[3])
        smaller, larger = sorted([reports, names], key=lambda one: one.p)
        assert smaller.adjusted == pytest.approx(2 * smaller.p)
        assert larger.adjusted == pytest.approx(max(larger.p, 2 * smaller.p))
    else:
        assert np.isnan([one.p for one in (reports, names)]).all()
        assert "**" not in panels_of(suite)["claims"].files()["claims.md"]


def test_a_claim_that_cant_be_tested_says_why_and_one_of_an_optional_column_that_wasnt_run_is_left_out(suite):
    notes = [note for note in notes_of(suite, panels_of(suite)) if note.startswith("not tested")]
    assert notes == [
        "not tested: maps help, on test: no run of convirt has the cell saliency/x/test",
        "not tested: medians, on test: its cells are not means over the same patients",
    ]


def test_claims_over_other_patients_are_not_tested(tmp_path):
    write_suite(tmp_path, 2)
    for seed in (0, 1):
        path = tmp_path / f"pretraining/random/seed_{seed}/retrieval.parquet"
        rows = pd.read_parquet(path)
        rows[rows["patient"] != "p0"].to_parquet(path)
    panel = panels_of(suite_of(tmp_path))["claims"]
    assert [one.text for one in panel.tested] == ["reports name, on test"]
    assert "not tested: reports help, on test: its cells are not means over the same patients" in panel.notes()


def test_the_summary_shows_the_cells_of_the_panels_beside_chance_and_published_numbers(suite):
    panels = panels_of(suite)
    panel = panels["summary"]
    files, text = panel.files(), page(suite, panels)
    rows = list(csv.DictReader(io.StringIO(files["summary.csv"])))
    assert {(row["measure"], row["column"]) for row in rows} == {
        ("report", "random"), ("report", "convirt"), ("classes_10", "random"), ("classes_10", "convirt"),
        ("classes_10", "simclr"),
    }  # fmt: skip
    for row in rows:
        score = next(
            one for name in ("retrieval", "class_probe") for one in panels[name].scores
            if (one.cell, one.column) == (row["cell"], row["column"])
        )  # fmt: skip
        assert [float(row[key]) for key in ("value", "lo", "hi")] == pytest.approx(score[2:5], abs=1e-4)
    lines = {line.split(" | ")[0]: line.split(" | ")[1:] for line in files["summary.md"].splitlines()}
    assert lines["| "] == ["report", "classes, 10 % |"] and lines["| chance"] == ["10.0", "25.0 |"]
    assert lines["| SimCLR"][0] == "" and lines["| *ConVIRT: A, table 2, B*"] == ["50.25", " |"]
    assert "ConVIRT: A, table 2, B" in text and text.index('id="summary"') < text.index('id="claims"')
    assert "real patients" in panel.caption


def test_the_readme_shows_the_measures_that_have_a_plain_heading(suite):
    panel = panels_of(suite)["summary"]
    lines = [line.strip("| ").split(" | ") for line in panel.readme().splitlines()]
    found = {one.column: one for one in panel.found if one.measure == "classes_10"}
    assert lines[0] == ["10 % of the labels"]
    assert lines[2:5] == [[COLUMNS[column], text_of(found[column])] for column in ("random", "simclr", "convirt")]
    assert lines[5:7] == [["guessing", "25.0"], ["films (patients)", f"{found['random'].units} (12)"]]
    assert "(SimCLR: 1)" in lines[-1][0]
    assert suite_without_plain(suite).readme() is None


def suite_without_plain(suite):
    parts = {"one": {**SUMMARY["one"], "measures": {"report": SUMMARY["one"]["measures"]["report"]}}}
    return panels_of(replace(suite, layout=made(summary=parts)))["summary"]


def test_a_method_without_use_for_an_evaluator_has_no_gap_and_one_that_wasnt_run_has(suite):
    panels = panels_of(suite)
    assert panels["zero_shot_findings"].gaps() == [] and panels["retrieval"].gaps() == ["simclr"]


def head_rows(share):
    rng = np.random.default_rng(int(100 * share))
    task = {"task": "pneumonia", "space": "finding", "labels": ["consolidation"], "share": share, "labelled": [19]}
    return [
        {**known(n), "study": f"s{n}", **task, "draw": 0, "targets": [n % 2], "scores": [float(rng.random())]}
        for n in range(6)
    ]


def test_rows_of_further_suites_stand_in_the_runs_of_the_same_name_and_seed(tmp_path):
    write_run(tmp_path, "pretraining", "convirt", 0, {"class_probe": class_rows(np.random.default_rng(0), 1.0)})
    write_run(tmp_path, "pretraining", "random", 0, {"head": head_rows(1.0)})
    for share in (0.01, 0.1):
        other = {"head": head_rows(share), "class_probe": class_rows(np.random.default_rng(1), 0.0)}
        write_run(tmp_path, f"finetune_{100 * share:g}", "convirt", 0, other)
    write_run(tmp_path, "finetune_1", "convirt", 1, {"head": head_rows(0.01)})
    write_run(tmp_path, "finetune_10", "random", 0, {"head": head_rows(0.1)})
    runs, _ = read_suite(tmp_path, "pretraining")
    found, notes = joined(runs, tmp_path, {"head": ["finetune_*"], "other": ["none_*"]}, ["convirt", "random"])
    tables = {run.name: run.tables for run in found}
    assert sorted(set(tables["convirt"]["head"]["share"])) == [0.01, 0.1] and len(tables["convirt"]["head"]) == 12
    assert sorted(set(tables["random"]["head"]["share"])) == [0.1, 1.0]
    own = next(run for run in runs if run.name == "convirt").tables["class_probe"]
    pd.testing.assert_frame_equal(
        tables["convirt"]["class_probe"], own
    )  # the declared evaluator's rows alone are taken
    assert notes == (
        "suite finetune_1: random is left out: it was not run yet",
        "suite finetune_1: convirt, seed 1 is left out, because this suite has no such run",
        "other: no suite none_* was run",
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optional": ["moco"]}, "optional: moco is not a column"),
        ({"summary": {"one": {"text": "x", "sets": []}}}, r"summary\.one: measures is missing"),
        (
            {"summary": {"one": {"text": "x", "sets": [], "measures": {"a": {"text": "a", "cells": "b"}}}}},
            r"summary\.one\.measures\.a: cell is missing, cells is unknown; keys are cell, chance, plain, shares, text",
        ),
        ({"published": [{**PUBLISHED[0], "part": "two"}]}, r"published\[0\]: part=two is not one of the summary's"),
        ({"published": [{**PUBLISHED[0], "values": {"x": 1}}]}, r"published\[0\]: x is not a measure of one: report"),
        ({"published": [{"part": "one"}]}, r"published\[0\]: data is missing, method is missing, paper is missing"),
        ({"claims": {"sets": ["test"], "of": [{"text": "x", "better": ["moco", "c"], "than": ["random", "c"]}]}},
         r"claims\.of\[0\]: better must be \[column, cell\]; columns are random"),
        ({"claims": {"of": []}}, "claims: sets is missing"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        made(**changes)


@pytest.mark.parametrize("table", ["pretraining", "imagenet"])
def test_published_numbers_have_a_source_each_and_no_line_mixes_two(table):
    declared = wiring.build(compose_config("results", f"table={table}").table, _convert_="all")
    told = declared.story
    assert len(told.published) == 19 and len(told.claims) == 2 * {"pretraining": 9, "imagenet": 3}[table]
    for one in told.published:
        assert re.search(r"\(.*20\d\d\)", one.paper) and one.data and one.method
        assert all(0 < value < 100 for value in one.values.values())
    told_of = [(one.method, one.paper, one.data, measure) for one in told.published for measure in one.values]
    assert len(told_of) == len(set(told_of))
    of_rsna = [one for one in told.published if one.data == "RSNA"]  # pneumonia stands under pneumonia alone
    assert of_rsna and all(name.startswith("pneumonia") for one in of_rsna for name in one.values)
