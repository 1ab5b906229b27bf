"""Runs of Weights & Biases that hold nothing but what is logged: no name, no path, no machine."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

_READABLE = 100  # characters; an id may have 128
MODES = ("offline", "online", "disabled")


def load_wandb() -> Any:
    """Import wandb, which otherwise would report its own errors over the network, offline too, with what they name.

    Raises:
        ValueError: it isn't installed.
    """
    os.environ["WANDB_ERROR_REPORTING"] = "false"  # read when it is imported and when it starts its service
    try:
        import wandb
    except ImportError as error:
        raise ValueError(
            "wandb isn't installed: pip install 'anatomy_clip[wandb]', or use logger=csv and results.html"
        ) from error
    return wandb


def run_id(suite: str, name: str, seed: int | str) -> str:
    """The id of a run: of suite, name and seed alone, and another one for every three of them.

    Readable, with what W&B forbids replaced, and a digest, since `a-b` of suite `c` and `b` of suite `c-a` read alike.
    """
    readable = re.sub(r"[^A-Za-z0-9_-]", "_", f"{suite}-{name}-{seed}")[:_READABLE]
    return f"{readable}-{hashlib.sha256(repr((suite, name, seed)).encode()).hexdigest()[:8]}"


def identity(*, suite: str, name: str, seed: int | str, project: str, mode: str) -> dict[str, Any]:
    """What `wandb.init` needs to start a run, or to go on with it: group = suite, job type = column.

    Args:
        suite: group of the run.
        name: column of the run.
        seed: seed of the run.
        project: W&B project.
        mode: one of `MODES`; offline needs no account.

    Raises:
        ValueError: the mode is unknown, or wandb isn't installed.
    """
    if mode not in MODES:
        raise ValueError(f"mode={mode}: give one of {', '.join(MODES)}")
    return {
        "project": project,
        "mode": mode,
        "id": run_id(suite, name, seed),
        "name": f"{name}/seed_{seed}",
        "group": suite,
        "job_type": name,
        "settings": _settings(silent=mode == "offline"),
        "resume": "allow",
        "config": {"suite": suite, "arm": name, "seed": seed},
    }


def start(folder: Path, config: Mapping[str, Any], **who: Any) -> Any:
    """Start a run, or go on with it.

    Args:
        folder: where its offline files go; the run's folder below it holds all of them and can be moved.
        config: settings to add to the run's config.
        who: as `identity`.
    """
    wandb = load_wandb()
    options = identity(**who)
    folder.mkdir(parents=True, exist_ok=True)
    run = wandb.init(**options | {"dir": str(folder), "config": {**options["config"], **config}})
    if options["mode"] == "offline":
        run.log_artifact = partial(_log_within, run, run.log_artifact)
    return run


def finish(run: Any, *, failed: bool = False) -> None:
    """End a run, and take its debug logs away: they name folders, and nobody needs them."""
    folder = Path(run.dir).parent
    run.finish(exit_code=1 if failed else 0)
    shutil.rmtree(folder / "logs", ignore_errors=True)


def use_artifact(run: Any, artifact: Any) -> None:
    """Say that a run took an artifact in.

    Offline, `Run.use_artifact` refuses; what it writes online is written here, and takes effect when it is synced.
    """
    if not run.offline:
        run.use_artifact(artifact)
        return
    _move_files(run, artifact)
    run._log_artifact(artifact, is_user_created=True, use_after_commit=True)


def _settings(*, silent: bool) -> Any:
    # Console, host, hardware, program path and git all carry names and paths of the machine.
    return load_wandb().Settings(
        console="off",
        host="hidden",  # goes into the run's record even where the machine's information is off
        username="hidden",
        email="hidden",
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_disable_stats=True,
        x_save_requirements=False,
        save_code=False,
        disable_git=True,
        disable_job_creation=True,
        symlink=False,
        silent=silent,  # offline, all that it says are places of files
    )


def _log_within(run: Any, log_artifact: Any, artifact: Any, *args: Any, **kwargs: Any) -> Any:
    _move_files(run, artifact)
    return log_artifact(artifact, *args, **kwargs)


def _move_files(run: Any, artifact: Any) -> None:
    """Move an artifact's files from the user's home into the run's folder, and name them from there.

    An offline record holds the place of every file: so it names no home, and the folder can be synced from elsewhere.
    """
    staged = Path(run.dir).parent / "staged"
    staged.mkdir(exist_ok=True)
    for entry in artifact.manifest.entries.values():
        if entry.local_path is not None:
            name = f"{len(list(staged.iterdir())):05d}"
            shutil.move(entry.local_path, staged / name)
            entry.local_path = f"{staged.name}/{name}"
