"""A picture of test slices with what the model named them, right and wrong, chosen by a rule, not by look."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.anatomy.labels import NOT_STATED
from anatomy_clip.core.plots import new_plot, save_plot
from anatomy_clip.results.examples import RULE, choose, verdict
from anatomy_clip.results.read import TASKS, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Its own dark ground makes the picture the same on white and dark pages; blue and orange suit every eye.
_GROUND, _TEXT, _RIGHT, _WRONG, _FAINT = "#11151c", "#e8ebf0", "#6cb6ff", "#ffa657", "#9aa4b2"
_MARKS = {True: "\N{CHECK MARK}", False: "\N{MULTIPLICATION X}", None: "?"}


def gallery(
    run: Run,
    images: Mapping[str, NDArray[np.uint8]],
    path: Path,
    *,
    columns: int = 6,
    rows: int = 2,
    title: str = "",
) -> int:
    """Draw the chosen slices of a run to a PNG.

    Args:
        run: the run whose predictions are shown.
        images: test set -> (N, H, W) uint8 grey, indexed by the predictions' rows; drawn in this order.
        path: the PNG to write.
        columns: slices in a line.
        rows: lines.
        title: first line of the picture.

    Returns:
        Number of slices drawn.

    Raises:
        ValueError: no slice of these sets is among the predictions, or a row has no image.
    """
    chosen = choose(run.tables["zero_shot"], list(images), columns * rows)
    if chosen.empty:
        raise ValueError(f"{run.name}, seed {run.seed}: no labelled slice of {', '.join(images)} to show")
    cell, top, bottom = 3.2, 0.55, 0.35  # inches
    height = cell * rows + top + bottom
    figure = new_plot(2.3 * columns, height, dpi=110, facecolor=_GROUND, layout=None)
    for place, row in enumerate(chosen.to_dict("records")):
        store = images[row["set"]]
        if not 0 <= row["row"] < len(store):
            raise ValueError(
                f"{row['set']}: row {row['row']} is not among the {len(store)} images of the store; prepare it again"
            )
        left, upper = place % columns / columns, 1 - (top + place // columns * cell) / height
        axes = figure.add_axes((left + 0.05 / columns, upper - 2.1 / height, 0.9 / columns, 2.1 / height))
        _draw(axes, store[row["row"]], run, {str(key): value for key, value in row.items()})
    unknown = f"{_MARKS[None]} {NOT_STATED}   " if any(chosen[f"{task}_targets"].isna().any() for task in TASKS) else ""
    marks = f"{_MARKS[True]} right   {_MARKS[False]} wrong (truth below)   {unknown}"
    legend = f"{marks}numbers: share of the softmax in %   "
    figure.text(0.012, 1 - 0.08 / height, title, color=_TEXT, fontsize=12, va="top", weight="bold")
    figure.text(0.012, 0.08 / height, legend + RULE, color=_FAINT, fontsize=8.5)
    save_plot(figure, path)
    return len(chosen)


def _draw(axes: Axes, image: NDArray[np.uint8], run: Run, row: Mapping[str, Any]) -> None:
    """Draw one slice, its station and best organs beneath, and the truth where the top label is wrong."""
    station, organs = verdict(run, row, "station", 1), verdict(run, row, "organ", 3)
    right = station.is_right is not False and organs.is_right is not False
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="bilinear")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(_RIGHT if right else _WRONG)
        spine.set_linewidth(2)
    what = " ".join(str(row[key]) for key in ("modality", "protocol", "orientation") if row[key])
    axes.set_title(what, color=_FAINT, fontsize=8, loc="left", pad=3)
    for y, found in ((-0.03, station), (-0.145, organs)):
        ok = found.is_right
        text = f"{_MARKS[ok]} {found.names[0]} {100 * found.share[0]:.0f}"
        colour = {True: _RIGHT, False: _WRONG, None: _FAINT}[ok]
        axes.text(0, y, text, transform=axes.transAxes, color=colour, fontsize=10.5, va="top")
    # Only the top label counts (eq. 4): the organs behind it are named, but not judged.
    behind = [f"{n} {100 * s:.0f}" for n, s in zip(organs.names[1:], organs.share[1:], strict=True)]
    text = f"then {', '.join(behind)}"
    axes.text(0, -0.27, text, transform=axes.transAxes, color=_FAINT, fontsize=8, va="top")
    if not right:
        wrong = [v.shown for v in (station, organs) if v.is_right is False]
        text = "\n".join(textwrap.wrap(f"truth: {'; '.join(wrong)}", 36, max_lines=2, placeholder=" ..."))
        axes.text(0, -0.365, text, transform=axes.transAxes, color=_TEXT, fontsize=7.5, va="top")
