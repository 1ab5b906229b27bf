"""Losses: pure functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def image_text_contrastive(image: Tensor, text: Tensor, logit_scale: Tensor) -> tuple[Tensor, Tensor]:
    """Score each image against every text and each text against every image (Kakkar et al., eq. 1).

    Args:
        image: (B, D) image embeddings, unit norm.
        text: (B, D) text embeddings, unit norm; row n belongs to image n.
        logit_scale: () inverse temperature, not its log.

    Returns:
        Cross entropy of image to text and of text to image, each () and averaged over the batch.
    """
    logits = logit_scale * image @ text.T  # (B, B)
    target = torch.arange(len(image), device=image.device)
    return cross_entropy(logits, target), cross_entropy(logits.T, target)
