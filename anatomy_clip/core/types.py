"""Every tensor that crosses a module border: its name, shape and unit."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """One batch of slices with their captions and labels.

    Attributes:
        images: (B, 1, H, W) uint8, grey 0-255; made three-channel and normalised by the model, on its device.
        tokens: (V * B, L) int64 token ids of V captions a slice, caption v of slice b in row v * B + b; L = the longest
            caption of the batch, padded with the tokenizer's id for it.
        organs: (B, K) bool, organs in the slice, in the taxonomy's order.
        stations: (B, S) bool, stations of the slice, in the taxonomy's order.
        modalities: (B,) int64, position of the slice's modality in `tuple(Modality)`.
        rows: (B,) int64, row of each slice in its manifest.
    """

    images: Tensor
    tokens: Tensor
    organs: Tensor
    stations: Tensor
    modalities: Tensor
    rows: Tensor

    def to(self, *args: Any, **kwargs: Any) -> Batch:
        """Move every tensor, as `Tensor.to` does."""
        return replace(self, **{f.name: getattr(self, f.name).to(*args, **kwargs) for f in fields(self)})

    def pin_memory(self) -> Batch:
        """Pin every tensor, for the DataLoader's `pin_memory`."""
        return replace(self, **{f.name: getattr(self, f.name).pin_memory() for f in fields(self)})

    def __len__(self) -> int:
        return int(self.images.shape[0])

    def by_caption(self) -> list[Batch]:
        """V batches of the same slices, each with one caption a slice."""
        return [replace(self, tokens=tokens) for tokens in torch.split(self.tokens, len(self))]


@dataclass(frozen=True)
class Features:
    """What a tower makes of its input.

    Attributes:
        pooled: (B, W) the tower's pooled output, before the projection.
        embedding: (B, D) projected, unit norm.
        local: (B, R, W) one vector a patch or token, before pooling; None where the tower gives none.
    """

    pooled: Tensor
    embedding: Tensor
    local: Tensor | None = None


@dataclass(frozen=True)
class Losses:
    """What an objective returns.

    Attributes:
        loss: () the value to minimise.
        terms: its named parts and other scalars to log, each () and detached.
    """

    loss: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
