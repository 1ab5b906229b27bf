"""A finished suite to Weights & Biases, from its files; needs no model, no GPU and, offline, no account.

anatomy-clip publish suite=table3
anatomy-clip publish suite=table3 mode=online
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from anatomy_clip.cli.results import published_numbers
from anatomy_clip.core.pseudonyms import Pseudonyms
from anatomy_clip.evaluation.base import ZERO_SHOT
from anatomy_clip.results.plots import roc_plot
from anatomy_clip.results.publish import publish_run, publish_suite
from anatomy_clip.results.read import Run, read_suite
from anatomy_clip.results.table import Table, build
from anatomy_clip.runs import wiring
from anatomy_clip.stores.store import images_of


def main(cfg: DictConfig) -> None:
    """Publish the suite, and sync it where asked to."""
    publish(cfg)
    if cfg.sync:
        sync(Path(cfg.paths.outputs, cfg.suite))


def publish(cfg: DictConfig) -> None:
    """Publish every finished run of a suite's columns, then the suite.

    Raises:
        ValueError: wandb isn't installed, the suite has no finished run, or a store or the paper's numbers can't be
            read.
    """
    layout = wiring.build(cfg.table, _convert_="all")
    runs, notes = read_suite(Path(cfg.paths.outputs), cfg.suite, list(layout.columns))
    paper, mean_gain = published_numbers(cfg)
    images = images_of(cfg.gallery.stores)
    who = {"suite": cfg.suite, "project": cfg.project, "mode": cfg.mode}
    first = next(iter(layout.columns))
    for run in runs:
        base = next((r for r in runs if r.name == first and r.seed == run.seed and r is not run), None)
        options = {"slices_a_set": cfg.gallery.slices_a_set, "resamples": cfg.resamples}
        publish_run(run, base, layout, images, pseudonym=Pseudonyms(cfg.salt), **who, **options)
        print(f"{cfg.suite}: published {run.name}, seed {run.seed}", flush=True)
    table = build(runs, layout, paper, mean_gain=mean_gain, notes=notes, resamples=cfg.resamples)
    folder = Path(cfg.paths.outputs, cfg.suite)
    publish_suite(table, folder, _pictures(table, runs), _page(folder, runs, images), **who)
    where = f"; send it with sync=true, or by `wandb sync .` in each offline-run folder below {folder}"
    print(f"{cfg.suite}: published the table{where if cfg.mode == 'offline' and not cfg.sync else ''}")


def sync(folder: Path) -> None:
    """Send the offline folders of a suite, training before review.

    Raises:
        ValueError: a folder couldn't be sent.
    """
    found = sorted(folder.rglob("offline-run-*"), key=lambda path: ("review" in path.parts, path.name))
    for path in found:
        # From within: the places of its files stand in it as seen from there.
        done = subprocess.run([sys.executable, "-m", "wandb", "sync", "."], cwd=path, check=False)
        if done.returncode:
            raise ValueError(f"{path}: couldn't be sent; log in with `wandb login`, and start this again")


def _pictures(table: Table, runs: Sequence[Run]) -> dict[str, bytes]:
    rows = [row for row in table.layout.rows if row.task == "organ"]
    pictures = {f"roc/{row.row}": png for row in rows if (png := roc_plot(runs, table.layout, row))}
    return pictures | ({"plot": table.layout.plot(table)} if table.layout.plot is not None else {})


def _page(folder: Path, runs: Sequence[Run], images: Mapping[str, Any]) -> str | None:
    """The results page, where it is newer than the runs and shows no slices but those that may be sent."""
    path = folder / "results.html"
    hidden = {name for run in runs for name in run.predictions["set"]} - set(images)
    if hidden:
        print(f"note: no results.html: it may show slices of {', '.join(sorted(hidden))}; see gallery.stores")
        return None
    newest = max((run.folder / ZERO_SHOT.file).stat().st_mtime for run in runs)
    if not path.is_file() or path.stat().st_mtime < newest:
        print("note: no results.html that is newer than the runs: make it with `anatomy-clip results`")
        return None
    return path.read_text(encoding="utf-8")
