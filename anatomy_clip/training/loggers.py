"""The Weights & Biases logger of a training."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger

from anatomy_clip.training.wandb_runs import finish, identity


class _TrainingLogger(WandbLogger):
    """Logs pairs per second too, and ends its W&B run with the training: the next one would go on writing into it."""

    _pairs = 0  # of all ranks, a step
    _since: tuple[float, int] | None = None  # when the clock was set, and at which step

    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """Ask how many pairs a step has: nowhere else does Lightning show its loggers the trainer."""
        trainer = model.trainer
        self._pairs = trainer.datamodule.batch_size * trainer.world_size * trainer.accumulate_grad_batches

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log, with the pairs per second since the last metrics of the training; validation sets the clock anew."""
        now = time.monotonic()
        known = dict(metrics)
        if step is not None and "train/loss" in known and self._since is not None and step > self._since[1]:
            known["throughput/pairs_per_s"] = self._pairs * (step - self._since[1]) / (now - self._since[0])
        super().log_metrics(known, step)
        if step is not None:
            self._since = (now, step)

    def finalize(self, status: str) -> None:
        """Close the run."""
        super().finalize(status)
        if self._experiment is not None:
            finish(self._experiment, failed=status != "success")
            self._experiment = None


def wandb_logger(save_dir: str | Path, *, suite: str, name: str, seed: int, project: str, mode: str) -> WandbLogger:
    """Make a logger with a stable run id, grouped by suite, job type the column.

    A run that goes on has the id that it had: online it is continued, offline it gets one more folder, and
    `experiments/publish.py sync=true` sends the folders of one run in their order.

    Args:
        save_dir: the run folder; the offline files lie below it.
        suite: group of the run.
        name: column of the run.
        seed: seed of the run.
        project: W&B project.
        mode: `online`, `offline` or `disabled`; offline needs no account.

    Raises:
        ValueError: the mode is unknown, or wandb isn't installed.
    """
    return _TrainingLogger(
        save_dir=str(save_dir), **identity(suite=suite, name=name, seed=seed, project=project, mode=mode)
    )
