"""How many threads compute a training's steps in a process without a GPU."""

from __future__ import annotations

import os
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from anatomy_clip.core.processors import free_processors


class ComputeThreads(Callback):
    """Takes a thread for each processor that is free when the training begins; `OMP_NUM_THREADS` overrules it.

    A thread that has to wait for a processor holds up all others at every operation, so one thread is quicker beside a
    busy process, and two are on an idle machine. Sums are rounded otherwise by another number of threads: a training
    that goes on from a checkpoint keeps its number.
    """

    def __init__(self) -> None:
        self.kept: int | None = None

    def state_dict(self) -> dict[str, Any]:
        """The number of threads, for the checkpoint."""
        return {"threads": torch.get_num_threads()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the number of the training before."""
        self.kept = int(state_dict["threads"])

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the number; several ranks share the processors by Lightning's own rule."""
        if pl_module.device.type == "cpu" and trainer.world_size == 1 and "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(self.kept or free_processors())
