"""The table's cells against a plain computation, and its four forms against each other."""

import csv
import io
import json
import math
import re
import statistics
from dataclasses import replace
from pathlib import Path

import fake_suite
import numpy as np
import pandas as pd
import pytest
import yaml
from fake_suite import ORGANS, write_run, write_suite
from support import compose_config

from anatomy_clip.metrics.comparisons import holm
from anatomy_clip.metrics.crossed import crossed_mean
from anatomy_clip.results.layout import layout as make_layout
from anatomy_clip.results.layout import with_own_sets
from anatomy_clip.results.panel import render
from anatomy_clip.results.read import read_suite
from anatomy_clip.results.render import CSV_COLUMNS, bold_words, main_markdown, to_csv, to_latex, to_markdown, to_rich
from anatomy_clip.results.table import build, by_row, read_paper
from anatomy_clip.results.trainings import one_a_training, repeats
from anatomy_clip.runs import wiring

ROOT = Path(__file__).resolve().parents[2]
PAPER = yaml.safe_load((ROOT / "anatomy_clip/results/paper.yaml").read_text())
ROWS = ["organ/set1_mr", "organ/set1_ct", "organ/set2_ct", "station/set1_mr_ct", "station/set2_ct"]
COLUMNS = ["pmc", "pmc_m", "pmc_ms", "pmc_msa"]


@pytest.fixture(scope="module")
def laptop():
    config = compose_config("results", "table=laptop").table
    assert config._target_ == "anatomy_clip.results.layout.layout"
    return wiring.build(config, _convert_="all")


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("outputs")
    write_suite(outputs)
    return read_suite(outputs, "table3")[0]


def built(runs, layout, **kwargs):
    return build(runs, layout, PAPER["table3"], mean_gain=PAPER["mean_gain_over_pmc"], **kwargs)


@pytest.fixture(scope="module")
def table(suite, laptop):
    return built(suite, laptop)


def plain_hits(run, test_set, modalities):
    """(patient, hit) of each counted slice by a plain loop."""
    found = {}
    for row in run.tables["zero_shot"].to_dict("records"):
        if row["set"] == test_set and row["modality"] in modalities and len(row["organ_targets"]):
            best = ORGANS[int(np.argmax(row["organ_scores"]))]
            found[row["row"]] = (f"fake/{row['patient']}", 100.0 * (best in row["organ_targets"]))
    return found


def test_the_paper_has_five_rows_of_four():
    assert list(PAPER["table3"]) == ROWS
    assert all(list(row) == COLUMNS for row in PAPER["table3"].values())
    assert PAPER["table3"]["organ/set1_mr"]["pmc_msa"] == 91.62


def test_paper_gain_of_organs_follows_from_its_rows():
    rows = [PAPER["table3"][row] for row in ROWS if row.startswith("organ")]
    assert np.mean([r["pmc_msa"] - r["pmc"] for r in rows]) == pytest.approx(47.6, abs=0.05)


def test_cell_equals_a_plain_loop_over_seeds(suite, table):
    by_seed = [plain_hits(run, "set1", ["MR"]) for run in suite if run.name == "pmc_m"]
    mean = {row: (p, np.mean([seed[row][1] for seed in by_seed])) for row, (p, _) in by_seed[0].items()}
    cell = next(c for c in table.cells if (c.row, c.column) == ("organ/set1_mr", "pmc_m"))
    assert cell.value == pytest.approx(np.mean([hit for _, hit in mean.values()]))
    assert (cell.n, cell.seeds, cell.patients, cell.paper) == (len(mean), 2, 8, 62.0)
    patients = sorted({patient for patient, _ in mean.values()})
    values = []  # each patient's hits, linearised about the seed's share
    for seed in by_seed:
        of = {p: [hit for patient, hit in seed.values() if patient == p] for p in patients}
        share = sum(map(sum, of.values())) / len(seed)
        values.append([share + sum(hit - share for hit in of[p]) * len(patients) / len(seed) for p in patients])
    interval = crossed_mean(values, bounds=(0, 100))
    assert (cell.lo, cell.hi) == (pytest.approx(interval.lo), pytest.approx(interval.hi))


def test_rows_columns_and_paper_in_the_csv(table):
    rows = list(csv.DictReader(io.StringIO(to_csv(table.cells))))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [(r["row"], r["column"]) for r in rows] == [(row, column) for row in ROWS for column in COLUMNS]
    for r in rows:
        assert float(r["paper"]) == PAPER["table3"][r["row"]][r["column"]]
        assert float(r["lo"]) <= float(r["value"]) <= float(r["hi"]) <= 100 and int(r["n"]) > 0


def test_further_rows_are_apart_and_one_patient_has_no_interval(table):
    assert {c.row for c in table.further} == {
        *("organ/shifted_mr", "organ/shifted_ct", "organ/samples_mr"),
        *("station/shifted_mr_ct", "station/shifted_ct", "station/samples_mr"),
    }
    one = [c for c in table.further if c.row == "organ/samples_mr"]
    assert all(math.isnan(c.lo) and c.patients == 1 and c.value == c.value for c in one)
    assert to_csv(one).splitlines()[1].split(",")[4:6] == ["", ""]


def test_markdown_says_the_same_as_the_csv(table):
    lines = [line for line in main_markdown(table).splitlines() if line.startswith("| ") and "`" in line]
    assert len(lines) == 5
    cells = iter(table.cells)
    for line in lines:
        for text in line.split(" | ")[1:5]:
            cell = next(cells)
            found = re.fullmatch(r"(.+) \[(.+), (.+)\] ± (.+) \((.+)\)", text)
            ours, lo, hi, spread, paper = found.groups()
            assert float(spread) == pytest.approx(cell.spread, abs=0.051)
            assert (ours, lo, hi) == (f"{cell.value:.1f}", f"{cell.lo:.1f}", f"{cell.hi:.1f}")
            assert float(paper) == cell.paper


def test_markdown_names_data_and_few_patients(table):
    text = main_markdown(table)
    assert "stand-in" in text and "real CT volumes" in text and "mean over 2 seeds" in text
    assert "over trainings (seeds) and patients; after ±" in text and "No gain is marked as significant" in text
    assert "fewer than 10 patients (`organ/set1_mr`" in text
    whole = to_markdown(table)
    assert whole.startswith("# Table III") and "## Further test sets" in whole and text in whole


def test_without_real_ct_the_phantom_stands_under_its_own_name(tmp_path, laptop):
    write_suite(tmp_path, sets=["set1", "shifted"], seeds=[0])
    table = built(read_suite(tmp_path, "table3")[0], laptop)
    names = list(dict.fromkeys(c.row for c in table.cells))
    assert names == [*ROWS[:2], "organ/shifted_ct", "station/set1_mr_ct", "station/shifted_ct"]
    assert table.replaced == {"organ/set2_ct": "organ/shifted_ct", "station/set2_ct": "station/shifted_ct"}
    shifted = [c for c in table.cells if "shifted" in c.row]
    assert all(math.isnan(c.paper) and c.n for c in shifted)
    assert not {c.row for c in table.further} & set(names)
    assert any("samples_ct" in note for note in table.notes)
    block = main_markdown(table)
    assert "organ/shifted_ct replaces organ/set2_ct" in block
    assert not any("real" in line for line in block.splitlines() if line.startswith("|"))
    assert math.isnan(table.gains["organ"][1])  # the paper's mean is over other rows


def test_partial_suite_gives_a_partial_table(tmp_path, laptop):
    write_run(tmp_path, "pmc", 0, 0.3)
    runs, notes = read_suite(tmp_path, "table3", COLUMNS)
    table = built(runs, laptop, notes=notes)
    assert sum(c.n > 0 for c in table.cells) == 5
    assert table.steps == () and math.isnan(table.gains["organ"][0])
    assert "pmc_msa is left out: it was not run yet" in to_markdown(table)
    assert main_markdown(table).count("n/a") == 15
    assert ",pmc_msa,,0,,,0," in to_csv(table.cells)


def test_seeds_with_other_slices_are_not_averaged(tmp_path, laptop):
    write_run(tmp_path, "pmc", 0, 0.3)
    folder = write_run(tmp_path, "pmc", 1, 0.3)
    import pandas as pd

    frame = pd.read_parquet(folder / "zero_shot.parquet")
    frame[frame["index"] > 0].to_parquet(folder / "zero_shot.parquet")
    table = built(read_suite(tmp_path, "table3")[0], laptop)
    assert {c.seeds for c in table.cells + table.further if c.n} == {1}
    assert any("pmc, seed 1 is left out" in note for note in table.notes)


def test_disagreement_with_the_evaluation_is_noted(tmp_path, laptop):
    folder = write_run(tmp_path, "pmc", 0, 0.3)
    runs = read_suite(tmp_path, "table3")[0]
    mine = next(c for c in built(runs, laptop).cells if c.row == "organ/set1_mr")
    results = json.loads((folder / "results.json").read_text())
    for value, noted in ((mine.value / 100, False), (0.5123, True)):
        results["scores"]["zero_shot"] = [{"cell": "test/organ/set1_mr", "value": value, "n": 1, "lo": 0, "hi": 1}]
        (folder / "results.json").write_text(json.dumps(results))
        notes = built(read_suite(tmp_path, "table3")[0], laptop).notes
        assert any("results.json" in note for note in notes) == noted


def test_steps_are_paired_and_gains_follow_from_the_cells(table):
    value = {(c.row, c.column): c for c in table.cells}
    assert len(table.steps) == 5 * 4
    for step in table.steps:
        a, b = value[step.row, step.column], value[step.row, step.over]
        assert step.value == pytest.approx(a.value - b.value)
        assert step.lo <= step.value <= step.hi
    organ = [value[row, "pmc_msa"].value - value[row, "pmc"].value for row in ROWS[:3]]
    assert table.gains["organ"] == (pytest.approx(np.mean(organ)), 47.6)


def test_seeds_spread_apart_from_patients(table, suite, laptop):
    cell = next(c for c in table.cells if (c.row, c.column) == ("organ/set1_ct", "pmc_ms"))
    values = []
    for run in (r for r in suite if r.name == "pmc_ms"):
        alone = built([run], laptop)
        values.append(next(c for c in alone.cells if (c.row, c.column) == ("organ/set1_ct", "pmc_ms")))
    assert cell.spread == pytest.approx(statistics.stdev(v.value for v in values))
    assert all(math.isnan(v.spread) for v in values)  # one seed has no spread


def test_p_values_are_corrected_over_all_gains_and_unknown_for_few_patients(table):
    assert all(math.isnan(step.p) for step in table.steps)  # 8, 6, and 3 patients


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Three seeds and twelve patients; PMC's seeds evaluate the same weights."""
    outputs = tmp_path_factory.mktemp("many")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(fake_suite.PATIENTS, "set1", 12)
        write_suite(outputs, sets=("set1",), seeds=(0, 1, 2))
        for name in COLUMNS:
            for seed in (0, 1, 2):
                weigh(outputs / f"table3/{name}/seed_{seed}", "stand-in" if name == "pmc" else f"{name} {seed}")
    return read_suite(outputs, "table3")[0]


def weigh(folder, digest):
    """Note which weights a run evaluated."""
    results = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps(results | {"weights": {"sha256": digest}}))


def test_p_values_are_of_the_differences_by_seed_and_patient(many, laptop):
    table = built(one_a_training(many), laptop)
    known = [step for step in table.steps if step.row == "organ/set1_mr"]
    assert [step.over for step in known if math.isnan(step.p)] == ["pmc", "pmc"]  # of one training
    for step in (step for step in known if step.over != "pmc"):
        gains = []
        for seed in (0, 1, 2):
            a, b = (
                plain_hits(next(r for r in many if (r.name, r.seed) == (name, seed)), "set1", ["MR"])
                for name in (step.column, step.over)
            )
            share = np.mean([a[n][1] - b[n][1] for n in a])
            of = {p: [a[n][1] - b[n][1] - share for n in a if a[n][0] == p] for p in {p for p, _ in a.values()}}
            gains.append([share + sum(of[p]) * 12 / len(a) for p in sorted(of)])
        expected = crossed_mean(gains)
        assert (step.value, step.p) == (pytest.approx(expected.value), pytest.approx(expected.p))
        assert (step.lo, step.hi) == (pytest.approx(expected.lo), pytest.approx(expected.hi)) and step.seeds == 3
    assert [s.adjusted for s in table.steps] == pytest.approx(holm([s.p for s in table.steps]), nan_ok=True)


def test_bold_is_what_is_significantly_above_the_column_that_it_is_measured_against(many, laptop):
    table = built(one_a_training(many), laptop)
    up = {(s.row, s.column) for s in table.steps if s.adjusted < 0.05 and s.value > 0 and (s.column, s.over) in BESIDE}
    assert table.above == up and {column for _, column in up} == {"pmc_msa"}
    text = main_markdown(table)
    lines = [line for line in text.splitlines() if line.startswith("| ") and "`" in line]
    assert sum(line.count("**") for line in lines) == 2 * len(up) > 0
    assert "Bold: significantly above" in text and text.count("±") == 1 + 3 * 3  # the legend, and no ± of PMC
    rows, shown = (
        by_row(table.layout.rows, table.cells),
        {"further": [], "sizes": [], "size_names": [], "baselines": []},
    )
    page = render(
        "zero_shot/table.html", table=table, columns=laptop.columns, main=rows, bold=bold_words(table), **shown
    )
    assert page.count('class="above"') == len(up) and "Bold: significantly above" in page
    gains = to_markdown(table).split("## Gains")[1].split("##")[0]
    assert gains.count("**") == 2 * sum(s.adjusted < 0.05 for s in table.steps)
    assert "A column with one training is compared with each training of the other" in gains


BESIDE = [("pmc_m", "pmc"), ("pmc_ms", "pmc_m"), ("pmc_msa", "pmc_ms")]


def test_seeds_of_the_same_weights_are_one_training(many, laptop):
    kept = one_a_training(many)
    assert [(r.name, r.seed) for r in kept if r.name == "pmc"] == [("pmc", 0)] and len(kept) == 10
    (note,) = repeats(many)
    assert note.startswith("pmc: its 3 seeds evaluate the weights of 1 training, and they count as 1")
    table = built(kept, laptop)
    cell = next(c for c in table.cells if (c.row, c.column) == ("organ/set1_mr", "pmc"))
    assert cell.seeds == 1 and math.isnan(cell.spread) and cell.lo < cell.value < cell.hi
    gain = next(s for s in table.steps if (s.row, s.column, s.over) == ("organ/set1_mr", "pmc_m", "pmc"))
    assert gain.seeds == 3 and gain.lo < gain.value < gain.hi and math.isnan(gain.p)
    assert (
        "(over patients alone, without the variation between trainings, where a column has one training)"
        in to_markdown(table)
    )


def test_gains_are_paired_by_the_number_of_the_seed(many, laptop):
    runs = [r for r in many if r.name == "pmc_msa" or (r.name == "pmc_ms" and r.seed > 0)]
    table = built(runs, laptop)
    step = next(s for s in table.steps if s.row == "organ/set1_mr")
    shared = built([r for r in runs if r.seed > 0], laptop).steps
    assert step.seeds == 2 and step[:6] == next(s for s in shared if s.row == step.row)[:6]
    assert "gains of pmc_msa over pmc_ms are from the seeds that both columns have (1, 2)" in table.notes
    other = [replace(r, seed=r.seed + 7) if r.name == "pmc_ms" else r for r in runs]
    table = built(other, laptop)
    assert not table.steps and any(
        "no seed, because the columns have no seed in common" in note for note in table.notes
    )


def test_baselines_by_hand(table, suite):
    frame = suite[0].tables["zero_shot"]
    targets = [set(t) for t in frame[(frame["set"] == "set1") & (frame["modality"] == "MR")]["organ_targets"] if len(t)]
    baseline = next(b for b in table.baselines if b.row == "organ/set1_mr")
    shares = {organ: 100 * np.mean([organ in t for t in targets]) for organ in ORGANS}
    assert baseline.majority == pytest.approx(max(shares.values())) == pytest.approx(shares[baseline.label])
    assert baseline.chance == pytest.approx(100 * np.mean([len(t) / 5 for t in targets]))
    assert (baseline.n, baseline.targets) == (len(targets), pytest.approx(np.mean([len(t) for t in targets])))


def test_latex_is_balanced_and_escaped(table):
    text = to_latex(table)
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert len(body) == 5 and all(line.count("&") == 4 and line.endswith(r"\\") for line in body)
    assert text.count("{") == text.count("}") and text.count(r"\begin") == text.count(r"\end")
    # every special character of the data's description is escaped
    assert not re.search(r"(?<!\\)[#_]", text.split("\n", 1)[1])


def test_terminal_table_has_every_cell(table):
    from rich.console import Console

    console = Console(width=200, record=True, file=io.StringIO())
    console.print(to_rich(table))
    text = console.export_text()
    assert all(row in text for row in ROWS) and "(91.62)" in text and "[9" in text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"lesion/set1": {"text": "", "set": "a", "modalities": []}}, "must begin with"),
        ({"organ/set1": {"text": "", "sett": "a", "modalities": []}}, "set is missing, sett is unknown"),
        (
            {"organ/a": {"text": "", "set": "a", "modalities": [], "instead": "organ/b"}},
            "not one of the further",
        ),
    ],
)
def test_layout_errors(rows, message):
    with pytest.raises(ValueError, match=message):
        make_layout({"pmc": "PMC"}, rows, {}, "")


def test_the_papers_numbers_are_read_or_refused_by_name(tmp_path):
    numbers, gains = read_paper(ROOT / "anatomy_clip/results/paper.yaml")
    assert numbers == PAPER["table3"] and gains == PAPER["mean_gain_over_pmc"]
    with pytest.raises(ValueError, match=r"paper=none\.yaml: no such file"):
        read_paper(tmp_path / "none.yaml")
    (tmp_path / "empty.yaml").write_text("table4: {}\n")
    with pytest.raises(ValueError, match=r"paper=empty\.yaml: needs the key table3"):
        read_paper(tmp_path / "empty.yaml")


def test_a_set_that_no_row_names_gets_rows_of_its_own(tmp_path, laptop):
    write_suite(tmp_path, sets=["set1", "samples_ct"], seeds=[0])
    for path in tmp_path.glob("table3/*/*/zero_shot.parquet"):
        rows = pd.read_parquet(path)
        rows.assign(set=rows["set"].replace("samples_ct", "mine")).to_parquet(path, index=False)
    runs, _ = read_suite(tmp_path, "table3", COLUMNS)
    table = build(runs, with_own_sets(laptop, runs), {})
    own = {cell.row for cell in table.further} - {spec.row for spec in laptop.further}
    assert own == {"organ/mine_ct", "station/mine_ct"}
    assert "Organ, mine, CT<br>`organ/mine_ct`" in to_markdown(table)
    assert with_own_sets(laptop, []) == laptop
