"""Losses: pure functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax


def cosines(a: Tensor, b: Tensor, scale: Tensor | float = 1.0) -> Tensor:
    """Cosines of all pairs of two sets of embeddings, in float32 or finer, under autocast too.

    bf16 holds 8 bits: a logit of 100 would be a multiple of 0.5, and many cosines the same.

    Args:
        a: (N, D) unit norm.
        b: (M, D) unit norm.
        scale: () what they are multiplied by.

    Returns:
        (N, M).
    """
    kept = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    with torch.autocast(a.device.type, enabled=False):
        return scale * a.to(kept) @ b.to(kept).T


def image_text_contrastive(
    image: Tensor, text: Tensor, logit_scale: Tensor, targets: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Score each image against every text and each text against every image (Kakkar et al., eq. 1).

    Args:
        image: (B, D) image embeddings, unit norm.
        text: (B, D) text embeddings, unit norm; row n belongs to image n.
        logit_scale: () inverse temperature, not its log.
        targets: (B, B) the probability wanted of pair m for pair n, rows that sum to 1; None: each its own alone.

    Returns:
        Cross entropy of image to text and of text to image, each () and averaged over the batch.
    """
    logits = cosines(image, text, logit_scale)  # (B, B)
    if targets is None:
        targets = torch.arange(len(image), device=image.device)
    return cross_entropy(logits, targets), cross_entropy(logits.T, targets)


def class_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of each image with the even distribution over the classes that it shows.

    Args:
        logits: (B, K).
        targets: (B, K) 1 shown, 0 not shown, -1 unknown, or bool. A row's unknown classes are left out of its softmax;
            rows that show none don't count.

    Returns:
        () mean over the rows that count; 0 where there is none.
    """
    shown = targets == 1
    counted = shown.any(dim=1)
    wanted = shown.float() / shown.sum(dim=1, keepdim=True).clamp(min=1)
    left_out = (targets < 0) & counted[:, None]  # never a whole row, whose gradient would be NaN
    log_shares = log_softmax(logits.float().masked_fill(left_out, -torch.inf), dim=1).masked_fill(left_out, 0.0)
    each = -(wanted * log_shares).sum(dim=1)  # (B,)
    return each.sum() / counted.sum().clamp(min=1)
