"""Finished runs to Weights & Biases: numbers, tables, curves, slices to look at, and what came from what.

Everything comes from the files of a suite, so that it can be published again without training. Numbers and pictures go
there; of stores, checkpoints and predictions only digests and counts.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anatomy_clip.results.artifacts import Artifact, Artifacts, artifacts_of
from anatomy_clip.results.panel import Panel, Suite, notes_of
from anatomy_clip.results.read import Run
from anatomy_clip.results.run_summary import settings
from anatomy_clip.training.wandb_runs import finish, load_wandb, start, use_artifact

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDER = "review"  # of the offline files, made anew each time


def publish_run(
    run: Run,
    suite: Suite,
    panels: Mapping[str, Panel],
    *,
    project: str,
    mode: str,
    pseudonym: Callable[..., str],
) -> None:
    """Add what was measured to the W&B run that trained it, which has the same id.

    Args:
        run: the run.
        suite: its suite.
        panels: the suite's panels; those of the run's tables say what is shown.
        project: W&B project.
        mode: as `wandb_runs.identity`.
        pseudonym: makes ids that can't be traced back.

    Raises:
        ValueError: wandb isn't installed, or predictions contradict their labels.
    """
    wandb = load_wandb()
    values: dict[str, float] = {}
    shown: dict[str, Any] = {}
    for panel in (panel for name, panel in panels.items() if name in run.tables):
        values |= panel.numbers(run)
        shown |= panel.charts(run, wandb, pseudonym)
    who = {"suite": suite.name, "name": run.name, "seed": run.seed, "project": project, "mode": mode}
    with _review(run.folder, settings(run.config) | {"versions": dict(run.versions)}, who) as there:
        there.summary.update(values)
        if shown:
            there.log(shown)
        _log_artifacts(wandb, there, artifacts_of(run))


def publish_suite(
    suite: Suite, panels: Mapping[str, Panel], folder: Path, page: str | None, *, project: str, mode: str
) -> None:
    """Publish what a suite's panels show of all runs together, and its page, as a run of their own.

    Args:
        suite: the suite.
        panels: its panels.
        folder: the suite's folder.
        page: the page's HTML; None leaves it out.
        project: W&B project.
        mode: as `wandb_runs.identity`.

    Raises:
        ValueError: wandb isn't installed.
    """
    wandb = load_wandb()
    shown = {key: chart for panel in panels.values() for key, chart in panel.suite_charts(wandb).items()}
    if page is not None:
        shown["page"] = wandb.Html(page, inject=False)
    who = {"suite": suite.name, "name": "results", "seed": 0, "project": project, "mode": mode}
    notes = list(notes_of(suite, panels))
    with _review(folder, {"notes": notes, "data": suite.layout.data}, who) as there:
        if shown:
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
