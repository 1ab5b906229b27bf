"""Fine-tuned classification: the scores of the head that a training fitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anatomy_clip.evaluation.cells import Cell
from anatomy_clip.evaluation.head_scores import COLUMNS, cells_of
from anatomy_clip.results.cells import CellsPanel


class Panel(CellsPanel):
    """Every task, share of the labels and test set."""

    columns = COLUMNS
    title = "Fine-tuned classification"
    says = (
        "For findings: AUROC, mean over findings and draws, by film and by study. For classes: accuracy, mean over "
        "classes and draws. By the share of the training patients in percent; a share that has too few films with a "
        "label is enlarged."
    )

    @staticmethod
    def cells(table: Any, findings: Sequence[str]) -> dict[str, Cell]:
        """See `CellsPanel`."""
        return cells_of(table)
