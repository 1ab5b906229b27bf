"""Retrieval: precision and recall among the first, and the median rank, beside chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anatomy_clip.evaluation.cells import Cell
from anatomy_clip.evaluation.retrieval import COLUMNS, cells_of
from anatomy_clip.results.cells import CellsPanel


class Panel(CellsPanel):
    """Every measure of every task, way to compare and test set."""

    columns = COLUMNS
    title = "Retrieval"
    says = (
        "p_at_K: share of the first K results that are relevant; r_at_K: how often at least one of them is relevant; "
        "median_rank: rank of the first relevant result, as a share of the candidates. Equal scores are in random "
        "order."
    )
    folded = r"/(chance|[pr]_at_(?!10/)\d+)/"

    @staticmethod
    def cells(table: Any, findings: Sequence[str]) -> dict[str, Cell]:
        """See `CellsPanel`."""
        return cells_of(table)
