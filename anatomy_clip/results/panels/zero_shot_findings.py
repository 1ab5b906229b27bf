"""Zero-shot findings: AUROC and F1 by finding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anatomy_clip.evaluation.cells import Cell
from anatomy_clip.evaluation.zero_shot_findings import COLUMNS, cells_of
from anatomy_clip.results.cells import CellsPanel


class Panel(CellsPanel):
    """Every measure of every test set, way to compare and finding."""

    columns = COLUMNS
    title = "Zero-shot findings"
    says = (
        "AUROC, and F1 at the threshold that is best on validation, by prompts alone: first the mean over findings, "
        "then each finding; a film whose label for a finding is not known does not count for it."
    )

    @staticmethod
    def cells(table: Any, findings: Sequence[str]) -> dict[str, Cell]:
        """See `CellsPanel`."""
        return cells_of(table, findings)
