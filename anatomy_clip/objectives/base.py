"""The contract of an objective, and what all of them share."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from anatomy_clip.core.types import Batch, Losses
from anatomy_clip.models.image_text import ImageTextModel


class Objective(Protocol):
    """Joins a model's outputs to losses; owns its own temperature, head, queue or decoder.

    An objective is an `nn.Module`, built with `model` and `classes` (label kind -> (K, L) tokens of its class names).
    `views` says how many image views of a slice it wants.
    """

    views: int

    def __call__(self, model: ImageTextModel, batch: Batch) -> Losses:
        """Compute the loss of one batch."""
        ...

    def after_step(self, model: ImageTextModel) -> None:
        """Do what follows an optimiser step: clamp a temperature, move a momentum encoder, fill a queue."""
        ...


def gather_with_grad(x: Tensor) -> Tensor:
    """Join the rows of all ranks, in rank order, and let gradients flow back to each rank's own rows.

    Args:
        x: (B, ...) with the same B on every rank.

    Returns:
        (world size * B, ...); x itself where there is one process.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return x
    if torch.distributed.get_world_size() == 1:
        return x
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(x), dim=0)  # type: ignore[no-untyped-call]
