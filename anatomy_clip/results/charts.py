"""Tables, plots and slices of zero-shot naming as Weights & Biases shows them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from anatomy_clip.results.breakdown import confusion
from anatomy_clip.results.layout import RowSpec
from anatomy_clip.results.panel import Suite
from anatomy_clip.results.read import Run
from anatomy_clip.results.run_summary import GALLERY_COLUMNS, LABEL_COLUMNS, gallery_rows, label_rows
from anatomy_clip.results.slices import select
from anatomy_clip.results.table import Table

_CELL_COLUMNS = ("row", "column", "value", "lo", "hi", "n", "patients", "seeds", "paper")
_STEP_COLUMNS = ("row", "column", "over", "gain", "lo", "hi")
_CURVE_POINTS = 200  # of a label; more can't be told apart in a plot


def run_charts(wandb: Any, run: Run, suite: Suite, pseudonym: Callable[..., str]) -> dict[str, Any]:
    """A run's labels, the confusions and curves of the layout's rows, and slices under ids that name nobody."""
    shown = {"labels": wandb.Table(columns=list(LABEL_COLUMNS), data=label_rows(run))}
    for row in suite.layout.rows + suite.layout.further:
        shown |= _plots(wandb, run, row)
    found = gallery_rows(run, suite.images, suite.slices_a_set, pseudonym)
    gallery = [[wandb.Image(image), *row] for image, row in found]
    if gallery:
        shown["gallery"] = wandb.Table(columns=["image", *GALLERY_COLUMNS], data=gallery)
    return shown


def table_charts(wandb: Any, table: Table) -> dict[str, Any]:
    """A suite's cells and gains."""
    cells = [[getattr(c, name) for name in _CELL_COLUMNS] for c in table.cells + table.further]
    steps = [[s.row, s.column, s.over, s.value, s.lo, s.hi] for s in table.steps]
    return {
        "table": wandb.Table(columns=list(_CELL_COLUMNS), data=_without_nan(cells)),
        "gains": wandb.Table(columns=list(_STEP_COLUMNS), data=_without_nan(steps)),
    }


def picture(wandb: Any, png: bytes) -> Any:
    """A PNG as W&B's image."""
    from PIL import Image

    return wandb.Image(Image.open(io.BytesIO(png)))


def _plots(wandb: Any, run: Run, row: RowSpec) -> dict[str, Any]:
    """The confusions of a row, and for organs the ROC curve of each; empty where the run has none of its slices."""
    from sklearn.metrics import roc_curve

    counted = confusion(run, row)
    slices = select(run, row.task, row.test_set, row.modalities)
    if counted is None or slices is None:
        return {}
    pairs = [
        [truth, named, int(counted.counts[i, j])]
        for i, truth in enumerate(counted.labels)
        for j, named in enumerate(counted.labels)
    ]
    columns = ["Actual", "Predicted", "nPredictions"]
    plots = {f"confusion/{row.row}": _plot(wandb, "wandb/confusion_matrix/v1", columns, pairs)}
    if row.task == "organ":
        points = []
        for k, label in enumerate(counted.labels):
            scores, targets = slices.of_label(k)
            if targets.any() and not targets.all():
                false, true, _ = roc_curve(targets, scores, drop_intermediate=False)
                kept = np.unique(np.linspace(0, len(false) - 1, min(len(false), _CURVE_POINTS)).round().astype(int))
                points += [[f"{label} (n = {int(targets.sum())})", float(false[n]), float(true[n])] for n in kept]
        if points:
            plots[f"roc/{row.row}"] = _plot(wandb, "wandb/area-under-curve/v0", ["class", "fpr", "tpr"], points)
    return plots


def _plot(wandb: Any, design: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    """One of W&B's own plots; its fields are named as the columns, but for the curve's axes."""
    axes = {"fpr": "x", "tpr": "y"}
    table = wandb.Table(columns=list(columns), data=rows)
    return wandb.plot_table(design, table, {axes.get(name, name): name for name in columns})


def _without_nan(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [[None if isinstance(x, float) and np.isnan(x) else x for x in row] for row in rows]
