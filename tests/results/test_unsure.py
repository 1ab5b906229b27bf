"""An organ that a slice leaves open is neither right nor wrong in any table."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fake_suite import ORGANS, decisions, write_lists, write_run
from sklearn.metrics import average_precision_score, roc_auc_score
from test_page import LAYOUT

from anatomy_clip.metrics.calibration import brier, calibration_error
from anatomy_clip.results.breakdown import by_group, confusion, per_label
from anatomy_clip.results.examples import choose_half_wrong, verdict
from anatomy_clip.results.measures import measure
from anatomy_clip.results.plots import reliability_plot, roc_plot
from anatomy_clip.results.read import read_suite
from anatomy_clip.results.run_summary import label_rows, summary
from anatomy_clip.results.slices import by_run, select
from anatomy_clip.results.table import build

ROW = next(row for row in LAYOUT.rows if row.row == "organ/set1_ct")


def made(outputs, change):
    """Two columns of a suite, with changed rows."""
    for name, rate in {"pmc": 0.3, "pmc_msa": 0.9}.items():
        for seed in (0, 1):
            write_run(outputs, name, seed, rate, sets=("set1",))
    for path in sorted(outputs.glob("table3/*/*/zero_shot.parquet")):
        write_lists(path.parent)
        change(pd.read_parquet(path)).to_parquet(path, index=False)
    return read_suite(outputs, "table3", list(LAYOUT.columns))[0]


def left_open(row):
    """Organs that a slice leaves open; those that it shows otherwise are among them."""
    rng = np.random.default_rng(row)
    return [name for name in ORGANS if rng.random() < 0.3][: len(ORGANS) - 1]


def opened(score):
    """Rows that leave organs open, whose scores are `score(raw, rng)`."""

    def change(table):
        rng = np.random.default_rng(0)
        table["organ_unsure"] = [left_open(row) for row in table["row"]]
        for n, (names, targets, scores) in enumerate(
            zip(table["organ_unsure"], table["organ_targets"], table["organ_scores"], strict=True)
        ):
            table.at[n, "organ_targets"] = [name for name in targets if name not in names]
            table.at[n, "organ_scores"] = [
                score(one, rng) if name in names else one for name, one in zip(ORGANS, scores, strict=True)
            ]
        return table

    return change


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return made(tmp_path_factory.mktemp("open"), opened(lambda raw, rng: raw))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The same, but for the scores of what is left open: often the highest, often the lowest."""
    return made(tmp_path_factory.mktemp("other"), opened(lambda raw, rng: float(rng.choice([-0.9, 0.9]))))


def plain(run):
    """Every CT slice as (names by score, right names, what is left open, patient), without what is left open."""
    found = []
    for row in run.tables["zero_shot"].to_dict("records"):
        if row["modality"] == "CT":
            names = sorted(ORGANS, key=lambda name, row=row: (-row["organ_scores"][ORGANS.index(name)], name))
            ranking = [name for name in names if name not in row["organ_unsure"]]
            found.append(SimpleNamespace(**row, ranking=ranking))
    return found


def test_hit_at_1_and_baselines_by_plain_loops(runs):
    table = build(runs, LAYOUT, {})
    of_column = [run for run in runs if run.name == "pmc"]
    hits = [[s.ranking[0] in s.organ_targets for s in plain(run) if len(s.organ_targets)] for run in of_column]
    cell = next(c for c in table.cells if (c.row, c.column) == (ROW.row, "pmc"))
    assert (cell.value, cell.n) == (pytest.approx(100 * np.mean(hits)), len(hits[0]))
    slices = [s for s in plain(runs[0]) if len(s.organ_targets)]
    baseline = next(b for b in table.baselines if b.row == ROW.row)
    chances = [len(s.organ_targets) / len(s.ranking) for s in slices]
    always = [baseline.label in s.organ_targets for s in slices if baseline.label in s.ranking]
    assert baseline.chance == pytest.approx(100 * np.mean(chances))
    assert baseline.majority == pytest.approx(100 * np.mean(always)) and baseline.n == len(slices)
    raw = [ORGANS[int(np.argmax(s.organ_scores))] in s.organ_targets for s in slices]
    assert np.mean(raw) < np.mean([s.ranking[0] in s.organ_targets for s in slices])  # some stood in the way


def test_labels_by_plain_loops(runs):
    run = runs[-1]
    rows = {row[1]: row for row in label_rows(run) if row[0] == "organ/set1_ct"}
    for k, label in enumerate(ORGANS):
        known = [s for s in plain(run) if label in s.ranking]
        shown, scores = [label in s.organ_targets for s in known], [s.organ_scores[k] for s in known]
        hits = [s.ranking[0] in s.organ_targets for s in known if label in s.organ_targets]
        expected = (sum(shown), len(known), np.mean(hits), roc_auc_score(shown, scores))
        assert rows[label][2:] == pytest.approx((*expected, average_precision_score(shown, scores)))
    labels = next(table for table in per_label(runs, LAYOUT) if table.row == ROW)
    of_column = [label_rows(run) for run in runs if run.name == "pmc"]
    mean = np.mean([[row[5] for row in rows if row[0] == "organ/set1_ct"] for rows in of_column], axis=0)
    assert labels.columns["pmc"].auroc == pytest.approx(mean)


def test_certainty_by_plain_loops(runs):
    column, risk, pairs, best = "pmc_msa", [], [], []
    for run in (run for run in runs if run.name == column):
        probability, promised, right = decisions().organ.probabilities, [], []
        for row in run.tables["zero_shot"].to_dict("records"):
            open_ = set(row["organ_unsure"])
            if len(row["organ_targets"]) or not open_:  # the others may show one
                p = dict(zip(ORGANS, probability([row["organ_scores"]])[0], strict=True))
                first = max((name for name in ORGANS if name not in open_), key=p.get)
                promised.append(p[first])
                right.append(first in row["organ_targets"])
                pairs.append([(p[name], name in row["organ_targets"]) for name in ORGANS if name not in open_])
        risk.append(1 - np.mean(right))
        best.append(calibration_error(promised, right))
    found = next(c for c in measure(runs, LAYOUT).certainties if c.column == column)
    assert found.slices == len(right) < len(runs[0].tables["zero_shot"])
    assert (found.risk, found.ece_best) == (pytest.approx(100 * np.mean(risk)), pytest.approx(100 * np.mean(best)))
    halves = pairs[: len(right)], pairs[len(right) :]
    each = [brier(*np.array([pair for one in half for pair in one]).T) for half in halves]
    assert found.brier == pytest.approx(np.mean(each))


def test_lists_by_plain_loops(runs):
    found = next(d for d in measure(runs, LAYOUT).descriptions if (d.column, d.way) == ("pmc_msa", "thresholds"))
    f1, exact = [], []
    for run in (run for run in runs if run.name == "pmc_msa"):
        for row in run.tables["zero_shot"].to_dict("records"):
            over = decisions().organ.probabilities([row["organ_scores"]])[0] >= 0.5
            said = {name for name, yes in zip(ORGANS, over, strict=True) if yes} - set(row["organ_unsure"])
            shown = set(row["organ_targets"])
            f1.append(2 * len(said & shown) / (len(said) + len(shown)) if said or shown else 1.0)
            exact.append(said == shown)
    assert found.organ_f1 == pytest.approx(100 * np.mean(f1))
    assert found.organ_exact == pytest.approx(100 * np.mean(exact))


def test_the_scores_of_what_is_left_open_change_nothing(runs, other):
    def numbers(some):
        table, found = build(some, LAYOUT, {}), measure(some, LAYOUT)
        labels = [
            (t.slices, t.support.tolist(), {c: vars(s) for c, s in t.columns.items()}) for t in per_label(some, LAYOUT)
        ]
        lists = [d[:11] + d[14:16] for d in found.descriptions if d.way in ("top1", "thresholds")]
        sure = [c[:9] for c in found.certainties]  # beyond them: what was named, which the highest score decides
        rows = some[0].tables["zero_shot"].to_dict("records")
        said = [(v := verdict(some[0], row, "organ", 3)).names + v.share + (v.is_right,) for row in rows]
        plots = [roc_plot(some, LAYOUT, ROW), reliability_plot(found.judged, LAYOUT.columns)]
        chosen = [row["row"] for row in choose_half_wrong(some[-1], ["set1"], 12)]
        return [
            table.cells, table.steps, table.baselines, labels, found.sizes, lists, sure, said,
            chosen, plots, confusion(some[0], ROW).counts.tolist(), by_group(some[0], "organ", "set1"),
            summary(some[-1], some[0]), label_rows(some[0]),
        ]  # fmt: skip

    assert not np.array_equal(*(select(some[0], "organ", "set1", ("CT",)).scores for some in (runs, other)))
    for ours, theirs in zip(numbers(runs), numbers(other), strict=True):
        assert repr(ours) == repr(theirs)


def test_a_column_that_leaves_nothing_open_changes_no_file(tmp_path):
    def files(name, change):
        some = made(tmp_path / name, change)
        found = measure(some, LAYOUT)
        return repr(
            [build(some, LAYOUT, {}), found.descriptions, found.certainties, per_label(some, LAYOUT), summary(some[1])]
        )

    def nothing_open(table):
        table["organ_unsure"] = [[] for _ in range(len(table))]
        return table

    assert files("earlier", lambda table: table) == files("now", nothing_open)


def test_runs_of_which_one_leaves_more_open_are_not_averaged(tmp_path):
    some = made(tmp_path, lambda table: table)
    path, notes = some[1].folder / "zero_shot.parquet", []
    opened(lambda raw, rng: raw)(pd.read_parquet(path)).to_parquet(path, index=False)
    again = read_suite(tmp_path, "table3", list(LAYOUT.columns))[0]
    assert len(by_run(again[:2], ROW, notes)) == 1 and "its slices are not those of the first seed" in notes[0]
