"""Organs and stations of slices of patients that training left out: hit@1, mean over patients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anatomy_clip.evaluation.by_patient import COLUMNS, cells_of
from anatomy_clip.evaluation.cells import Cell
from anatomy_clip.results.cells import CellsPanel


class Panel(CellsPanel):
    """All slices and by modality; then by what they show, and by source."""

    columns = COLUMNS
    title = "Patients that training left out"
    says = (
        "Hit@1 of organs and of stations on slices of patients that were not in the training: the mean over patients "
        "of the mean over each patient's slices. *constant*: the best result of a constant answer for all of these "
        "slices."
    )
    folded = r"^(organ|station)/[^/]+/(?!CT$|MR$|constant$|(CT|MR)/constant$)"

    @staticmethod
    def cells(table: Any, findings: Sequence[str]) -> dict[str, Cell]:
        """See `CellsPanel`."""
        return cells_of(table)
