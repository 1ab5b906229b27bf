"""The HTML page: whole in one file, true to the predictions, without a word of whose slices they are."""

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from fake_suite import ORGANS, STATIONS, write_suite
from sklearn.metrics import roc_auc_score
from support import compose_config

from anatomy_clip.results.breakdown import by_group, confusion, per_label
from anatomy_clip.results.examples import cards
from anatomy_clip.results.page import page, settings
from anatomy_clip.results.panel import Suite, panels_of
from anatomy_clip.results.read import read_suite
from anatomy_clip.results.slices import select
from anatomy_clip.results.table import build
from anatomy_clip.runs import wiring
from anatomy_clip.sources.cards import cards as data_cards

LAYOUT = wiring.build(compose_config("results", "table=laptop").table, _convert_="all")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("outputs")
    write_suite(outputs)
    (outputs / "table3/pmc_m/seed_0/config.yaml").write_text("name: pmc_m\naugment: {images_per_image: 1}\n")
    (outputs / "table3/pmc_msa/seed_0/config.yaml").write_text(
        "name: pmc_msa\naugment: {images_per_image: 4}\nmodel: {weights: /mnt/jane/base.ckpt}\npaths: {data: /mnt}\n"
    )
    return read_suite(outputs, "table3", list(LAYOUT.columns))[0]


@pytest.fixture(scope="module")
def text(runs):
    paper = {"organ/set1_mr": {"pmc_msa": 91.62}}
    shown = {"data_cards": data_cards(), "commands": ["make results <SUITE=table3>"]}
    return paged(runs, stacks(runs), paper, **shown)


def paged(runs, images=None, paper=None, **shown):
    """The page of runs of Table III's columns."""
    suite = Suite("table3", LAYOUT, runs, images=images or {}, paper=paper or {})
    return page(suite, panels_of(suite), **shown)


def stacks(runs):
    sizes = runs[0].tables["zero_shot"].groupby("set")["row"].max() + 1
    return {name: np.full((sizes[name], 16, 16), 90, np.uint8) for name in ("set1", "samples_ct")}


def row(name):
    return next(r for r in LAYOUT.rows + LAYOUT.further if r.row == name)


VOID = {"meta", "img", "br", "link", "input"}


class Tags(HTMLParser):
    """Collects (tag, attributes), and fails on a tag that isn't closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID | {"option"}:
            while self.open[-1] == "option":
                self.open.pop()
            assert self.open.pop() == tag


def test_everything_is_in_the_one_file(text):
    tags = Tags(text).tags
    addresses = [a[k] for _, a in tags for k in ("src", "href", "action") if k in a]
    assert addresses and all(a.startswith(("data:image/png;base64,", "#")) for a in addresses)
    assert not [tag for tag, _ in tags if tag in ("link", "iframe", "object")]
    assert "url(" not in text and "@import" not in text
    policy = next(a["content"] for t, a in tags if t == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'")


def test_it_can_be_used_without_eyes_or_mouse(text):
    tags = Tags(text).tags
    assert all(a.get("alt") for tag, a in tags if tag == "img")
    assert ("html", {"lang": "en"}) in tags
    headings = [int(tag[1]) for tag, _ in tags if re.fullmatch(r"h\d", tag)]
    assert headings[0] == 1 and set(headings[1:]) == {2}
    assert text.count("<table") == text.count("<caption>")
    ids = [a["id"] for _, a in tags if "id" in a]
    assert len(ids) == len(set(ids))
    links = [a["href"].removeprefix("#") for tag, a in tags if tag == "a"]
    assert set(links) <= set(ids)


def test_its_numbers_are_the_tables(text, runs):
    table = build(runs, LAYOUT, {})
    cell = next(c for c in table.cells if (c.row, c.column) == ("organ/set1_ct", "pmc_msa"))
    assert f'>{cell.value:.1f} <span class="faint">[{cell.lo:.1f}, {cell.hi:.1f}]' in text
    assert "paper 91.6" in text


def test_it_says_what_intervals_hold_and_marks_nothing_without_a_test(text, runs):
    assert text.count("95 % interval over trainings (seeds) and patients") == 2 and 'class="above"' not in text
    alone = paged([run for run in runs if run.seed == 0])
    assert "95 % interval over patients alone, which does not include the variation between trainings" in alone
    assert "Holds 0?" not in alone and "bootstrap" not in alone


def test_no_patient_and_no_folder_is_named(text, runs):
    patients = set(runs[0].tables["zero_shot"]["patient"]) | set(runs[0].tables["zero_shot"]["series"])
    assert not [name for name in patients if re.search(rf"\b{re.escape(name)}\b", text)]
    assert "/mnt" not in text and "base.ckpt" in text
    assert "&lt;SUITE=table3&gt;" in text  # text is escaped


def test_settings_that_differ_are_listed():
    found = settings({"a": {"name": "a", "x": {"y": 1, "z": 2}}, "b": {"name": "b", "x": {"y": 1, "z": 3}}})
    assert found == [("x.z", ["2", "3"])]


def test_label_by_label_matches_scikit_learn(runs):
    table = next(t for t in per_label(runs, LAYOUT) if t.row.row == "organ/set1_mr")
    expected, hit = [], []
    for run in (r for r in runs if r.name == "pmc_ms"):
        slices = select(run, "organ", "set1", ["MR"])
        expected.append([roc_auc_score(slices.targets[:, k], slices.scores[:, k]) for k in range(len(ORGANS))])
        top = slices.scores.argmax(axis=1)
        right = slices.targets[np.arange(len(top)), top]
        hit.append([right[slices.targets[:, k]].mean() for k in range(len(ORGANS))])
    np.testing.assert_allclose(table.columns["pmc_ms"].auroc, np.mean(expected, axis=0), rtol=1e-12)
    np.testing.assert_allclose(table.columns["pmc_ms"].hit, np.mean(hit, axis=0), rtol=1e-12)
    assert table.labels == tuple(ORGANS) and table.support.tolist() == slices.targets.sum(axis=0).tolist()


def test_confusions_count_a_right_slice_once_and_a_wrong_one_by_what_it_shows(runs):
    run = next(r for r in runs if r.name == "pmc_m")
    found = confusion(run, row("station/set1_mr_ct"))
    slices = select(run, "station", "set1", ["MR", "CT"])
    expected = np.zeros((len(STATIONS), len(STATIONS)), int)
    for scores, targets in zip(slices.scores, slices.targets, strict=True):
        named = int(scores.argmax())
        for shown in [named] if targets[named] else np.flatnonzero(targets):
            expected[shown, named] += 1
    np.testing.assert_array_equal(found.counts, expected)
    assert confusion(run, row("organ/real_ct")) is None


def test_groups_add_up_to_the_whole(runs):
    run = runs[0]
    groups = by_group(run, "organ", "set1")
    slices = select(run, "organ", "set1", ["MR", "CT"])
    right = slices.targets[np.arange(len(slices.scores)), slices.scores.argmax(axis=1)].sum()
    for values in groups.values():
        assert sum(n for _, n in values.values()) == slices.targets.any(axis=1).sum()
        assert round(sum(share * n for share, n in values.values())) == right
    assert set(groups["modality"]) == {"CT", "MR"} and set(groups["protocol"]) == {"none", "T2"}
    assert by_group(run, "organ", "elsewhere") == {}


def test_the_gallery_holds_right_and_wrong_slices_of_every_set_with_images(runs):
    found = cards(next(r for r in runs if r.name == "pmc_m"), stacks(runs), 12)
    for name in ("set1", "samples_ct"):
        of_set = [c for c in found if c.test_set == name]
        assert 6 <= len(of_set) <= 12
        assert any(c.organ_right and c.station_right for c in of_set)
        assert any(not c.organ_right for c in of_set)


def test_gallery_slices_carry_their_best_caption_and_its_faults(runs):
    run = next(r for r in runs if r.name == "pmc_msa")  # the last column, whose slices the page shows
    assert {c.caption for c in cards(run, stacks(runs), 32)} == {""}
    frame = run.tables["zero_shot"][["set", "row", "source", "patient"]].assign(way="seen", reachable=True)
    frame = frame.assign(modality_right=1.0, orientation_right=0.0, organ_f1_right=0.5, all_right=0.0)
    frame["station_right"] = np.where(frame["row"] % 2, 1.0, np.nan)  # a slice without a station has no fault there
    frame["organ_exact_right"] = (frame["row"] % 3 == 0).astype(float)
    frame["caption"] = frame["set"] + " slice " + frame["row"].astype(str)
    table = pd.concat([frame, frame.assign(way="grown", caption="of the beam")]).sample(frac=1, random_state=0)
    run = replace(run, tables=run.tables | {"captions": table})
    found = cards(run, stacks(runs), 32)
    for card in found:
        name, _, row = card.caption.rpartition(" slice ")
        assert name == card.test_set
        assert card.caption_faults == (("plane",) if int(row) % 3 == 0 else ("plane", "organs"))
    said = [run if r.folder == run.folder else r for r in runs]
    text = paged(said, stacks(said))
    assert re.findall("<q>(.*?)</q>", text) == [card.caption for card in found]
    assert text.count("wrong in it: plane, organs") == sum(len(card.caption_faults) == 2 for card in found) > 0


def test_a_suite_without_runs_of_its_columns_or_images_still_gives_a_page(runs):
    assert "no pictures" in paged(runs[:1])


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize(
    ("address", "fits"),
    [
        ("", lambda c: True),
        ("#gallery?set=samples_ct", lambda c: c.test_set == "samples_ct"),
        ("#gallery?verdict=organ&modality=MR", lambda c: not c.organ_right and c.modality == "MR"),
        ("#gallery?organ=liver&plane=axial", lambda c: "liver" in (c.organ, *c.organs) and c.plane == "axial"),
        ("#gallery?set=no such set", lambda c: True),
    ],
)
def test_filters_work_in_a_browser(text, runs, tmp_path, address, fits):
    (tmp_path / "results.html").write_text(text, encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", f"file://{tmp_path}/results.html{address}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    every = cards(next(r for r in runs if r.name == "pmc_msa"), stacks(runs), 32)
    visible = [a for tag, a in Tags(done.stdout).tags if tag == "li" and "data-set" in a and "hidden" not in a]
    assert len(visible) == sum(map(fits, every)) > 0
    assert f"{len(visible)} of {len(every)} slices" in done.stdout
