"""Plots of the learning curve and of the ablation: what they draw, taken from what they draw on."""

from unittest import mock

import numpy as np
import pytest
from fake_suite import write_run
from matplotlib.figure import Figure

from anatomy_clip.results import plots
from anatomy_clip.results.layout import layout
from anatomy_clip.results.read import read_suite
from anatomy_clip.results.table import build

ROWS = {
    "organ/set1_mr": {"text": "Organ", "set": "set1", "modalities": ["MR"]},
    "station/set1_mr_ct": {"text": "Station", "set": "set1", "modalities": ["MR", "CT"]},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("outputs")
    for name, rate in (("few", 0.3), ("some", 0.6), ("all", 0.9)):
        write_run(outputs, name, 0, rate, sets=("set1",))
    return read_suite(outputs, "table3")[0]


def drawn(runs, draw, differs, columns=("few", "some", "all")):
    """The table and the plot that is drawn of it."""
    made = layout({name: name for name in columns}, ROWS, {}, "x", differs=differs, plot=draw)
    table = build(runs, made, {})
    kept = []
    save = Figure.savefig
    with mock.patch.object(Figure, "savefig", lambda self, *a, **k: (kept.append(self), save(self, *a, **k))):
        png = table.layout.plot(table)
    assert png.startswith(b"\x89PNG")
    return table, kept[0]


def test_the_curve_goes_through_the_cells_at_their_numbers(runs):
    chain = {"some": {"few": ["data"]}, "all": {"some": ["data"]}}
    table, figure = drawn(runs, plots.curve({"few": 4, "some": 8, "all": 140}, "patients"), chain)
    for axis, row in zip(figure.axes, table.layout.rows, strict=True):
        (line,) = axis.get_lines()
        cells = [cell for cell in table.cells if cell.row == row.row]
        np.testing.assert_allclose(line.get_xydata(), [(x, c.value) for x, c in zip((4, 8, 140), cells, strict=True)])
        band = axis.collections[0].get_paths()[0].vertices
        assert band[:, 1].min() == pytest.approx(min(c.lo for c in cells))
        assert axis.get_xscale() == "log" and axis.get_xlabel() == "patients"


def test_gains_are_drawn_over_what_each_column_is_measured_against(runs):
    arms = {"some": {"all": ["x"]}, "few": {"all": ["y"]}}
    table, figure = drawn(runs, plots.gains(), arms, columns=("all", "some", "few"))
    for axis, row in zip(figure.axes, table.layout.rows, strict=True):
        dots = [line.get_xydata()[0] for line in axis.get_lines() if line.get_marker() == "o"]
        steps = {s.column: s.value for s in table.steps if s.row == row.row and s.over == "all"}
        np.testing.assert_allclose(dots, [(steps["some"], 0), (steps["few"], 1)])
        assert all(value < 0 for value in steps.values())
        filled = {line.get_fillstyle() for line in axis.get_lines() if line.get_marker() == "o"}
        assert filled == {"none"}  # one seed: nothing is called significant, however large
    assert "does not include the variation between trainings" in figure.get_suptitle()


def test_numbers_that_cannot_be_drawn_are_named(runs):
    with pytest.raises(ValueError, match=r"plot.x.few: give a number above 0"):
        plots.curve({"few": 0}, "patients")
    with pytest.raises(ValueError, match=r"plot.x: give the number of column all"):
        drawn(runs, plots.curve({"few": 4, "some": 8}, "patients"), None)
