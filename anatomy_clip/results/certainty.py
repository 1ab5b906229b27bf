"""Figures of certainty: risk against coverage, and what probabilities promise against what happens."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from anatomy_clip.metrics.calibration import reliability
from anatomy_clip.results.descriptions import Judged
from anatomy_clip.results.roc import STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = 10  # of some 50 to 100 slices each


def risk_figure(found: Sequence[Judged], columns: Mapping[str, str]) -> bytes | None:
    """Draw risk against coverage, a plot a test set, a line a column (first seed); a dot where unsure ones are left.

    Returns:
        A PNG, or None where there is nothing to draw.
    """

    def draw(axes: Axes, one: Judged, style: tuple[str, str]) -> None:
        curve = one.risk_coverage()
        axes.plot(100 * curve.coverage, 100 * curve.risk, style[1], color=style[0], linewidth=1.3)
        named = ~one.decided.abstained
        if named.any():
            axes.plot(100 * named.mean(), 100 * (~one.best_is_right[named]).mean(), "o", color=style[0], markersize=4)

    return _panels(found, columns, draw, ("slices named, surest first (%)", "named wrong (%)"))


def reliability_figure(found: Sequence[Judged], columns: Mapping[str, str]) -> bytes | None:
    """Draw how often the likeliest organ is right against its probability, a plot a test set, a line a column.

    Returns:
        A PNG, or None where there is nothing to draw.
    """

    def draw(axes: Axes, one: Judged, style: tuple[str, str]) -> None:
        curve = reliability(one.decided.organ_probabilities.max(axis=1), one.best_is_right, _BINS)
        axes.plot([0, 100], [0, 100], color="#cccccc", linewidth=0.8)
        axes.plot(
            100 * curve.promised,
            100 * curve.happened,
            style[1],
            color=style[0],
            linewidth=1.3,
            marker=".",
            markersize=4,
        )

    return _panels(found, columns, draw, ("probability of the likeliest organ (%)", "right (%)"))


def _panels(
    found: Sequence[Judged],
    columns: Mapping[str, str],
    draw: Callable[[Axes, Judged, tuple[str, str]], None],
    labels: tuple[str, str],
) -> bytes | None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    firsts: dict[str, dict[str, Judged]] = {}
    for one in found:
        firsts.setdefault(one.test_set, {}).setdefault(one.column, one)
    if not firsts:
        return None
    styles = {name: STYLES[n % len(STYLES)] for n, name in enumerate(columns)}
    figure = Figure(figsize=(2.4 * len(firsts) + 0.4, 3.1), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(1, len(firsts), squeeze=False, sharex=True, sharey=True)[0]
    for axes, (name, by_column) in zip(grid, firsts.items(), strict=True):
        for column, one in by_column.items():
            draw(axes, one, styles[column])
        axes.set_title(f"{name} (n = {len(next(iter(by_column.values())).organs.keys)})", fontsize=8)
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 100)
        axes.set_xticks(np.arange(0, 101, 50))
        axes.tick_params(labelsize=6)
    figure.supxlabel(labels[0], fontsize=8)
    figure.supylabel(labels[1], fontsize=8)
    drawn = [name for name in columns if any(name in by_column for by_column in firsts.values())]
    lines = [grid[0].plot([], [], styles[name][1], color=styles[name][0])[0] for name in drawn]
    figure.legend(
        lines, [columns[n] for n in drawn], loc="outside upper center", ncols=len(drawn), fontsize=8, frameon=False
    )
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
