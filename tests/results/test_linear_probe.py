"""The probe's table against scikit-learn, its forms against each other, and what can't be averaged."""

import csv
import io
import re

import numpy as np
import pandas as pd
import pytest
from fake_suite import ORGANS, evaluated, rows_of, write_run
from sklearn.metrics import roc_auc_score
from support import compose_config
from test_page import Tags

from anatomy_clip.cli.results import main as results
from anatomy_clip.metrics.crossed import crossed_mean
from anatomy_clip.results.page import page
from anatomy_clip.results.panel import Suite, notes_of, panels_of
from anatomy_clip.results.read import read_run, read_suite
from anatomy_clip.runs import wiring

LAYOUT = wiring.build(compose_config("results", "table=probe").table, _convert_="all")
SETS = ("set1", "samples_mr")  # eight patients, and one


def write_probe(outputs, name, seed, strength, draws=2):
    """A finished run that was only probed: two shares, the smaller one drawn so often."""
    folder = write_run(outputs, name, seed, 0.5, sets=("set1",), suite="probe")
    (folder / "zero_shot.parquet").unlink()
    rng = np.random.default_rng(seed + int(100 * strength))
    found = []
    for row in (row for name in SETS for row in rows_of(name, np.random.default_rng(7))):
        targets = np.array([organ in row["organ_targets"] for organ in ORGANS]).astype(int)
        if row["row"] % 5 == 0:
            targets[1] = -1
        for share, draw in [(0.1, n) for n in range(draws)] + [(1.0, 0)]:
            scores = rng.normal(size=5) + strength * (1 + share) * targets
            known = {key: row[key] for key in ("set", "row", "source", "patient")}
            measured = {"patients": round(20 * share), "strength": 1.0, "targets": targets.tolist()}
            found.append({**known, "share": share, "draw": draw, **measured, "scores": scores.tolist()})
    pd.DataFrame(found).sample(frac=1.0, random_state=seed).to_parquet(folder / "linear_probe.parquet", index=False)
    text = (folder / "results.json").read_text()
    (folder / "results.json").write_text(re.sub(r'\[\{"cell[^]]*\]', "[]", text))
    evaluated(folder, "linear_probe")
    return folder


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("outputs")
    for name, strength in {"random": 0.1, "clip": 0.5, "moco": 1.0}.items():
        for seed in (0, 1):
            write_probe(outputs, name, seed, strength)
    return outputs


@pytest.fixture(scope="module")
def suite(outputs):
    return Suite("probe", LAYOUT, *read_suite(outputs, "probe", list(LAYOUT.columns)))


@pytest.fixture(scope="module")
def panel(suite):
    return panels_of(suite)["linear_probe"]


def plain(run, test_set, share, taken=slice(None)):
    """Mean AUROC over labels, their known slices alone, mean over draws."""
    rows = run.tables["linear_probe"][taken]
    draws = []
    for _, part in rows[(rows["set"] == test_set) & (rows["share"] == share)].groupby("draw"):
        scores, targets = (np.array(part[key].to_list()) for key in ("scores", "targets"))
        known = [targets[:, k] >= 0 for k in range(len(ORGANS))]
        draws.append(np.mean([roc_auc_score(targets[n, k], scores[n, k]) for k, n in enumerate(known)]))
    return np.mean(draws)


def test_cells_are_means_over_seeds_of_scikit_learns(panel):
    assert list(panel.lines) == [(name, share) for name in sorted(SETS) for share in (0.1, 1.0)]
    for one in panel.scores:
        seeds = [plain(run, one.test_set, one.share) for run in panel.runs if run.name == one.column]
        assert one.auroc == pytest.approx(np.mean(seeds)) and one.spread == pytest.approx(np.std(seeds, ddof=1))
        assert (one.seeds, one.labelled) == (2, round(20 * one.share))
        if one.test_set == "set1":
            assert one.lo < one.auroc < one.hi and (one.slices, one.patients) == (192, 8)
        else:
            assert np.isnan(one.lo) and one.patients == 1


def test_interval_is_that_of_seeds_and_of_patients_left_out_in_turn(panel):
    found, values = (
        next(one for one in panel.scores if (one.test_set, one.share, one.column) == ("set1", 0.1, "clip")),
        [],
    )
    for run in (run for run in panel.runs if run.name == "clip"):
        rows = run.tables["linear_probe"]
        patients = sorted(set(rows[rows["set"] == "set1"]["patient"]))
        without = np.array([plain(run, "set1", 0.1, rows["patient"] != patient) for patient in patients])
        values.append(plain(run, "set1", 0.1) - 7 * (without - without.mean()))
    expected = crossed_mean(values, bounds=(0, 1))
    assert (found.lo, found.hi) == (pytest.approx(expected.lo), pytest.approx(expected.hi))
    alone = panel.numbers(next(run for run in panel.runs if run.name == "clip"))
    assert alone["probe/10/set1/lo"] == pytest.approx(crossed_mean(values[:1]).lo)


def test_markdown_csv_terminal_and_page_say_the_same(panel, suite):
    files = panel.files()
    rows = list(csv.DictReader(io.StringIO(files["probe.csv"])))
    assert len(rows) == len(panel.scores) == 4 * 3
    lines = [line for line in files["probe.md"].splitlines() if line.startswith(("| set1", "| samples_mr"))]
    assert len(lines) == 4 and all(line.count("n/a") == 2 for line in lines)  # ConVIRT and SimCLR weren't run
    text = page(suite, {"linear_probe": panel})
    Tags(text)
    for one, row in zip(panel.scores, rows, strict=True):
        assert float(row["auroc"]) == pytest.approx(one.auroc, abs=1e-4)
        value = f"{one.auroc:.3f}" + (f" [{one.lo:.3f}, {one.hi:.3f}]" if one.lo == one.lo else "")
        assert f"| {value} ± {one.spread:.3f} |" in files["probe.md"] and f"<td>{value} ± " in text
    assert panel.plot().startswith(b"\x89PNG")
    assert "**" not in files["probe.md"] and "p-value" not in text


def test_numbers_of_a_run_for_a_dashboard(panel):
    run = panel.runs[0]
    found = panel.numbers(run)
    assert found["probe/10/set1"] == pytest.approx(plain(run, "set1", 0.1)) and found["probe/10/set1/n"] == 192
    assert "probe/10/samples_mr/lo" not in found


def test_the_program_shows_the_probe_alone(outputs, capsys):
    results(compose_config("results", "suite=probe", "table=probe", f"paths.outputs={outputs}"))
    written = {path.name for path in (outputs / "probe").iterdir() if path.is_file()}
    assert written == {"probe.md", "probe.csv", "results.html"}
    out = capsys.readouterr().out
    assert "convirt is left out: it was not run yet" in out and "20" in out


def test_a_seed_with_other_slices_is_left_out_and_noted(tmp_path):
    write_probe(tmp_path, "clip", 0, 0.5)
    folder = write_probe(tmp_path, "clip", 1, 0.5)
    rows = pd.read_parquet(folder / "linear_probe.parquet")
    rows[rows["row"] > 0].to_parquet(folder / "linear_probe.parquet")
    suite = Suite("probe", LAYOUT, read_suite(tmp_path, "probe")[0])
    panels = panels_of(suite)
    assert {one.seeds for one in panels["linear_probe"].scores} == {1}
    assert "linear probe of clip, set1, 10 %: left out 1 seed(s), because their slices differ" in notes_of(
        suite, panels
    )


def test_a_damaged_table_is_named(tmp_path):
    folder = write_probe(tmp_path, "clip", 0, 0.5)
    pd.read_parquet(folder / "linear_probe.parquet").drop(columns="share").to_parquet(folder / "linear_probe.parquet")
    with pytest.raises(ValueError, match=r"linear_probe\.parquet does not have the column\(s\) share"):
        read_run(folder)
