"""Finished runs to Weights & Biases: numbers, tables, curves, slices to look at, and what came from what.

Everything comes from the files of a suite, so that it can be published again without training. Numbers and pictures go
there; of stores, checkpoints and predictions only digests and counts.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.results.artifacts import Artifact, Artifacts, artifacts_of
from anatomy_clip.results.breakdown import confusion
from anatomy_clip.results.layout import Layout, RowSpec
from anatomy_clip.results.read import Run
from anatomy_clip.results.run_summary import (
    GALLERY_COLUMNS,
    LABEL_COLUMNS,
    contrast_summary,
    gallery_rows,
    label_rows,
    settings,
    summary,
)
from anatomy_clip.results.slices import select
from anatomy_clip.results.table import Table
from anatomy_clip.training.wandb_runs import finish, load_wandb, start, use_artifact

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDER = "review"  # of the offline files, made anew each time
_CELL_COLUMNS = ("row", "column", "value", "lo", "hi", "n", "patients", "seeds", "paper")
_STEP_COLUMNS = ("row", "column", "over", "gain", "lo", "hi")
_CURVE_POINTS = 200  # of a label; more can't be told apart in a plot


def publish_run(
    run: Run,
    base: Run | None,
    layout: Layout,
    images: Mapping[str, NDArray[np.uint8]],
    *,
    suite: str,
    project: str,
    mode: str,
    pseudonym: Callable[..., str],
    slices_a_set: int = 32,
    resamples: int = 1000,
) -> None:
    """Add what was measured to the W&B run that trained it, which has the same id.

    Args:
        run: the run.
        base: the first column's run with the same seed, for the gain over it.
        layout: rows whose confusions and curves are drawn.
        images: test set -> (N, S, S) uint8; only slices of these are shown.
        suite: the run's suite.
        project: W&B project.
        mode: as `wandb_runs.identity`.
        pseudonym: makes ids that can't be traced back.
        slices_a_set: most slices of a test set.
        resamples: bootstrap resamples of patients.

    Raises:
        ValueError: wandb isn't installed, or predictions contradict their labels.
    """
    wandb = load_wandb()
    values = summary(run, base, resamples) | contrast_summary(run, layout, resamples)
    shown = {"labels": wandb.Table(columns=list(LABEL_COLUMNS), data=label_rows(run))}
    for row in layout.rows + layout.further:
        shown |= _plots(wandb, run, row)
    gallery = [[wandb.Image(image), *row] for image, row in gallery_rows(run, images, slices_a_set, pseudonym)]
    if gallery:
        shown["gallery"] = wandb.Table(columns=["image", *GALLERY_COLUMNS], data=gallery)
    who = {"suite": suite, "name": run.name, "seed": run.seed, "project": project, "mode": mode}
    with _review(run.folder, settings(run.config) | {"versions": dict(run.versions)}, who) as there:
        there.summary.update(values)
        there.log(shown)
        _log_artifacts(wandb, there, artifacts_of(run))


def publish_suite(
    table: Table,
    folder: Path,
    pictures: Mapping[str, bytes],
    page: str | None,
    *,
    suite: str,
    project: str,
    mode: str,
) -> None:
    """Publish a suite's table with its gains, its pictures and its page, as a run of their own.

    Args:
        table: the results table.
        folder: the suite's folder.
        pictures: name -> PNG.
        page: the page's HTML; None leaves it out.
        suite: its name.
        project: W&B project.
        mode: as `wandb_runs.identity`.

    Raises:
        ValueError: wandb isn't installed.
    """
    wandb = load_wandb()
    cells = [[getattr(c, name) for name in _CELL_COLUMNS] for c in table.cells + table.further]
    steps = [[s.row, s.column, s.over, s.value, s.lo, s.hi] for s in table.steps]
    shown: dict[str, Any] = {
        "table": wandb.Table(columns=list(_CELL_COLUMNS), data=_without_nan(cells)),
        "gains": wandb.Table(columns=list(_STEP_COLUMNS), data=_without_nan(steps)),
        **{name: wandb.Image(_picture(png)) for name, png in pictures.items()},
    }
    if page is not None:
        shown["page"] = wandb.Html(page, inject=False)
    who = {"suite": suite, "name": "results", "seed": 0, "project": project, "mode": mode}
    with _review(folder, {"notes": list(table.notes), "data": table.layout.data}, who) as there:
        there.log(shown)


@contextmanager
def _review(folder: Path, config: Mapping[str, Any], who: Mapping[str, Any]) -> Iterator[Any]:
    """A W&B run that ends as failed where publishing it does."""
    shutil.rmtree(folder / _FOLDER, ignore_errors=True)
    run = start(folder / _FOLDER, config, **who)
    try:
        yield run
    except BaseException:
        finish(run, failed=True)
        raise
    finish(run)


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
            targets = slices.targets[:, k]
            if targets.any() and not targets.all():
                false, true, _ = roc_curve(targets, slices.scores[:, k], drop_intermediate=False)
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


def _log_artifacts(wandb: Any, run: Any, found: Artifacts) -> None:
    for artifact in found.used:
        use_artifact(run, _to_wandb(wandb, artifact))
    for artifact in found.made:
        run.log_artifact(_to_wandb(wandb, artifact))
    for artifact in found.used_again:
        use_artifact(run, _to_wandb(wandb, artifact))


def _to_wandb(wandb: Any, found: Artifact) -> Any:
    """An artifact that holds a digest; equal digests make one artifact, whichever run names them."""
    artifact = wandb.Artifact(found.name, found.kind, metadata=dict(found.facts))
    with artifact.new_file("digest.json") as file:
        json.dump({"sha256": found.sha256}, file)
    return artifact


def _without_nan(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [[None if isinstance(x, float) and np.isnan(x) else x for x in row] for row in rows]


def _picture(png: bytes) -> Any:
    import io

    from PIL import Image

    return Image.open(io.BytesIO(png))
