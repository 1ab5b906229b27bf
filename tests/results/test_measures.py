"""Beyond the best label: lists, certainty, captions and target sizes, against plain loops and scikit-learn."""

import csv
import io
import math

import numpy as np
import pytest
from fake_suite import AT, ORGANS, STATIONS, decisions, write_lists, write_suite
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score
from test_page import LAYOUT, Tags, paged, stacks

from anatomy_clip.core.terms import Modality
from anatomy_clip.results.captions import caption_scores
from anatomy_clip.results.descriptions import WAYS, judged, named
from anatomy_clip.results.measures import measure
from anatomy_clip.results.plots import reliability_plot, risk_plot
from anatomy_clip.results.read import read_run, read_suite
from anatomy_clip.results.render import rows_csv
from anatomy_clip.results.slices import select


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("outputs")
    write_suite(outputs)
    for name in ("pmc", "pmc_msa"):
        for seed in (0, 1):
            write_lists(outputs / "table3" / name / f"seed_{seed}", right=0.6 + 0.2 * seed)
    return read_suite(outputs, "table3", list(LAYOUT.columns))[0]


@pytest.fixture(scope="module")
def lists(runs):
    return measure(runs, LAYOUT)


def of(rows, **wanted):
    return next(row for row in rows if all(getattr(row, key) == value for key, value in wanted.items()))


def plain_lists(run, way):
    """Named organs and stations of set1 by a plain loop over the rules' definition."""
    organs, stations = [], []
    for row in run.tables["zero_shot"][run.tables["zero_shot"]["set"] == "set1"].to_dict("records"):
        organ = dict(zip(ORGANS, row["organ_scores"], strict=True))
        station = dict(zip(STATIONS, row["station_scores"], strict=True))
        if way == "top1":
            organs.append({max(organ, key=organ.get)})
            stations.append({max(station, key=station.get)})
            continue
        o, s = {k for k, v in organ.items() if v >= 0.15}, {k for k, v in station.items() if v >= 0.2}
        if way != "thresholds":
            s |= {max(station, key=station.get)}
            o = {k for k in o if AT[k] in s}
        if way == "abstaining" and 1 / (1 + math.exp(3 - 20 * max(organ.values()))) < 0.3:
            o, s = set(), set()
        organs.append(o)
        stations.append(s)
    return organs, stations


def matrix(found, labels):
    return np.array([[label in names for label in labels] for names in found])


@pytest.mark.parametrize("way", WAYS)
def test_lists_are_those_of_a_plain_loop_and_their_numbers_scikit_learns(runs, lists, way):
    f1, exact, micro, agree = [], [], [], []
    for run in (r for r in runs if r.name == "pmc"):
        slices = select(run, "organ", "set1", tuple(Modality))
        organs, stations = plain_lists(run, way)
        one = next(j for j in judged([run], LAYOUT) if j.test_set == "set1")
        for ours, plain, labels in zip(named(one, way), (organs, stations), (ORGANS, STATIONS), strict=True):
            np.testing.assert_array_equal(ours, matrix(plain, labels))
        listed = matrix(organs, ORGANS)
        f1.append(f1_score(slices.targets, listed, average="samples", zero_division=1.0))
        micro.append(f1_score(slices.targets, listed, average="micro"))
        exact.append(accuracy_score(slices.targets, listed))
        agree.append(np.mean([all(AT[x] in s for x in o) for o, s in zip(organs, stations, strict=True) if o]))
    row = of(lists.descriptions, test_set="set1", column="pmc", way=way)
    assert row.organ_f1 == pytest.approx(100 * np.mean(f1)) and row.organ_f1_lo < row.organ_f1 < row.organ_f1_hi
    assert row.organ_micro == pytest.approx(100 * np.mean(micro))
    assert row.organ_exact == pytest.approx(100 * np.mean(exact))
    assert row.consistent == pytest.approx(100 * np.mean(agree))
    assert (row.seeds, row.patients) == (2, 8)


def test_certainty_by_plain_numpy(runs, lists):
    risk, brier, coverage, kept = [], [], [], []
    for run in (r for r in runs if r.name == "pmc_msa"):
        slices = select(run, "organ", "shifted", tuple(Modality))
        probability = decisions().organ.probabilities(slices.scores)
        right = slices.targets[np.arange(len(right_of := probability.argmax(axis=1))), right_of]
        risk.append(1 - right.mean())
        brier.append(brier_score_loss(slices.targets.ravel(), probability.ravel()))
        sure = probability.max(axis=1) >= 0.3
        coverage.append(sure.mean())
        kept.append(1 - right[sure].mean())
    row = of(lists.certainties, test_set="shifted", column="pmc_msa")
    found = (row.risk, row.brier, row.coverage, row.risk_named)
    expected = (100 * np.mean(risk), np.mean(brier), 100 * np.mean(coverage), 100 * np.mean(kept))
    assert found == pytest.approx(expected)


def test_captions_are_means_over_seeds(runs):
    captions = caption_scores(runs, LAYOUT)
    row = of(captions, test_set="set1", column="pmc", way="grown")
    assert (row.modality, row.station, row.organ_f1, row.all) == pytest.approx((70, 70, 70, 70))
    assert row.reachable == pytest.approx(50) and row.seeds == 2
    assert captions[0].test_set == "set1"
    assert {c.column for c in captions} == {"pmc", "pmc_msa"}


def test_sizes_by_a_plain_loop(runs, lists):
    row = of(lists.sizes, row="organ/set1_ct", column="pmc_m")
    shares, macro = {1: [], 2: []}, []
    for run in (r for r in runs if r.name == "pmc_m"):
        slices = select(run, "organ", "set1", ["CT"])
        right = [bool(t[s.argmax()]) for s, t in zip(slices.scores, slices.targets, strict=True)]
        for size, found in shares.items():
            found.append(np.mean([hit for hit, t in zip(right, slices.targets, strict=True) if t.sum() == size]))
        by_label = [np.mean([hit for hit, t in zip(right, slices.targets, strict=True) if t[k]]) for k in range(5)]
        macro.append(np.mean(by_label))
    assert (row.one, row.two) == pytest.approx(tuple(100 * np.mean(shares[n]) for n in (1, 2)))
    assert row.macro == pytest.approx(100 * np.mean(macro))
    assert math.isnan(row.three) and row.n_three == row.n_more == 0 < row.n_one


def test_runs_without_the_files_are_noted_with_the_remedy(runs, lists, tmp_path):
    text = " ".join(lists.notes)
    assert "No decisions of pmc_m (seed 0), pmc_m (seed 1), pmc_ms" in text and "stages=[evaluate]" in text
    text = paged(runs)
    assert "No captions of pmc_m (seed 0), pmc_m (seed 1), pmc_ms" in text
    write_suite(tmp_path, seeds=(0,))
    runs = read_suite(tmp_path, "table3", list(LAYOUT.columns))[0]
    text = paged(runs)
    assert "stages=[evaluate], which does no training" in text and "ways to make a list" not in text


def test_damaged_decisions_are_named(tmp_path):
    write_suite(tmp_path, seeds=(0,))
    folder = tmp_path / "table3/pmc/seed_0"
    (folder / "decisions.json").write_text("null")
    assert read_run(folder).decisions is None
    (folder / "decisions.json").write_text("{")
    with pytest.raises(ValueError, match=r"decisions\.json is damaged.*stages=\[evaluate\]"):
        read_run(folder)
    (folder / "decisions.json").write_text("{}")
    with pytest.raises(ValueError, match=r"decisions: KeyError.*stages=\[evaluate\]"):
        read_run(folder)


def test_the_page_shows_the_lists(runs, lists):
    text = paged(runs, stacks(runs))
    Tags(text)
    row = of(lists.descriptions, test_set="samples_ct", column="pmc_msa", way="abstaining")
    assert f"{row.organ_f1:.1f} <span" in text and "Risk against coverage by test set" in text
    assert text.count("<table") == text.count("<caption>")
    assert "over seeds" in text


def test_plots_are_drawn_or_left_out(lists):
    for draw in (risk_plot, reliability_plot):
        assert draw(lists.judged, LAYOUT.columns).startswith(b"\x89PNG")
        assert draw((), LAYOUT.columns) is None


def test_csv_holds_every_row(lists):
    rows = list(csv.DictReader(io.StringIO(rows_csv(lists.certainties))))
    assert len(rows) == len(lists.certainties)
    assert float(rows[0]["brier"]) == pytest.approx(lists.certainties[0].brier, abs=1e-4)
    sizes = list(csv.DictReader(io.StringIO(rows_csv(lists.sizes))))
    assert sizes[0]["three"] == ""
    assert rows_csv(()) == "\n"
