"""A loader that goes on where a run stopped, and its workers."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping

from torch.utils.data import DataLoader

from anatomy_clip.core.types import Batch


class Loader(DataLoader[Batch]):
    """A loader that starts with its first batch, not with `iter`.

    When a run goes on from a checkpoint, Lightning calls `iter` before it tells the sampler the epoch; workers would
    have fetched batches of epoch 0 by then.
    """

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        yield from super().__iter__()

    def state_dict(self) -> dict[str, int]:
        """Nothing: the sampler asks the trainer where it stands. To Lightning it says that the loader can go on."""
        return {}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """There is nothing to load."""


def start_worker(worker: int) -> None:
    """Make a worker process one that works alone and leaves Ctrl-C to the training process."""
    import cv2

    cv2.setNumThreads(0)  # workers are the parallelism; more threads would only fight for the cores
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the training process, which ends its workers
