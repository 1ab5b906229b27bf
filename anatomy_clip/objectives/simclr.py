"""SimCLR: two views of an image against all other images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from anatomy_clip.core.types import Batch, Losses, Wants
from anatomy_clip.models.heads.projection import mlp
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.objectives.base import Objective, gather_with_grad, refuse_a_batch_of_one
from anatomy_clip.objectives.losses import cosines


class SimCLR(Objective):
    """Contrastive learning of images alone (Chen et al. 2020, arXiv 2002.05709; head of v2, arXiv 2006.10029).

    Args:
        model: the model to train.
        width: D, of the space in which views are compared.
        temperature: tau.
        layers: linear layers of the head.
    """

    wants = Wants(views=2)

    def __init__(self, model: ImageTextModel, *, width: int = 128, temperature: float = 0.1, layers: int = 3) -> None:
        super().__init__()
        pooled = model.image.width
        self.head = mlp(pooled, pooled, width, layers, norm=True)
        self.temperature = temperature

    def forward(self, model: ImageTextModel, batch: Batch) -> Losses:
        """Compare the views of all samples of all ranks."""
        refuse_a_batch_of_one(batch)
        embedded = normalize(self.head(model.encode_image(batch.images).pooled), dim=-1)  # (2 B, D)
        first, second = (gather_with_grad(view) for view in torch.split(embedded, len(batch)))  # each (N, D)
        return Losses(nt_xent(first, second, self.temperature))


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross entropy (Chen et al. 2020, eq. 1), averaged over all 2 N views.

    Args:
        first: (N, D) first views, unit norm.
        second: (N, D) second views of the same samples, unit norm.
        temperature: tau.
    """
    views = torch.cat([first, second])  # (2 N, D)
    logits = cosines(views, views, 1 / temperature)
    logits = logits.masked_fill(torch.eye(len(views), dtype=torch.bool, device=views.device), float("-inf"))
    return cross_entropy(logits, torch.arange(len(views), device=views.device).roll(len(first)))
