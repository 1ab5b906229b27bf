"""The Weights & Biases logger, set so that it sends nothing but what is logged."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from lightning.pytorch.loggers import WandbLogger

_READABLE = 100  # characters; an id may have 128


class _EndingLogger(WandbLogger):
    """Ends its W&B run with the training: in a sweep, the next one would go on writing into it."""

    def finalize(self, status: str) -> None:
        """Close the run."""
        super().finalize(status)
        if self._experiment is not None:
            self._experiment.finish(exit_code=0 if status == "success" else 1)
            self._experiment = None


def wandb_logger(save_dir: str | Path, *, suite: str, name: str, seed: int, project: str, mode: str) -> WandbLogger:
    """Make a logger with a stable run id, grouped by suite, job type the column.

    A run that goes on has the id that it had: online it is continued, offline it gets one more folder, and
    `wandb sync` sends the folders of one run in their order.

    Args:
        save_dir: the run folder; the offline files lie below it.
        suite: group of the run.
        name: column of the run.
        seed: seed of the run.
        project: W&B project.
        mode: `online`, `offline` or `disabled`; offline needs no account.
    """
    import wandb

    # Console, host, hardware, program path and git all carry names and paths of the machine.
    settings = wandb.Settings(
        console="off",
        host="hidden",  # goes into the run's record even where the machine's information is off
        username="hidden",
        email="hidden",
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_disable_stats=True,
        save_code=False,
        disable_git=True,
        disable_job_creation=True,
    )
    return _EndingLogger(
        save_dir=str(save_dir),
        project=project,
        mode=mode,
        id=run_id(suite, name, seed),
        name=f"{name}/seed_{seed}",
        group=suite,
        job_type=name,
        settings=settings,
        resume="allow",
    )


def run_id(suite: str, name: str, seed: int) -> str:
    """The id of a run: of suite, name and seed alone, and another one for every three of them.

    Readable, with what W&B forbids replaced, and a digest, since `a-b` of suite `c` and `b` of suite `c-a` read alike.
    """
    readable = re.sub(r"[^A-Za-z0-9_-]", "_", f"{suite}-{name}-{seed}")[:_READABLE]
    return f"{readable}-{hashlib.sha256(repr((suite, name, seed)).encode()).hexdigest()[:8]}"
