"""Contradictions on the page: means over seeds, and the captions of some slices."""

import numpy as np
import pandas as pd
import pytest
from fake_suite import evaluated, write_suite
from test_page import LAYOUT, paged, stacks

from anatomy_clip.results.contrast import examples, wins
from anatomy_clip.results.read import read_suite


def write_contrast(folder, win):
    rows = [
        {"set": "set1", "row": row, "source": "fake", "patient": f"p{row % 3}", "modality": "CT", "slot": slot,
         "win": win, "margin": win - 0.5, "right": f"right words of {row}", "wrong": f"wrong words of {row}",
         "right_score": 0.3, "wrong_score": 0.8 - win}
        for row in range(6) for slot in ("organ", "station")
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(folder / "contrast.parquet", index=False)
    evaluated(folder, "contrast")


@pytest.fixture
def runs(tmp_path):
    write_suite(tmp_path)
    for name, shares in {"pmc": (0.5, 0.5), "pmc_msa": (0.9, 0.7)}.items():
        for seed, share in enumerate(shares):
            write_contrast(tmp_path / "table3" / name / f"seed_{seed}", share)
    return read_suite(tmp_path, "table3", list(LAYOUT.columns))[0]


def test_wins_are_means_over_seeds(runs):
    found = wins(runs, LAYOUT)
    assert set(found) == {("set1", "organ"), ("set1", "station")}
    assert set(found["set1", "organ"]) == {"pmc", "pmc_msa"}
    cell = found["set1", "organ"]["pmc_msa"]
    assert cell.value == pytest.approx(80) and (cell.n, cell.seeds) == (6, 2)
    assert (cell.lo, cell.hi) == (0, 100)  # seeds are all that differs: one degree of freedom
    same = found["set1", "organ"]["pmc"]
    assert (same.value, same.lo, same.hi) == (50, 50, 50)
    assert cell.margin == pytest.approx(0.3)
    assert wins([], LAYOUT) == {}


def test_examples_step_through_the_slices(runs):
    found = examples(runs, LAYOUT, "set1", "station", 3)
    assert [e.row for e in found] == [0, 2, 4]
    assert found[1].pairs["pmc_msa"].right == "right words of 2"
    assert np.isclose(found[1].pairs["pmc_msa"].wrong_score, -0.1)
    assert examples(runs, LAYOUT, "samples_ct", "station", 3) == []


def test_the_page_shows_them(runs):
    text = paged(runs, stacks(runs))
    assert 'id="contrast"' in text and "right words of 0" in text
    assert ">80.0 <span" in text


def test_a_damaged_file_is_named(runs, tmp_path):
    (tmp_path / "table3/pmc/seed_0/contrast.parquet").write_bytes(b"PAR1 half")
    _, notes = read_suite(tmp_path, "table3", list(LAYOUT.columns))
    assert any("contrast.parquet can't be read" in note for note in notes)
