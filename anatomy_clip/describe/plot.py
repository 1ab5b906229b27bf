"""A plot of a description: slices of every series, and its stations along the body."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anatomy_clip.core.plots import new_plot, save_plot
from anatomy_clip.describe.description import Description, SeriesDescription, SliceDescription

MOST_SERIES = 20  # in one picture
_THUMBNAILS = 10  # of one series
_COLOURS = ("#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860", "#da8bc3", "#8c8c8c")
_WIDTH, _HEIGHT = 12.0, 2.9  # inches, of one series


def write_plot(description: Description, stations: Sequence[str], path: Path) -> None:
    """Draw the series of a description whose pictures were kept.

    Args:
        description: from `Describer.describe(..., pictures=True)`.
        stations: all names, in the taxonomy's order.
        path: where to; its ending decides the format.

    Raises:
        ValueError: no series was described, or the ending is no format that can be written.
    """
    shown = description.series[:MOST_SERIES]
    if not shown:
        raise ValueError(f"{path}: nothing was described, so there is nothing to plot")
    check_ending(path)
    figure = new_plot(_WIDTH, _HEIGHT * len(shown) + 0.4, dpi=110)
    panels = figure.subfigures(len(shown), 1, squeeze=False)[:, 0]
    for panel, one in zip(panels, shown, strict=True):
        _draw(panel, one, stations)
    more = len(description.series) - len(shown)
    figure.supxlabel(
        "Bars: stations along the body, smoothed. Dots: what each single slice shows; darker means more likely. "
        "Research, not for diagnosis." + (f" {more} more series are not shown." if more else ""), fontsize=8,
    )  # fmt: skip
    save_plot(figure, path)


def check_ending(path: Path) -> None:
    """Refuse a file whose ending names no format that can be written.

    Raises:
        ValueError: it doesn't.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if path.suffix.lstrip(".").lower() not in FigureCanvasAgg.get_supported_filetypes():
        raise ValueError(f"{path}: unknown ending {path.suffix!r}; give .png, .pdf or .svg")


def _draw(panel: Any, one: SeriesDescription, stations: Sequence[str]) -> None:
    kind = " ".join(word for word in (one.modality, one.protocol, one.orientation, one.variant) if word)
    organs = ", ".join(f"{organ.name} {organ.score:.2f}" for organ in one.organs[:6])
    title = "nothing: the model is not certain enough" if one.abstained else f"{one.caption}\n{organs}"
    panel.suptitle(f"{one.path}   {kind}\n{title}".replace("$", r"\$"), fontsize=8, x=0.01, ha="left")
    axes = panel.subplots(2, 1, height_ratios=(1.0, 0.75))
    _mosaic(axes[0], one)
    _timeline(axes[1], one, stations)


def _mosaic(axes: Any, one: SeriesDescription) -> None:
    """Evenly spread slices side by side, each with its index."""
    axes.axis("off")
    if one.burned_in:
        axes.text(
            0.5, 0.5, "the pictures are not shown: text is burned into them", ha="center", va="center", fontsize=8
        )
        return
    kept = [each for each in one.slices if each.picture is not None]
    if not kept:
        return
    places = np.unique(np.linspace(0, len(kept) - 1, min(_THUMBNAILS, len(kept))).round().astype(int))
    side = _side(kept[0])
    strip = np.zeros((side, _THUMBNAILS * side), np.uint8) + 255
    for n, place in enumerate(places):
        strip[:, n * side : (n + 1) * side] = kept[place].picture
        axes.text((n + 0.04) * side, 0.04 * side, str(kept[place].index), color="yellow", fontsize=7, va="top")
    axes.imshow(strip, cmap="gray", vmin=0, vmax=255, interpolation="bilinear")


def _side(each: SliceDescription) -> int:
    return 0 if each.picture is None else int(each.picture.shape[0])


def _timeline(axes: Any, one: SeriesDescription, stations: Sequence[str]) -> None:
    """Stations upwards, slices to the right; the bar is the smoothed station, dots are single slices."""
    colour = {name: _COLOURS[n % len(_COLOURS)] for n, name in enumerate(stations)}
    for found in one.ranges:
        y = stations.index(found.station)
        axes.barh(y, found.last - found.first + 1, left=found.first - 0.5, height=0.8,
                  color=colour[found.station], alpha=0.45)  # fmt: skip
        if found.from_mm is not None and found.to_mm is not None:
            middle = (found.first + found.last) / 2
            axes.text(middle, y, f"{found.from_mm:.0f}-{found.to_mm:.0f} mm", ha="center", va="center", fontsize=6)
    dots = [(each.index, stations.index(named.name), named) for each in one.slices for named in each.stations]
    if dots:
        axes.scatter(
            [x for x, _, _ in dots], [y for _, y, _ in dots], s=6, linewidths=0,
            c=[colour[named.name] for _, _, named in dots], alpha=[named.score for _, _, named in dots],
        )  # fmt: skip
    axes.set_yticks(range(len(stations)), stations, fontsize=7)
    axes.set_ylim(len(stations) - 0.4, -0.6)
    axes.set_xlim(-0.6, max(each.index for each in one.slices) + 0.6)
    axes.tick_params(axis="x", labelsize=7)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("slice", fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)
