"""A run that goes on exactly where it stopped: at an epoch's end, between two steps, or after an error inside one."""

from __future__ import annotations

import random
import signal
import sys
import threading
from collections.abc import Mapping
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
    """Where a run stood after its last whole step, as far as the next step may change it before it is whole.

    Attributes:
        step: optimiser steps done.
        batches: batches of this epoch that are done.
        total: batches of all epochs that are done.
        stepped: Lightning's own count of steps, by which it logs.
        last: the last batch of the epoch is done.
        validating: validation of these weights has begun, and must begin again.
        terms: loss terms that aren't logged yet.
    """

    step: int
    batches: int
    total: int
    stepped: int
    last: bool
    validating: bool
    terms: list[dict[str, Tensor]]


class LastCheckpoint(Checkpoint):
    """Keeps exactly one checkpoint, `last.ckpt`: at each epoch's end, every N steps, and when a run breaks off.

    A step is whole once the objective's `after_step` is done and its gradients are all applied; the next batch's start
    is the first moment at which that is so. An error inside a step leaves the weights as they were after the step
    before it; the batches counted, the norms' running statistics and the loss terms are put back to that state. Only
    an error while the optimiser itself changes weights can't be saved: then the checkpoint before it stands. The
    first Ctrl-C waits for the step to end, the second doesn't.

    Args:
        folder: where `last.ckpt` is kept.
        every_n_steps: optimiser steps between checkpoints inside an epoch; 0 = none.
    """

    def __init__(self, folder: Path, *, every_n_steps: int = 0) -> None:
        if every_n_steps < 0:
            raise ValueError(f"checkpoint_every={every_n_steps}: give a number of steps, or 0 for epochs' ends only")
        self.path = Path(folder) / "last.ckpt"
        self.every_n_steps = every_n_steps
        self._mark: _Mark | None = None
        self._saved_step = -1
        self._stepping = False  # the optimiser has begun to change weights that no mark stands for yet
        self._at_mark = False  # the checkpoint being made is of the mark, not of this moment
        self._buffers: dict[str, tuple[Tensor, Tensor]] = {}  # name -> (buffer, its values at the mark)
        self._loaded_terms: list[dict[str, Tensor]] = []
        self._interrupted = False
        self._before: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put back loss terms that a checkpoint holds, and listen for Ctrl-C."""
        kept = set(pl_module.state_dict(keep_vars=True))
        self._buffers = {name: (b, b.detach().clone()) for name, b in pl_module.named_buffers() if name in kept}
        self._saved_step = trainer.global_step
        _terms(pl_module)[:] = [{k: v.to(pl_module.device) for k, v in t.items()} for t in self._loaded_terms]
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._interrupt)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave Ctrl-C as it was."""
        self._deafen()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Mark the step before as whole; save it if one is due."""
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self._set_mark(trainer, pl_module)
            step = trainer.global_step
            if self.every_n_steps and step % self.every_n_steps == 0 and step != self._saved_step:
                self._save_mark(trainer)
        if self._interrupted:
            raise KeyboardInterrupt

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """From here on the weights aren't those of the mark."""
        self._stepping = True

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Mark the step before as whole: validation changes nothing that training reads."""
        if self._mark is not None and trainer.state.fn == "fit":
            self._set_mark(trainer, pl_module, validating=True)

    def on_validation_batch_start(self, *args: Any) -> None:
        """Stop here if asked to; a resumed run validates from the start."""
        if self._interrupted:
            raise KeyboardInterrupt

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the end of the epoch; its validation is done."""
        _save_logs(trainer)
        trainer.save_checkpoint(self.path)
        self._saved_step = trainer.global_step
        if self._interrupted:
            raise KeyboardInterrupt

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save the last whole step, unless that is saved already or can't be had any more."""
        self._deafen()
        alone = trainer.world_size == 1 or isinstance(exception, SIGTERMException)  # else the other ranks are elsewhere
        if self._mark is None or isinstance(exception, DiskFull) or not alone:
            return
        done = trainer.fit_loop.epoch_loop.batch_progress.current
        between = done.ready == done.completed
        if between and not trainer.validating and done.completed % trainer.accumulate_grad_batches == 0:
            self._set_mark(trainer, pl_module)
        if self._mark.step == self._saved_step:
            return
        if self._stepping or self._mark.step != trainer.global_step:
            print(f"{self.path}: stopped inside the optimiser: goes on from the checkpoint before", file=sys.stderr)
            return
        try:
            self._save_mark(trainer)
        except DiskFull as full:  # not in place of what happened first
            print(f"error: {full}", file=sys.stderr)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Put the mark in place of this moment, and keep the loss terms that aren't logged yet."""
        if not self._at_mark or self._mark is None:
            checkpoint["terms"] = list(_terms(pl_module))
            return
        checkpoint["terms"] = self._mark.terms
        checkpoint["state_dict"] |= {name: kept for name, (_, kept) in self._buffers.items()}
        _set_progress(checkpoint["loops"]["fit_loop"], self._mark)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take the loss terms; they are put in place once the module is on its device."""
        self._loaded_terms = checkpoint.get("terms", [])

    def _set_mark(self, trainer: Trainer, pl_module: LightningModule, *, validating: bool = False) -> None:
        loop = trainer.fit_loop.epoch_loop
        progress = loop.batch_progress
        self._mark = _Mark(
            step=trainer.global_step,
            batches=progress.current.completed,
            total=progress.total.completed,
            stepped=loop._batches_that_stepped,
            last=validating and progress.is_last_batch,
            validating=validating,
            terms=list(_terms(pl_module)),
        )
        self._stepping = False
        for buffer, kept in self._buffers.values():
            kept.copy_(buffer)

    def _save_mark(self, trainer: Trainer) -> None:
        assert self._mark is not None
        _save_logs(trainer)
        self._at_mark = True
        try:
            # Not `trainer.save_checkpoint`: its barrier would wait for ranks that don't come after an error.
            checkpoint = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
            trainer.strategy.save_checkpoint(checkpoint, self.path)
        finally:
            self._at_mark = False
        self._saved_step = self._mark.step

    def _interrupt(self, number: int, frame: Any) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True
        print("stopping after this step (once more: at once)", file=sys.stderr, flush=True)

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


def _set_progress(loop: dict[str, Any], mark: _Mark) -> None:
    """Write a mark into what Lightning keeps of its loops."""
    stages = ("ready", "started", "processed", "completed")
    loop["epoch_loop.batch_progress"] = {
        "current": dict.fromkeys(stages, mark.batches),
        "total": dict.fromkeys(stages, mark.total),
        "is_last_batch": mark.last,
    }
    loop["epoch_loop.state_dict"] |= {"_batches_that_stepped": mark.stepped}
    # A validation batch that was started and isn't done is Lightning's sign that it has to validate before it trains.
    begun = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
    none = dict.fromkeys(stages, 0)
    validation: Mapping[str, Any] = {"total": begun if mark.validating else none, "current": none}
    loop["epoch_loop.val_loop.batch_progress"] = {**validation, "is_last_batch": False}


def _terms(module: LightningModule) -> list[dict[str, Tensor]]:
    """The module's loss terms since the last log; a module that keeps none has an empty list."""
    terms: list[dict[str, Tensor]] = getattr(module, "_terms", [])
    return terms


def _save_logs(trainer: Trainer) -> None:
    # What was logged before a checkpoint isn't logged again after it.
    for logger in trainer.loggers:
        logger.save()
