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
        "AUROC, and F1 at the threshold that is best on validation, by prompts alone: mean over findings, then of "
        "each; films of which a finding isn't known have no part in it."
    )

    @staticmethod
    def cells(table: Any, findings: Sequence[str]) -> dict[str, Cell]:
        """See `CellsPanel`."""
        return cells_of(table, findings)
