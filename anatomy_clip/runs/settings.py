"""Which keys of a run's config decide its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anatomy_clip.core.trees import without

NO_NUMBER = (
    "suite",  # where the run stands among others,
    "name",  # and which column it is
    "overwrite",  # what becomes of a folder that is there already
    "paths",  # where files lie; what they hold is compared by its digest
    "hydra",  # how the program is started, and where
    "logger",  # what is written about the training
    "optim.log_every",  # how often
    "trainer.log_every_n_steps",  # how often
    "trainer.enable_progress_bar",  # what the terminal shows
    "trainer.enable_model_summary",  # what the terminal shows
    "trainer.accelerator",  # the kind of processor; the precision is a key of its own
    "data.workers",  # processes that read slices; each slice's draws follow from seed, epoch and place
    "checkpoint_every",  # how much work a stopped training loses
)
NO_TRAINING = (
    "stages",  # what is done with the weights
    "eval",  # how they are tested
    "resamples",  # how their intervals are made
    "data.test",  # on what
    "data.optional",  # which of these tests may be absent
)
# files of somebody's
PLACES = ("data.train", "data.validation", "data.test", "model.weights", "model.text_weights", "init.image",
          "average.checkpoints")  # fmt: skip


def deciding(config: Mapping[str, Any], *others: str) -> dict[str, Any]:
    """The part of a config that decides numbers, without further keys; of the devices, their number.

    A batch is that of one device, so their number decides what a step sees; which ones they are doesn't.
    """
    kept = without(config, {*NO_NUMBER, *others})
    if "devices" in kept.get("trainer", {}):
        kept["trainer"]["devices"] = _count(kept["trainer"]["devices"])
    return kept


def _count(devices: Any) -> Any:
    """How many devices Lightning's setting means; a mapping builds `free_gpu`, which takes one."""
    if isinstance(devices, Mapping):
        return 1
    return len(devices) if isinstance(devices, list) else devices
