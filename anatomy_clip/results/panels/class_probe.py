"""The linear probe of exclusive classes: accuracy by the share of labelled patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anatomy_clip.evaluation.cells import Cell
from anatomy_clip.evaluation.class_probe import COLUMNS, cells_of
from anatomy_clip.results.cells import CellsPanel


class Panel(CellsPanel):
    """The accuracy of every test set and share."""

    columns = COLUMNS
    title = "Linear probe of classes"
    says = (
        "Accuracy of a linear classifier on frozen features, mean over classes and draws, by the share of the training "
        "patients in percent; a share that has too few films of a class is enlarged."
    )

    @staticmethod
    def cells(table: Any, findings: Sequence[str]) -> dict[str, Cell]:
        """See `CellsPanel`."""
        return cells_of(table)
