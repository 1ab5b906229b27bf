"""A run that continues exactly where it stopped: at an epoch's end, between two steps, or after an error inside one."""

from __future__ import annotations

import random
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from anatomy_clip.core.rng import sample_rng
from anatomy_clip.training.checkpoints import DiskFull

_STAGES = ("ready", "started", "processed", "completed")  # of a batch, as Lightning counts them
# A validation batch that was started and isn't done is Lightning's sign that it has to validate before it trains.
_VALIDATION_BEGUN = {
    "total": {"ready": 1, "started": 1, "processed": 0, "completed": 0},
    "current": dict.fromkeys(_STAGES, 0),
    "is_last_batch": False,
}
_STEP = 1 << 61  # index of the first step's generator; no sample's


class StepSeeds(Callback):
    """Seeds Python, NumPy and torch before every step from (seed, epoch, batch, rank): no state to restore.

    Args:
        seed: seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Seed the step's draws, each rank's its own."""
        step = _STEP + batch_idx * trainer.world_size + trainer.global_rank
        rng = sample_rng(self.seed, trainer.current_epoch, step)
        random.seed(int(rng.integers(1 << 62)))
        np.random.seed(int(rng.integers(1 << 32)))
        _seed_torch(pl_module.device, int(rng.integers(1 << 62)))


@dataclass
class _Mark:
    """A run after its last whole step, as far as the next one changes it before it is whole itself.

    `tests/integration/test_restarts.py` fails without any one of these.

    Attributes:
        step: optimiser steps done.
        loops: the batches done and the validation begun, as Lightning keeps them; else logs of a resumed run differ.
        buffers: name -> values of the norms' running statistics, which a forward pass changes; else weights differ.
        terms: loss terms that aren't logged yet; else a resumed run logs means over other steps.
    """

    step: int
    loops: dict[str, Any]
    buffers: dict[str, Tensor]
    terms: list[dict[str, Tensor]]


class LastCheckpoint(Checkpoint):
    """Keeps exactly one checkpoint, `last.ckpt`: at each epoch's end, every N steps, and when a run breaks off.

    An error inside a step leaves the weights as they were after the step before it; the batches counted, the norms'
    running statistics and the loss terms are put back to that state. Only an error while the optimiser itself changes
    weights can't be saved: then the checkpoint before it stands. The first Ctrl-C waits for the step to end, the second
    doesn't.

    Lightning's `ModelCheckpoint(save_on_exception=True)` saves the moment of the error, a step half done with it, and
    stops at Ctrl-C inside a step: with it, most cases of `tests/integration/test_restarts.py` fail.

    Args:
        folder: where `last.ckpt` is kept.
        every_n_steps: optimiser steps between checkpoints inside an epoch; 0 = none.
    """

    def __init__(self, folder: Path, *, every_n_steps: int = 0) -> None:
        if every_n_steps < 0:
            raise ValueError(
                f"checkpoint_every={every_n_steps}: give a number of steps, or 0 for checkpoints only at the ends of "
                "epochs"
            )
        self.path = Path(folder) / "last.ckpt"
        self.every_n_steps = every_n_steps
        self._mark: _Mark | None = None
        self._saved_step = -1
        self._stepping = False  # the optimiser has begun to change weights that no mark stands for yet
        self._buffers: dict[str, Tensor] = {}
        self._interrupted = False
        self._before: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the buffers that a checkpoint holds, and listen for Ctrl-C."""
        kept = pl_module.state_dict(keep_vars=True)
        self._buffers = {name: buffer for name, buffer in pl_module.named_buffers() if name in kept}
        self._saved_step = trainer.global_step
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._interrupt)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave Ctrl-C as it was."""
        self._deafen()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Save the step before if that is due: not at its own end, where an epoch's validation may still be to come."""
        mark = self._mark
        if mark and self.every_n_steps and mark.step % self.every_n_steps == 0 and mark.step != self._saved_step:
            self._save(trainer, mark)
        self._stop_if_asked()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """From here on the weights aren't those of the mark."""
        self._stepping = True

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Mark the step as whole, unless more gradients are gathered for it."""
        if not self._stepping:
            return
        done = trainer.fit_loop.epoch_loop.batch_progress
        batches = {
            "total": dict.fromkeys(_STAGES, done.total.completed + 1),
            "current": dict.fromkeys(_STAGES, done.current.completed + 1),
            "is_last_batch": done.is_last_batch,
        }
        self._mark = _Mark(
            step=trainer.global_step,
            loops={"epoch_loop.batch_progress": batches},
            buffers={name: buffer.clone() for name, buffer in self._buffers.items()},
            terms=list(pl_module.terms),
        )
        self._stepping = False

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Mark that a run which goes on from here has to validate before it trains."""
        if self._mark is not None:
            self._mark.loops["epoch_loop.val_loop.batch_progress"] = _VALIDATION_BEGUN

    def on_validation_batch_start(self, *args: Any) -> None:
        """Stop here if asked to; a resumed run validates from the start."""
        self._stop_if_asked()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end of the epoch; its validation is done."""
        self._save(trainer)
        self._stop_if_asked()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save the last whole step, unless that is saved already or can't be had any more."""
        self._deafen()
        alone = trainer.world_size == 1 or isinstance(exception, SIGTERMException)  # else the other ranks are elsewhere
        if self._mark is None or self._mark.step == self._saved_step or isinstance(exception, DiskFull) or not alone:
            return
        if self._stepping:
            print(
                f"{self.path}: the run stopped inside the optimiser; it continues from the previous checkpoint",
                file=sys.stderr,
            )
            return
        try:
            self._save(trainer, self._mark)
        except DiskFull as full:  # not in place of what happened first
            print(f"error: {full}", file=sys.stderr)

    def _save(self, trainer: Trainer, mark: _Mark | None = None) -> None:
        """Save the mark, or where there is none this moment."""
        for logger in trainer.loggers:
            logger.save()  # what was logged before a checkpoint isn't logged again after it
        # `trainer.save_checkpoint` can't put the mark in place of this moment.
        checkpoint = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
        if mark is not None:
            checkpoint["loops"]["fit_loop"] |= mark.loops
            checkpoint["state_dict"] |= mark.buffers
            checkpoint["terms"] = mark.terms
        trainer.strategy.save_checkpoint(checkpoint, self.path)
        self._saved_step = trainer.global_step

    def _interrupt(self, number: int, frame: Any) -> None:
        self._stop_if_asked()
        self._interrupted = True
        print("stopping after this step (press Ctrl-C again to stop at once)", file=sys.stderr, flush=True)

    def _stop_if_asked(self) -> None:
        if self._interrupted:
            raise KeyboardInterrupt

    def _deafen(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None


def _seed_torch(device: torch.device, seed: int) -> None:
    """Seed the generators that a step on this device can draw from."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)  # every kind of device, which costs 200 times as much
