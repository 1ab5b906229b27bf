"""MoCo v2: a view against the other view's key and a queue of earlier keys."""

from __future__ import annotations

from copy import deepcopy
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from anatomy_clip.core.types import Batch, Losses, Wants
from anatomy_clip.models.adapt.freeze import is_frozen
from anatomy_clip.models.heads.projection import mlp
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.objectives.base import Objective, gather
from anatomy_clip.objectives.losses import cosines


class MoCo(Objective):
    """Momentum contrast of images alone (He et al. 2020, arXiv 1911.05722; v2: Chen et al. 2020, arXiv 2003.04297).

    The momentum encoder has no gradient and stays in training mode, but for copies of frozen layers. Keys are encoded
    in shuffled parts of the batch, so that norm statistics, which a query's batch has too, don't give its key away
    (the paper shuffles over GPUs).

    Args:
        model: the model to train.
        width: D, of the space in which views are compared.
        temperature: tau.
        queue: K, keys that the queue holds.
        momentum: m, share of the momentum encoder that a step leaves.
        parts: parts of the batch in which keys are encoded.
    """

    wants = Wants(views=2)
    queue: Tensor
    cursor: Tensor

    def __init__(
        self,
        model: ImageTextModel,
        *,
        width: int = 128,
        temperature: float = 0.2,
        queue: int = 65536,
        momentum: float = 0.999,
        parts: int = 4,
    ) -> None:
        super().__init__()
        pooled = model.image.width
        self.head = mlp(pooled, pooled, width)
        self.momentum_encoder = nn.ModuleDict()  # the image tower and the head; made by `setup`
        self.temperature = temperature
        self.momentum = momentum
        self.parts = parts
        self.register_buffer("queue", normalize(torch.randn(queue, width), dim=-1))  # (K, D)
        self.register_buffer("cursor", torch.zeros((), dtype=torch.int64))  # row that the next key takes
        self._still: list[nn.Module] = []  # parts of the momentum encoder whose statistics stay, as the encoder's do
        self._pending: list[Tensor] = []  # keys of the batches since the last optimiser step

    def setup(self, model: ImageTextModel) -> None:
        """Copy the encoder."""
        tower = deepcopy(model.image)
        self._still = [part for part in tower.modules() if is_frozen(part) and any(True for _ in part.parameters())]
        copied = nn.ModuleDict({"tower": tower, "head": deepcopy(self.head)})
        self.momentum_encoder = copied.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation mode; copies of frozen layers stay in evaluation mode."""
        super().train(mode)
        for part in self._still:
            part.eval()
        return self

    def forward(self, model: ImageTextModel, batch: Batch) -> Losses:
        """Find each query's key among the queue's."""
        first, second = batch.views()
        query = normalize(self.head(model.encode_image(first).pooled), dim=-1)  # (B, D)
        key = self._keys(model.pixels(second))
        self._pending.append(key)
        right = (query.float() * key.float()).sum(dim=1, keepdim=True) / self.temperature  # (B, 1)
        wrong = cosines(query, self.queue.clone(), 1 / self.temperature)  # (B, K)
        logits = torch.cat([right, wrong], dim=1)
        return Losses(cross_entropy(logits, torch.zeros(len(query), dtype=torch.int64, device=query.device)))

    @torch.no_grad()
    def _keys(self, pixels: Tensor) -> Tensor:
        """Encode (B, 3, H, W) views as (B, D) keys, in shuffled parts."""
        order = torch.randperm(len(pixels), device=pixels.device)
        tower, head = self.momentum_encoder["tower"], self.momentum_encoder["head"]
        parts = [normalize(head(tower(part).pooled), dim=-1) for part in pixels[order].chunk(self.parts)]
        return torch.cat(parts)[order.argsort()]

    @torch.no_grad()
    def after_optimizer_step(self, model: ImageTextModel) -> None:
        """Move the momentum encoder once, and put the keys of all batches since the last step into the queue."""
        followed: list[Tensor] = [*model.image.parameters(), *self.head.parameters()]
        torch._foreach_lerp_([*self.momentum_encoder.parameters()], followed, 1 - self.momentum)
        keys = gather(torch.cat(self._pending)).to(self.queue.dtype)[-len(self.queue) :]
        self._pending.clear()
        rows = (self.cursor + torch.arange(len(keys), device=keys.device)) % len(self.queue)
        self.queue[rows] = keys
        self.cursor.copy_((self.cursor + len(keys)) % len(self.queue))
