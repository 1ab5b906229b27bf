"""Objectives on pairs of an image and its text."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.objectives.base import gather_with_grad
from anatomy_clip.objectives.losses import image_text_contrastive
from anatomy_clip.types import Batch, Losses


class CLIP(nn.Module):
    """Contrastive language-image pretraining (Kakkar et al., eq. 1; Radford et al. 2021, figure 3).

    Args:
        model: the model to train; its weights' temperature is the starting point.
        image_weight: weight of the image-to-text term; the paper has 0.5.
        text_weight: weight of the text-to-image term; the paper has 0.5.
        max_logit_scale: the inverse temperature is kept in [1, max_logit_scale]; open_clip has 100.
    """

    views = 1

    def __init__(
        self,
        model: ImageTextModel,
        image_weight: float = 0.5,
        text_weight: float = 0.5,
        max_logit_scale: float = 100.0,
    ) -> None:
        super().__init__()
        self.image_weight = image_weight
        self.text_weight = text_weight
        self.max_logit_scale = max_logit_scale
        self.logit_scale = nn.Parameter(torch.tensor(model.initial_logit_scale))

    def forward(self, model: ImageTextModel, batch: Batch) -> Losses:
        """Compute the weighted sum of both directions over the batch of all ranks."""
        image = gather_with_grad(model.encode_image(batch.images).embedding)
        text = gather_with_grad(encode_distinct(model, batch.tokens))
        scale = self.logit_scale.exp()
        image_term, text_term = image_text_contrastive(image, text, scale)
        terms = {"image_to_text": image_term, "text_to_image": text_term, "logit_scale": scale}
        loss = self.image_weight * image_term + self.text_weight * text_term
        return Losses(loss, {name: value.detach() for name, value in terms.items()})

    @torch.no_grad()
    def after_step(self, model: ImageTextModel) -> None:
        """Clamp the temperature."""
        self.logit_scale.clamp_(0.0, math.log(self.max_logit_scale))


def encode_distinct(model: ImageTextModel, tokens: Tensor) -> Tensor:
    """Embed texts, each distinct one once: template captions repeat within a batch, and gradients add up all the same.

    Args:
        model: the model.
        tokens: (B, L) int64.

    Returns:
        (B, D) unit norm.
    """
    distinct: Tensor
    row: Tensor
    distinct, row = torch.unique(tokens, dim=0, return_inverse=True)  # (U, L), (B,)
    return model.encode_text(distinct).embedding[row]
