"""The linear probe of real films, cross-validated by patient: AUROC by finding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anatomy_clip.evaluation.cells import Cell
from anatomy_clip.evaluation.folds_probe import COLUMNS, cells_of
from anatomy_clip.results.cells import CellsPanel


class Panel(CellsPanel):
    """Every set's mean over findings, then each finding."""

    columns = COLUMNS
    title = "Linear probe of real films"
    says = (
        "AUROC of a linear classifier on frozen features, cross-validated by patient on the set itself, with a "
        "penalty fixed beforehand: first the mean over findings, then each finding; findings with too few patients "
        "are left out."
    )

    @staticmethod
    def cells(table: Any, findings: Sequence[str]) -> dict[str, Cell]:
        """See `CellsPanel`."""
        return cells_of(table, findings)
