"""Figures of suites that vary one setting: accuracy along a number, and gains of many arms over one."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from anatomy_clip.results.read import TASKS
from anatomy_clip.results.table import Cell, Step, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which suit every eye, with a mark each for print.
_STYLES = (("#0072b2", "o"), ("#d55e00", "s"), ("#009e73", "^"), ("#cc79a7", "D"), ("#e69f00", "v"), ("#56b4e9", "P"))


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
        raise ValueError(f"figure.x.{wrong[0]}: give a number above 0")

    def draw(table: Table) -> bytes:
        missing = [column for column in table.layout.columns if column not in x]
        if missing:
            raise ValueError(f"figure.x: give the number of column {missing[0]}")
        tasks = [task for task in TASKS if any(row.task == task for row in table.layout.rows)]
        figure = _figure(4.6 * len(tasks), 3.6)
        axes = figure.subplots(1, len(tasks), squeeze=False, sharey=True)[0]
        for axis, task in zip(axes, tasks, strict=True):
            rows = [row for row in table.layout.rows if row.task == task]
            for row, (colour, mark) in zip(rows, _STYLES, strict=False):
                cells = [cell for cell in table.cells if cell.row == row.row and cell.n]
                _line(axis, [x[cell.column] for cell in cells], cells, colour, mark, row.text)
            ticks = sorted(set(x.values()))
            axis.set_xscale("log")
            axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axis.minorticks_off()
            axis.set_xlabel(label)
            axis.grid(axis="y", color="#dddddd", linewidth=0.6)
            axis.legend(fontsize=7, frameon=False, loc="lower right")
        axes[0].set_ylabel("hit@1, percent")
        return _png(figure)

    return draw


def gains() -> Callable[[Table], bytes]:
    """Make a function that draws each column's gain over what it is measured against, a plot a row of the table."""

    def draw(table: Table) -> bytes:
        pairs = [pair for pair in table.layout.pairs() if any((s.column, s.over) == pair for s in table.steps)]
        rows = [row for row in table.layout.rows if any(step.row == row.row for step in table.steps)]
        figure = _figure(1.6 + 2.2 * max(len(rows), 1), 1.3 + 0.22 * len(pairs))
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
        return _png(figure)

    return draw


def _line(axis: Axes, x: Sequence[float], cells: Sequence[Cell], colour: str, mark: str, label: str) -> None:
    values, lo, hi = (np.array([getattr(cell, name) for cell in cells]) for name in ("value", "lo", "hi"))
    axis.plot(x, values, color=colour, marker=mark, markersize=4, linewidth=1.3, label=label)
    axis.fill_between(np.asarray(x), lo, hi, color=colour, alpha=0.15, linewidth=0)


def _dots(axis: Axes, steps: Sequence[Step | None]) -> None:
    """A dot and its interval a line; filled where the interval doesn't hold 0."""
    axis.axvline(0, color="#999999", linewidth=0.8)
    for y, step in enumerate(steps):
        if step is not None:
            apart = step.lo > 0 or step.hi < 0
            axis.plot([step.lo, step.hi], [y, y], color="#0072b2", linewidth=1.2)
            axis.plot([step.value], [y], "o", color="#0072b2", markersize=4.5, fillstyle="full" if apart else "none")
    axis.tick_params(axis="x", labelsize=7)
    axis.grid(axis="x", color="#dddddd", linewidth=0.6)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
