"""Plots of a suite: ROC curves, certainty, and what a table's cells or gains look like along a setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from anatomy_clip.core.plots import new_plot, png_of
from anatomy_clip.metrics.calibration import reliability
from anatomy_clip.metrics.classification import auroc
from anatomy_clip.results.descriptions import Judged
from anatomy_clip.results.formats import interval_words
from anatomy_clip.results.gains import Step
from anatomy_clip.results.layout import Layout, RowSpec
from anatomy_clip.results.read import TASKS, Run
from anatomy_clip.results.slices import Slices, by_run
from anatomy_clip.results.table import Cell, Table, by_row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which suit every eye, with a line style or a mark each for print.
_LINES = (("#7f7f7f", ":"), ("#56b4e9", "--"), ("#e69f00", "-."), ("#0072b2", "-"), ("#d55e00", "-"))
MARKS = (("#0072b2", "o"), ("#d55e00", "s"), ("#009e73", "^"), ("#cc79a7", "D"), ("#e69f00", "v"), ("#56b4e9", "P"))
_ACROSS = 5  # ROC curves in a line
_BINS = 10  # of some 50 to 100 slices each
_Style = tuple[str, str]  # colour and line


def roc_plot(runs: Sequence[Run], layout: Layout, row: RowSpec) -> bytes | None:
    """Draw Fig. 2 of the paper for one row: a plot a label that has slices with and without it, a line a column.

    Returns:
        A PNG of each column's first seed, or None where there is nothing to draw.
    """
    from sklearn.metrics import roc_curve

    firsts: dict[str, Slices] = {}
    for run, slices in by_run([run for run in runs if run.name in layout.columns], row):
        firsts.setdefault(run.name, slices)
    if not firsts:
        return None
    one, last = (list(firsts.values())[n] for n in (0, -1))
    drawn = [k for k in range(len(one.labels)) if len(set(one.of_label(k)[1].tolist())) == 2]
    if not drawn:
        return None
    down = -(-len(drawn) // _ACROSS)
    figure = new_plot(2.1 * _ACROSS, 2.25 * down + 0.5)
    grid = figure.subplots(down, _ACROSS, squeeze=False, sharex=True, sharey=True).ravel()
    styles, areas = _styles(layout.columns), auroc(last.scores, last.targets, ~last.unsure).value
    for k, axes in zip(drawn, grid, strict=False):
        axes.plot([0, 1], [0, 1], color="#cccccc", linewidth=0.8)
        for name, slices in firsts.items():
            colour, line = styles[name]
            scores, shown = slices.of_label(k)
            false, true, _ = roc_curve(shown, scores, drop_intermediate=False)
            axes.plot(false, true, line, color=colour, linewidth=1.3)
        axes.set_title(f"{one.labels[k]} (n = {int(one.targets[:, k].sum())}), {areas[k]:.2f}", fontsize=8)
        axes.tick_params(labelsize=6)
        axes.set_aspect("equal")
    for axes in grid[len(drawn) :]:
        axes.set_axis_off()
    return _finished(figure, ("false positive rate", "true positive rate"), layout.columns, list(firsts))


def risk_plot(found: Sequence[Judged], columns: Mapping[str, str]) -> bytes | None:
    """Draw risk against coverage, a plot a test set, a line a column (first seed); a dot where unsure ones are left.

    Returns:
        A PNG, or None where there is nothing to draw.
    """

    def draw(axes: Axes, one: Judged, style: _Style) -> None:
        curve = one.risk_coverage()
        axes.plot(100 * curve.coverage, 100 * curve.risk, style[1], color=style[0], linewidth=1.3)
        named = ~one.decided.abstained
        if named.any():
            axes.plot(100 * named.mean(), 100 * (~one.best_is_right[named]).mean(), "o", color=style[0], markersize=4)

    return _by_set(found, columns, draw, ("slices named, most certain first (%)", "named wrong (%)"))


def reliability_plot(found: Sequence[Judged], columns: Mapping[str, str]) -> bytes | None:
    """Draw how often the likeliest organ is right against its probability, a plot a test set, a line a column.

    Returns:
        A PNG, or None where there is nothing to draw.
    """

    def draw(axes: Axes, one: Judged, style: _Style) -> None:
        curve = reliability(one.likeliest.max(axis=1), one.best_is_right, _BINS)
        axes.plot([0, 100], [0, 100], color="#cccccc", linewidth=0.8)
        points = (100 * curve.promised, 100 * curve.happened)
        axes.plot(*points, style[1], color=style[0], linewidth=1.3, marker=".", markersize=4)

    return _by_set(found, columns, draw, ("probability of the most likely organ (%)", "right (%)"))


def _by_set(
    found: Sequence[Judged],
    columns: Mapping[str, str],
    draw: Callable[[Axes, Judged, _Style], None],
    labels: tuple[str, str],
) -> bytes | None:
    firsts: dict[str, dict[str, Judged]] = {}
    for one in found:
        if (known := one.with_known_organs()).organs.keys:
            firsts.setdefault(one.test_set, {}).setdefault(one.column, known)
    if not firsts:
        return None
    styles = _styles(columns)
    figure = new_plot(2.4 * len(firsts) + 0.4, 3.1)
    grid = figure.subplots(1, len(firsts), squeeze=False, sharex=True, sharey=True)[0]
    for axes, (name, by_column) in zip(grid, firsts.items(), strict=True):
        for column, one in by_column.items():
            draw(axes, one, styles[column])
        axes.set_title(f"{name} (n = {len(one.organs.keys)})", fontsize=8)
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 100)
        axes.set_xticks(np.arange(0, 101, 50))
        axes.tick_params(labelsize=6)
    drawn = [name for name in columns if any(name in by_column for by_column in firsts.values())]
    return _finished(figure, labels, columns, drawn)


def _styles(columns: Mapping[str, str]) -> dict[str, _Style]:
    return {name: _LINES[n % len(_LINES)] for n, name in enumerate(columns)}


def _finished(figure: Figure, labels: tuple[str, str], columns: Mapping[str, str], drawn: Sequence[str]) -> bytes:
    """Name the axes, and the columns by their lines."""
    figure.supxlabel(labels[0], fontsize=8)
    figure.supylabel(labels[1], fontsize=8)
    styles = _styles(columns)
    lines = [figure.axes[0].plot([], [], styles[name][1], color=styles[name][0])[0] for name in drawn]
    names = [columns[name] for name in drawn]
    figure.legend(lines, names, loc="outside upper center", ncols=len(names), fontsize=8, frameon=False)
    return png_of(figure)


def curve(x: Mapping[str, float], label: str) -> Callable[[Table], bytes]:
    """Make a function that draws hit@1 with its interval along a number, a line a row of the table.

    Args:
        x: column -> its number, such as training patients; on a logarithmic axis.
        label: what the number is.

    Raises:
        ValueError: a number isn't above 0; or, when it draws, a column of the table has none.
    """
    wrong = [column for column, value in x.items() if not value > 0]
    if wrong:
        raise ValueError(f"plot.x.{wrong[0]}: give a number above 0")

    def draw(table: Table) -> bytes:
        missing = [column for column in table.layout.columns if column not in x]
        if missing:
            raise ValueError(f"plot.x: give the number of column {missing[0]}")
        tasks = [task for task in TASKS if any(row.task == task for row in table.layout.rows)]
        figure = new_plot(4.6 * len(tasks), 3.6, dpi=120)
        axes = figure.subplots(1, len(tasks), squeeze=False, sharey=True)[0]
        for axis, task in zip(axes, tasks, strict=True):
            rows = by_row([row for row in table.layout.rows if row.task == task], table.cells)
            for (row, found), (colour, mark) in zip(rows, MARKS, strict=False):
                cells = [cell for cell in found if cell.n]
                _line(axis, [x[cell.column] for cell in cells], cells, colour, mark, row.text)
            ticks = sorted(set(x.values()))
            axis.set_xscale("log")
            axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axis.minorticks_off()
            axis.set_xlabel(label)
            axis.grid(axis="y", color="#dddddd", linewidth=0.6)
            axis.legend(fontsize=7, frameon=False, loc="lower right")
        axes[0].set_ylabel("hit@1, percent")
        figure.suptitle(f"bands: {interval_words(table.seeds)}", fontsize=7)
        return png_of(figure)

    return draw


def gains() -> Callable[[Table], bytes]:
    """Make a function that draws each column's gain over what it is measured against, a plot a row of the table."""

    def draw(table: Table) -> bytes:
        pairs = [pair for pair in table.layout.pairs() if any((s.column, s.over) == pair for s in table.steps)]
        rows = [row for row in table.layout.rows if any(step.row == row.row for step in table.steps)]
        figure = new_plot(1.6 + 2.2 * max(len(rows), 1), 1.3 + 0.22 * len(pairs), dpi=120)
        axes = figure.subplots(1, max(len(rows), 1), squeeze=False, sharey=True)[0]
        names = table.layout.columns
        axes[0].set_yticks(range(len(pairs)), [f"{names[c]}\nover {names[o]}" for c, o in pairs], fontsize=7)
        if len({other for _, other in pairs}) == 1:  # said once is enough
            axes[0].set_yticks(range(len(pairs)), [names[c] for c, _ in pairs], fontsize=7)
            figure.supxlabel(f"gain over '{names[pairs[0][1]]}', points", fontsize=8)
        axes[0].invert_yaxis()
        for axis, row in zip(axes, rows, strict=False):
            steps = {(s.column, s.over): s for s in table.steps if s.row == row.row}
            _dots(axis, [steps.get(pair) for pair in pairs])
            axis.set_title(row.text, fontsize=7)
        figure.suptitle(f"lines: {interval_words(step.seeds for step in table.steps)}", fontsize=7)
        return png_of(figure)

    return draw


def _line(axis: Axes, x: Sequence[float], cells: Sequence[Cell], colour: str, mark: str, label: str) -> None:
    values, lo, hi = (np.array([getattr(cell, name) for cell in cells]) for name in ("value", "lo", "hi"))
    axis.plot(x, values, color=colour, marker=mark, markersize=4, linewidth=1.3, label=label)
    axis.fill_between(np.asarray(x), lo, hi, color=colour, alpha=0.15, linewidth=0)


def _dots(axis: Axes, steps: Sequence[Step | None]) -> None:
    """A dot and its interval a line; filled where the gain is significant."""
    axis.axvline(0, color="#999999", linewidth=0.8)
    for y, step in enumerate(steps):
        if step is not None:
            fill = "full" if step.significant else "none"
            axis.plot([step.lo, step.hi], [y, y], color="#0072b2", linewidth=1.2)
            axis.plot([step.value], [y], "o", color="#0072b2", markersize=4.5, fillstyle=fill)
    axis.tick_params(axis="x", labelsize=7)
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)
