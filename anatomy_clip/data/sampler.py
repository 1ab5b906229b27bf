"""Samplers that are pure functions of (seed, epoch): nothing to restore but the epoch and how far it has come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from anatomy_clip.core.rng import sample_rng
from anatomy_clip.data.shares import weighted_order


def epoch_order(rows: int, images_per_image: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Order the samples of one epoch.

    An epoch is `images_per_image` passes over all rows, each shuffled on its own: two variants of one slice,
    which say the same and would be each other's wrong negatives, rarely meet in a batch.

    Returns:
        (rows * images_per_image,) a permutation; sample `n` shows row `n % rows`, variant `n // rows`.
    """
    # The shuffle's generator must not be any sample's: their indices never reach 2**63.
    rngs = (sample_rng(seed, epoch, (1 << 63) + k) for k in range(images_per_image))
    return np.concatenate([rng.permutation(rows) + k * rows for k, rng in enumerate(rngs)])


class EpochSampler(Sampler[tuple[int, int]]):
    """Yields (index, epoch) of a shuffled training epoch, one rank's share of it.

    Every rank gets the same number of whole batches. Batch b of all ranks together holds the same samples
    whatever the number of ranks, as long as `batch_size * world_size` is the same. The samples left over at
    the end of an epoch are other ones in each epoch.

    Args:
        rows: slices in the data set.
        seed: seed of the run.
        batch_size: samples in a batch of one rank.
        images_per_image: variants of each slice in an epoch.
        least_batches: that an epoch has: fewer slices have more variants, until there are as many.
        rank: this process's rank.
        world_size: number of ranks.
        position: says, when an iteration starts, the epoch and how many of its batches are done already; None = the
            epoch told by `set_epoch`, from its start.
        weights: (rows,) probability that a draw is this row; None = each row equally often.

    Raises:
        ValueError: an epoch holds less than one batch, or the rank does not exist.
    """

    def __init__(
        self,
        rows: int,
        seed: int,
        *,
        batch_size: int,
        images_per_image: int = 1,
        least_batches: int = 0,
        rank: int = 0,
        world_size: int = 1,
        position: Callable[[], tuple[int, int]] | None = None,
        weights: npt.NDArray[np.float64] | None = None,
    ) -> None:
        _check_rank(rank, world_size)
        images_per_image = max(images_per_image, ceil(least_batches * batch_size * world_size / max(1, rows)))
        total = rows * images_per_image
        if total < batch_size * world_size:
            raise ValueError(
                f"training data holds {rows} slice(s) x {images_per_image} variant(s), less than one batch "
                f"of {batch_size} on {world_size} rank(s); prepare more data, or set a smaller batch_size"
            )
        self.rows = rows
        self.seed = seed
        self.images_per_image = images_per_image
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.batch_size = batch_size
        self.position = position
        self.weights = weights
        self._used = total - total % (batch_size * world_size)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration yields; Lightning calls it at the start of each."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._used // self.world_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, done = (self.epoch, 0) if self.position is None else self.position()
        if self.weights is None:
            order = epoch_order(self.rows, self.images_per_image, self.seed, epoch)
        else:
            order = weighted_order(self.weights, self.images_per_image, self.seed, epoch)
        # Strided, not in blocks: so a global batch is the same set on any number of ranks.
        own = order[: self._used][self.rank :: self.world_size]
        for index in own[done * self.batch_size :].tolist():
            yield index, epoch


class OrderedSampler(Sampler[tuple[int, int]]):
    """Yields (index, 0) of every row in order; over all ranks each row once, none dropped or repeated.

    The epoch is always 0, so that captions drawn for a validation set stay the same over training. Ranks may
    differ by one row in length: reduce over ranks at the end of a pass, not within.
    """

    def __init__(self, rows: int, *, rank: int = 0, world_size: int = 1) -> None:
        _check_rank(rank, world_size)
        self.indices = range(rank, rows, world_size)

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((index, 0) for index in self.indices)


def _check_rank(rank: int, world_size: int) -> None:
    if not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} does not exist among {world_size} rank(s)")
