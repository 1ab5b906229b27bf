"""Slices of unknown labels take no part: results are those of a suite from which they were taken out."""

import numpy as np
import pandas as pd
import pytest
from fake_suite import ORGANS, write_lists, write_suite
from test_page import LAYOUT, paged, stacks

from anatomy_clip.results.breakdown import by_group, by_size, confusion, per_label, slice_hits
from anatomy_clip.results.captions import caption_scores
from anatomy_clip.results.examples import choose, verdict
from anatomy_clip.results.gallery import gallery
from anatomy_clip.results.measures import measure
from anatomy_clip.results.plots import reliability_plot, risk_plot, roc_plot
from anatomy_clip.results.read import read_suite
from anatomy_clip.results.run_summary import cells, gallery_rows, label_rows, summary
from anatomy_clip.results.slices import percent_of, select
from anatomy_clip.results.table import build

KINDS = ("organ", "station")
STATION = ("station_f1", "station_exact", "station_slices")
BOTH = ("consistent",)  # of all slices: it needs no target


def made(outputs, change):
    """Two columns of a suite, with changed rows."""
    write_suite(outputs, sets=("set1", "samples_ct"), seeds=(0, 1))
    for path in outputs.glob("table3/*/*/zero_shot.parquet"):
        write_lists(path.parent)
        change(pd.read_parquet(path)).to_parquet(path, index=False)
    return read_suite(outputs, "table3", list(LAYOUT.columns))[0]


def without(kind):
    """Rows of which a kind isn't known: every fifth organ, every third station, and all organs of samples_ct."""

    def rows(table):
        if kind == "organ":
            return (table["row"] % 5 == 0) | (table["set"] == "samples_ct")
        return table["row"] % 3 == 0

    return rows


def unstated(table):
    for kind in KINDS:
        table.loc[without(kind)(table), f"{kind}_targets"] = None
    return table


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return made(tmp_path_factory.mktemp("unknown"), unstated)


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """Kind -> the runs without the slices of which it is unknown."""
    return {
        kind: made(tmp_path_factory.mktemp(kind), lambda table, kind=kind: table[~without(kind)(table)])
        for kind in KINDS
    }


def plain(values):
    """NaN as a word, so that equal is equal; floats to nine digits, since their sums may be ordered otherwise."""
    if isinstance(values, dict):
        return {key: plain(value) for key, value in values.items()}
    if isinstance(values, list | tuple | np.ndarray):
        return [plain(value) for value in values]
    return ("nan" if np.isnan(values) else round(float(values), 9)) if isinstance(values, float) else values


def test_the_table_is_that_of_the_known_slices(runs, known):
    ours = build(runs, LAYOUT, {})
    for kind in KINDS:
        theirs = build(known[kind], LAYOUT, {})
        for part in ("cells", "baselines", "steps"):
            of_kind = [
                [plain(tuple(one)) for one in getattr(table, part) if one.row.startswith(kind) and "set1" in one.row]
                for table in (ours, theirs)
            ]
            assert of_kind[0] and of_kind[0] == of_kind[1]
    none = next(cell for cell in ours.cells if cell.row == "organ/set2_ct")
    assert np.isnan(none.value) and none.n == 0 == none.patients


def test_labels_sizes_groups_and_confusions_are_those_of_the_known_slices(runs, known):
    for kind in KINDS:
        rows = [row for row in (*LAYOUT.rows, *LAYOUT.further) if row.task == kind and row.test_set == "set1"]
        for row in rows:
            ours, theirs = (confusion(some[0], row) for some in (runs, known[kind]))
            np.testing.assert_array_equal(ours.counts, theirs.counts)
        ours, theirs = ([t for t in per_label(some, LAYOUT) if t.row in rows] for some in (runs, known[kind]))
        for one, other in zip(ours, theirs, strict=True):
            assert one.slices == other.slices and one.support.tolist() == other.support.tolist()
            for column in one.columns:
                for field in ("hit", "auroc", "precision"):
                    np.testing.assert_allclose(*(getattr(t.columns[column], field) for t in (one, other)))
        groups = [plain(by_group(some[0], kind, "set1")) for some in (runs, known[kind])]
        assert groups[0] == groups[1]
        sizes = [
            [plain(tuple(s)) for s in by_size(some, LAYOUT) if s.row in [row.row for row in rows]]
            for some in (runs, known[kind])
        ]
        assert sizes[0] and sizes[0] == sizes[1]
    table = runs[0].tables["zero_shot"]
    hits = slice_hits(runs[0], "organ", "set1")
    of_set = table[table["set"] == "set1"]
    assert len(hits) == len(of_set) and np.isnan(hits[of_set["organ_targets"].isna()]).all()


def test_descriptions_and_certainty_are_those_of_the_known_slices(runs, known):
    ours = measure(runs, LAYOUT)
    organ, station = (measure(known[kind], LAYOUT) for kind in KINDS)
    for one in (d for d in ours.descriptions if d.test_set == "set1"):
        other, of_station = (
            next(d for d in found.descriptions if (d.test_set, d.column, d.way) == (one.test_set, one.column, one.way))
            for found in (organ, station)
        )
        for name, value in one._asdict().items():
            if name in BOTH:
                continue
            assert plain(value) == plain(getattr(of_station if name in STATION else other, name)), name
        assert one.slices < len(select(runs[0], "organ", "set1", ("CT", "MR"), unknown=True).keys)
    certainty = [[plain(tuple(c)) for c in found.certainties if c.test_set == "set1"] for found in (ours, organ)]
    assert certainty[0] and certainty[0] == certainty[1]
    none = next(c for c in ours.certainties if c.test_set == "samples_ct")
    assert none.slices == 0 and all(np.isnan(value) for value in none[4:])
    none = next(d for d in ours.descriptions if d.test_set == "samples_ct")
    assert none.slices == none.patients == 0 < none.station_slices
    assert np.isnan([none.organ_f1, none.organ_micro, none.organ_exact]).all() and none.station_f1 >= 0


def test_what_reviewers_see_of_a_run_is_of_the_known_slices(runs, known):
    assert "organ/samples_ct_ct" not in cells(runs[0])
    for kind in KINDS:
        for numbers in (lambda run: summary(run), lambda run: {row[:2]: row[2:] for row in label_rows(run)}):
            ours, theirs = (
                {
                    key: plain(value)
                    for key, value in numbers(some[0]).items()
                    if kind in str(key) and "set1" in str(key)
                }
                for some in (runs, known[kind])
            )
            assert ours and ours == theirs


def test_pictures_say_that_labels_are_not_stated(runs, tmp_path):
    run, images = runs[-1], stacks(runs)
    table = run.tables["zero_shot"]
    chosen = choose(table, ["samples_ct"], 6)
    assert (
        len(chosen) and chosen["organ_targets"].isna().all() and (chosen["station_targets"].dropna().map(len) > 0).all()
    )
    rows = gallery_rows(run, images, 40, lambda *_: "x")
    organs = [(row[-2], row[-1]) for _, row in rows if row[2] == "samples_ct"]
    assert organs and set(organs) == {("not stated", None)}
    text = paged(runs, images)
    assert "its organs are not stated" in text and "its stations are not stated" in text
    assert "shows none" not in text
    assert gallery(run, {"samples_ct": images["samples_ct"]}, tmp_path / "g.png") == min(
        12, len(choose(table, ["samples_ct"], 12))
    )
    unknown = verdict(run, {"organ_scores": np.arange(5.0), "organ_targets": None}, "organ", 1)
    assert (unknown.names, unknown.truth, unknown.is_right, unknown.shown) == ((ORGANS[-1],), None, None, "not stated")


def test_plots_leave_out_sets_of_unknown_organs(runs):
    judged = measure(runs, LAYOUT).judged
    for draw in (risk_plot, reliability_plot):
        assert draw(judged, LAYOUT.columns).startswith(b"\x89PNG")
        assert draw([one for one in judged if one.test_set == "samples_ct"], LAYOUT.columns) is None
    assert roc_plot(runs, LAYOUT, next(row for row in LAYOUT.rows if row.row == "organ/set2_ct")) is None


def test_captions_count_each_slot_where_it_is_known(runs, tmp_path):
    for path in (run.folder / "captions.parquet" for run in runs):
        table = pd.read_parquet(path).astype({"reachable": float})
        unknown = table["row"] % 4 == 0
        table.loc[unknown, ["organ_f1_right", "organ_exact_right", "all_right", "reachable"]] = np.nan
        table.to_parquet(path, index=False)
    found = caption_scores(read_suite(runs[0].folder.parents[2], "table3", list(LAYOUT.columns))[0], LAYOUT)
    one = next(score for score in found if score.test_set == "set1")
    assert one.organ_slices == one.all_slices == one.slices * 3 // 4 > 0
    assert one.organ_f1 == pytest.approx(80) and one.modality == pytest.approx(80)


def test_a_mean_leaves_out_what_does_not_count():
    shares, patients = np.array([[0.1, np.nan, 0.3]]), np.array(["a", "b", "a"])
    found = percent_of(shares, patients)
    assert (found.value, found.patients) == (pytest.approx(20), 1)
    nothing = percent_of(shares[:, 1:2], patients[1:2])
    assert np.isnan(nothing.value) and nothing.patients == 0
