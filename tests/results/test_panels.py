"""Panels: found by an evaluator's name; the page, the program and its files show what runs have and nothing else."""

import re

import pandas as pd
import pytest
from fake_suite import evaluated, write_lists, write_run
from support import compose_config
from test_contrast import write_contrast
from test_page import LAYOUT, Tags, paged, stacks

from anatomy_clip.cli.results import main as results
from anatomy_clip.results.panel import Panel, Suite, notes_of, panels_of
from anatomy_clip.results.panels import panel_class
from anatomy_clip.results.read import read_run, read_suite

ALL = ("zero_shot", "contrast", "captions")
OF = {  # evaluator -> sections of the page
    "zero_shot": ["table", "gains", "labels", "curves", "lists", "errors", "gallery"],
    "contrast": ["contrast"],
    "captions": ["captions"],
}
ALWAYS = ["data", "made"]


@pytest.fixture
def folder(tmp_path):
    """A run that has everything."""
    folder = write_run(tmp_path, "pmc", 0, 0.5)
    write_contrast(folder, 0.7)
    write_lists(folder)
    return folder


def keep(folder, names):
    """Leave only some evaluators' tables in a run, as if the others had been left out."""
    for name in set(ALL) - set(names):
        (folder / f"{name}.parquet").unlink()
    text = (folder / "results.json").read_text()
    (folder / "results.json").write_text(re.sub(r'\[\{"cell[^]]*\]', "[]", text))


def suite_of(folder):
    runs, notes = read_suite(folder.parents[2], "table3", list(LAYOUT.columns))
    return Suite("table3", LAYOUT, runs, notes)


def test_a_panel_is_a_module_of_the_evaluators_name():
    assert all(issubclass(panel_class(name), Panel) for name in ALL)
    assert panel_class("nothing") is None and panel_class("zero_shot.x") is None


@pytest.mark.parametrize("names", [ALL, ("zero_shot",), ("contrast",), ("captions",), ("contrast", "captions"), ()])
def test_the_page_has_the_sections_of_what_a_run_has_and_nothing_else(folder, names):
    keep(folder, names)
    suite = suite_of(folder)
    assert list(panels_of(suite)) == [name for name in ALL if name in names]
    text = paged(suite.runs, stacks(suite.runs) if "zero_shot" in names else {})
    tags = Tags(text).tags
    wanted = [section for name in names for section in OF[name]] + ALWAYS
    assert sorted(a["id"] for tag, a in tags if tag == "section") == sorted(wanted)
    assert sorted(a["href"][1:] for tag, a in tags if tag == "a" and "class" not in a) == sorted(wanted)
    (skip,) = (a["href"] for tag, a in tags if a.get("class") == "skip")
    assert skip.removeprefix("#") in wanted


@pytest.mark.parametrize(("names", "files"), [(("contrast",), set()), (("captions",), {"captions.csv"})])
def test_the_program_writes_what_a_run_has_and_nothing_else(folder, names, files, capsys):
    keep(folder, names)
    options = [f"paths.outputs={folder.parents[2]}", "page.stores={}", "gallery.stores={}"]
    results(compose_config("results", *options))
    written = {path.name for path in (folder.parents[2] / "table3").iterdir() if path.is_file()}
    assert written == files | {"results.html"}
    assert "hit@1" not in capsys.readouterr().out


def test_an_evaluator_without_a_panel_is_noted(folder):
    evaluated(folder, "of_tomorrow")
    pd.DataFrame({"set": ["set1"], "row": [0], "source": ["s"], "patient": ["p"]}).to_parquet(
        folder / "of_tomorrow.parquet"
    )
    suite = suite_of(folder)
    assert "of_tomorrow is not shown, because there is no results/panels/of_tomorrow.py" in notes_of(
        suite, panels_of(suite)
    )


def test_an_evaluator_that_was_left_out_has_no_table_and_one_whose_table_is_gone_is_named(folder):
    results_file = folder / "results.json"
    before = results_file.read_text()
    keep(folder, ("captions",))
    assert set(read_run(folder).tables) == {"captions"}
    results_file.write_text(before)
    with pytest.raises(ValueError, match=r"zero_shot\.parquet is missing"):
        read_run(folder)


def test_a_run_of_an_earlier_version_is_refused_with_what_to_do(folder):
    (folder / "zero_shot.parquet").rename(folder / "predictions.parquet")
    with pytest.raises(ValueError, match=r"it was made by an earlier version \(predictions\.parquet.*overwrite=true"):
        read_run(folder)
