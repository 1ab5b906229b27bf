"""A finished suite to Weights & Biases, from its files; needs no model, no GPU and, offline, no account.

anatomy-clip publish suite=table3
anatomy-clip publish suite=table3 mode=online
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from omegaconf import DictConfig

from anatomy_clip.cli.results import suite_of
from anatomy_clip.core.pseudonyms import Pseudonyms, kept_salt
from anatomy_clip.results.panel import Suite, panels_of
from anatomy_clip.results.publish import publish_run, publish_suite
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
    suite, _ = suite_of(cfg, images=images_of(cfg.gallery.stores), slices_a_set=cfg.gallery.slices_a_set)
    panels = panels_of(suite)
    who = {"project": cfg.project, "mode": cfg.mode}
    pseudonym = Pseudonyms(cfg.salt or kept_salt(Path(cfg.salt_file)))
    for run in suite.runs:
        publish_run(run, suite, panels, pseudonym=pseudonym, **who)
        print(f"{cfg.suite}: published {run.name}, seed {run.seed}", flush=True)
    folder = Path(cfg.paths.outputs, cfg.suite)
    publish_suite(suite, panels, folder, _page(folder, suite), **who)
    where = f"; to upload it, use sync=true, or run `wandb sync .` in each offline-run folder below {folder}"
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
            raise ValueError(f"{path}: the upload failed; log in with `wandb login`, and start this again")


def _page(folder: Path, suite: Suite) -> str | None:
    """The results page, where it is newer than the runs and shows no slices but those that may be sent."""
    path = folder / "results.html"
    tables = [(run.folder / f"{name}.parquet", table) for run in suite.runs for name, table in run.tables.items()]
    hidden = {name for _, table in tables for name in table["set"]} - set(suite.images)
    if hidden:
        print(
            f"note: results.html is not published: it may show slices of {', '.join(sorted(hidden))}; see "
            "gallery.stores"
        )
        return None
    newest = max(file.stat().st_mtime for file, _ in tables)
    if not path.is_file() or path.stat().st_mtime < newest:
        print(
            "note: results.html is not published: it is missing or older than the runs; make it with `anatomy-clip "
            "results`"
        )
        return None
    return path.read_text(encoding="utf-8")
