"""Contrastive-binary: is this text of this image, yes or no."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, relu

from anatomy_clip.core.types import Batch, Features, Losses, Texts, Wants
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.objectives.base import Objective, gather, gather_with_grad, refuse_a_batch_of_one

_NUMBERS = 1 << 24  # of hidden units x pairs at once


class ContrastiveBinary(Objective):
    """Tells true pairs of image and text from random ones (a comparison of Zhang et al. 2022, arXiv 2010.00747).

    Image and text features are joined and go through an MLP with one hidden layer. Its first layer is kept as two
    halves, so that features are embedded once for all pairs they are in. Each image meets its own text and one other.

    Args:
        model: the model to train.
        hidden: units of the hidden layer; the paper's aren't known.
    """

    wants = Wants(texts=("caption",))

    def __init__(self, model: ImageTextModel, *, hidden: int = 128) -> None:
        super().__init__()
        image, text = (tower.width for tower in model.towers().values())
        self.image_half = nn.Linear(image, hidden)
        self.text_half = nn.Linear(text, hidden, bias=False)
        self.last = nn.Linear(hidden, 1)

    def forward(self, model: ImageTextModel, batch: Batch) -> Losses:
        """Judge the true and the false pairs of all ranks; of several texts a sample, the first counts."""
        refuse_a_batch_of_one(batch)
        texts = batch.by_text("caption")[0].texts["caption"]
        images = gather_with_grad(self.embed_images(model.encode_image(batch.images)))  # (N, H)
        spoken = gather_with_grad(self.embed_texts(model.encode_text(texts.ids), texts))  # (N, H)
        own, other = self._judge(images, spoken), self._judge(images, spoken[false_partners(gather(batch.rows))])
        terms = {
            "true_pairs": binary_cross_entropy_with_logits(own, torch.ones_like(own)),
            "false_pairs": binary_cross_entropy_with_logits(other, torch.zeros_like(other)),
        }
        loss = (terms["true_pairs"] + terms["false_pairs"]) / 2
        return Losses(loss, {name: term.detach() for name, term in terms.items()})

    def _judge(self, images: Tensor, texts: Tensor) -> Tensor:
        """Logits of pairs: (..., H) and (..., H) -> (...)."""
        logits: Tensor = self.last(relu(images + texts)).squeeze(-1)
        return logits

    def embed_images(self, features: Features) -> Tensor:
        """The hidden layer's share of images: (B, H), not unit norm."""
        half: Tensor = self.image_half(features.pooled)
        return half

    def embed_texts(self, features: Features, texts: Texts) -> Tensor:
        """The hidden layer's share of texts: (T, H), not unit norm."""
        half: Tensor = self.text_half(features.pooled)
        return half

    def embed_classes(self, model: ImageTextModel, prompts: Texts) -> Tensor:
        """The mean of the P prompts of each of K classes: (K, H)."""
        return self._embed_prompts(model, prompts).mean(dim=1)

    def similarity(self, images: Tensor, texts: Tensor) -> Tensor:
        """Logit of each text being of each image: (N, H) and (M, H) -> (N, M)."""
        few = max(1, _NUMBERS // max(1, texts.numel()))
        return torch.cat([self._judge(part[:, None], texts) for part in torch.split(images, few)])


def false_partners(rows: Tensor) -> Tensor:
    """Draw for each sample another one of the batch, all others with the same chance.

    The draws depend on which rows the batch of all ranks holds, and so on (seed, epoch, batch); not on the order, which
    differs with the number of ranks.

    Args:
        rows: (N,) the samples' rows in their manifest, N at least 2.

    Returns:
        (N,) place of the other sample in the batch.
    """
    known = rows.cpu().numpy()
    order = np.argsort(known, kind="stable")
    draws = np.random.default_rng(known[order].tolist()).integers(1, len(known), len(known))
    partners = np.empty_like(order)
    partners[order] = order[(np.arange(len(known)) + draws) % len(known)]
    return torch.from_numpy(partners).to(rows.device)
