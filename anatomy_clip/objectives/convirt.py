"""ConVIRT: images against texts, each through a head of its own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from anatomy_clip.core.types import Batch, Features, Losses, Texts, Wants
from anatomy_clip.models.heads.projection import mlp
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.objectives.base import Objective, gather_with_grad, refuse_a_batch_of_one
from anatomy_clip.objectives.losses import image_text_contrastive


class ConVIRT(Objective):
    """Contrastive learning of images and their texts (Zhang et al. 2022, arXiv 2010.00747, eqs. 2 to 4).

    Args:
        model: the model to train.
        width: D, of the space in which images and texts are compared.
        temperature: tau, fixed.
        image_weight: lambda, weight of the image-to-text term; the text-to-image term has the rest.
    """

    wants = Wants(texts=("caption",))

    def __init__(
        self, model: ImageTextModel, *, width: int = 512, temperature: float = 0.1, image_weight: float = 0.75
    ) -> None:
        super().__init__()
        image, text = (tower.width for tower in model.towers().values())
        self.image_head = mlp(image, image, width)
        self.text_head = mlp(text, text, width)
        self.temperature = temperature
        self.image_weight = image_weight

    def forward(self, model: ImageTextModel, batch: Batch) -> Losses:
        """Weigh both directions over the batch of all ranks; of several texts a sample, the first counts."""
        refuse_a_batch_of_one(batch)
        texts = batch.by_text("caption")[0].texts["caption"]  # the first of every sample
        images = gather_with_grad(self.embed_images(model.encode_image(batch.images)))  # (N, D)
        spoken = gather_with_grad(self.embed_texts(model.encode_text(texts.ids), texts))  # (N, D)
        scale = torch.tensor(1 / self.temperature, device=images.device)
        image_term, text_term = image_text_contrastive(images, spoken, scale)
        loss = self.image_weight * image_term + (1 - self.image_weight) * text_term
        return Losses(loss, {"image_to_text": image_term.detach(), "text_to_image": text_term.detach()})

    def embed_images(self, features: Features) -> Tensor:
        """See `Objective`."""
        return normalize(self.image_head(features.pooled), dim=-1)

    def embed_texts(self, features: Features, texts: Texts) -> Tensor:
        """See `Objective`."""
        return normalize(self.text_head(features.pooled), dim=-1)
