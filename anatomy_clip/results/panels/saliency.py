"""Saliency: how well maps point at findings, beside chance and random weights, and a picture of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.plots import new_plot, png_of
from anatomy_clip.evaluation.cells import Cell
from anatomy_clip.evaluation.saliency_cells import COLUMNS, KINDS, cells_of
from anatomy_clip.results import charts
from anatomy_clip.results.cells import CellsPanel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CELL = 1.15  # inches of a film
_COLOURS = "inferno"  # of maps, from dark to bright


class Drawn(NamedTuple):
    """A film and a finding that it shows, with each method's map.

    Attributes:
        finding: its name.
        row: of the film in its set.
        film: (H, W), 0 to 255.
        mask: (H, W), of the finding.
        maps: title of a column -> (h, w) map, 0 to 255.
    """

    finding: str
    row: int
    film: NDArray[np.float64]
    mask: NDArray[np.bool_]
    maps: dict[str, NDArray[np.float64]]


class Panel(CellsPanel):
    """Every measure of every score, kind of map and test set; the maps of some films."""

    columns = COLUMNS
    title = "Saliency"
    says = (
        "pointing: how often a map's highest pixel is in the finding's mask or near it; iou: of the mask and the "
        "same number of the map's highest pixels; chance: the same for a point, or pixels, drawn from the whole "
        "image; randomised: the same maps with an image tower of random weights; rank_correlation: between both "
        "maps. First the mean over findings, then each finding."
    )
    shows = (
        "Each row is a finding, on the first film of the test set that shows it; no film was chosen by hand. White: "
        "the finding's mask. Then the map of each method's first seed: word attention if it has that, otherwise "
        "Grad-CAM, otherwise the gradient; each map is brightest at its own maximum."
    )

    @staticmethod
    def cells(table: Any, findings: Sequence[str]) -> dict[str, Cell]:
        """See `CellsPanel`."""
        return cells_of(table, findings)

    @cached_property
    def picture(self) -> bytes | None:
        """The maps of the first test set whose films may be shown; None where there is none."""
        sets = dict.fromkeys(name for run in self.runs for name in run.tables[self.evaluator]["set"])
        shown = next((name for name in sets if name in self.suite.images), None)
        return None if shown is None else picture(self.drawn(shown))

    def suite_charts(self, wandb: Any) -> Mapping[str, Any]:
        """The picture."""
        return {"saliency": charts.picture(wandb, self.picture)} if self.picture else {}

    def drawn(self, name: str) -> list[Drawn]:
        """What is drawn of a test set, by finding."""
        found: dict[str, Drawn] = {}
        firsts = {run.name: run.tables[self.evaluator] for run in reversed(self.runs)}
        for column, title in self.suite.layout.columns.items():
            if column not in firsts:
                continue
            rows = firsts[column]
            kept = rows[(rows["set"] == name) & rows["drawn_map"].notna()].to_dict("records")
            for row in sorted(kept, key=lambda row: KINDS.index(row["map"])):
                film, mask, values = (_array(row[f"drawn_{what}"]) for what in ("film", "mask", "map"))
                one = found.setdefault(row["finding"], Drawn(row["finding"], row["row"], film, mask > 0, {}))
                if one.row == row["row"]:
                    one.maps[f"{title}\n{row['score']}"] = values  # the last kind of map
        return [found[finding] for finding in sorted(found)]


def picture(drawn: Sequence[Drawn]) -> bytes:
    """Draw films with the outline of a finding's mask, a row each, and a column a map: a PNG of one or more."""
    titles = list(dict.fromkeys(title for one in drawn for title in one.maps))
    figure = new_plot(_CELL * (1 + len(titles)), _CELL * len(drawn) + 0.5, dpi=110)
    grid = figure.subplots(len(drawn), 1 + len(titles), squeeze=False)
    for line, one in zip(grid, drawn, strict=True):
        _film(line[0], one)
        line[0].set_ylabel(one.finding.replace("_", "\n"), fontsize=7)
        for axes, title in zip(line[1:], titles, strict=True):
            if title in one.maps:
                _film(axes, one)
                _map(axes, one.maps[title])
            else:
                axes.set_axis_off()
    for axes, title in zip(grid[0], ("film, mask", *titles), strict=True):
        axes.set_title(title, fontsize=7)
    return png_of(figure)


def _film(axes: Axes, one: Drawn) -> None:
    axes.imshow(one.film, cmap="gray", vmin=0, vmax=255, extent=(0, 1, 1, 0), interpolation="bilinear")
    middles = [(np.arange(side) + 0.5) / side for side in one.mask.shape]
    axes.contour(middles[1], middles[0], one.mask, levels=[0.5], colors="white", linewidths=0.6)
    axes.set_xticks([])
    axes.set_yticks([])


def _map(axes: Axes, values: NDArray[np.float64]) -> None:
    share = values / max(values.max(), 1.0)
    axes.imshow(
        share, cmap=_COLOURS, alpha=0.6, vmin=0, vmax=1, extent=(0, 1, 1, 0), interpolation="bilinear", zorder=1
    )


def _array(nested: Any) -> NDArray[np.float64]:
    """(H, W) of nested lists, as Parquet gives them."""
    return np.stack([np.asarray(line, np.float64) for line in nested])
