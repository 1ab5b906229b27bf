"""The rows of saliency maps and the cells that are made of them, without a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from anatomy_clip.evaluation.base import patients_of
from anatomy_clip.evaluation.cells import Cell, Floats
from anatomy_clip.evaluation.label_scores import nan_mean

if TYPE_CHECKING:
    import pandas as pd

KINDS = GRADIENT, GRAD_CAM, WORD_ATTENTION = ("gradient", "grad_cam", "word_attention")
MEASURES = ("pointing", "iou")
COLUMNS = (  # a row a film, finding, score and kind of map
    "set", "row", "source", "patient", "finding", "score", "map", *MEASURES,
    *(f"{measure}_{what}" for measure in MEASURES for what in ("randomised", "chance")), "rank_correlation",
    "drawn_film", "drawn_mask", "drawn_map",
)  # fmt: skip


def cells_of(table: pd.DataFrame, findings: Sequence[str]) -> dict[str, Cell]:
    """Mean over findings of the mean over films, of every test set, score, map and measure, and of each finding.

    Chance is that of a point, or of pixels, drawn from the whole image.
    """
    cells: dict[str, Cell] = {}
    for name, rows in table.groupby("set", sort=False):
        films = rows.drop_duplicates(["row", "finding"])
        for measure in MEASURES:
            cells |= _of_findings(f"saliency/chance/{measure}/{name}", films, f"{measure}_chance", findings)
        for key, part in rows.groupby(["score", "map"], sort=False):
            start = "saliency/" + "/".join(cast(tuple[str, str], key))
            for measure in MEASURES:
                cells |= _of_findings(f"{start}/{measure}/{name}", part, measure, findings)
            for measure in (*(f"{measure}_randomised" for measure in MEASURES), "rank_correlation"):
                cells |= _of_findings(f"{start}/{measure}/{name}", part, measure)
    return cells


def _of_findings(cell: str, rows: pd.DataFrame, column: str, alone: Sequence[str] = ()) -> dict[str, Cell]:
    """The cell, and one of each finding that is to stand alone and has rows."""
    counted = rows[rows[column].notna()]
    found = {cell: _mean_of_findings(counted, column)}
    parts = {name: counted[counted["finding"] == name] for name in alone}
    return found | {f"{cell}/{name}": _mean_of_findings(part, column) for name, part in parts.items() if len(part)}


def _mean_of_findings(rows: pd.DataFrame, column: str) -> Cell:
    values, finding = rows[column].to_numpy(np.float64), rows["finding"].to_numpy()
    member = (finding[:, None] == np.unique(finding)).astype(np.float64)  # (N, F)

    def statistic(counts: Floats) -> Floats:
        sums, films = counts @ (values[:, None] * member), counts @ member  # (R, F)
        return nan_mean(np.divide(sums, films, out=np.full(sums.shape, np.nan), where=films > 0))

    return Cell(statistic, patients_of(rows), bounds=(-1.0, 1.0) if column == "rank_correlation" else (0.0, 1.0))
