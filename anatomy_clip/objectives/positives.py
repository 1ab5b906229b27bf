"""Which texts of a batch count as right for an image, beside its own."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from anatomy_clip.core.types import Batch, Texts
from anatomy_clip.objectives.base import gather_with_grad

_BASE = 1_000_003  # of the polynomial that a caption's tokens are hashed by, modulo 2**64


class Positives(Protocol):
    """Says which pairs of the batch are right answers for each other, and how much."""

    def __call__(self, batch: Batch) -> Tensor:
        """Make the targets of all pairs of the batch of all ranks.

        Returns:
            (N, N) float, N = rows of all ranks; rows sum to 1; the same for image to text and text to image.
        """
        ...


class SameCaption:
    """Slices with the very same caption are each other's positives, not negatives.

    Templates repeat captions within a batch; eq. 1 would push an image away from a caption that is right for it.
    Source: Khosla et al. 2020, "Supervised Contrastive Learning", eq. 2 (several positives, averaged outside the log).
    """

    def __call__(self, batch: Batch) -> Tensor:
        """An equal weight for each row with the same caption."""
        captions = gather_with_grad(_hash(batch.texts["caption"]))
        return _rows_to_1((captions[:, None] == captions).float())


class SharedLabels:
    """Soft targets: a part of each image's weight goes to texts of slices that show much the same.

    Source: Yang et al. 2022, "Unified Contrastive Learning in Image-Text-Label Space" (labels decide the targets),
    softened as in Wang et al. 2022, "MedCLIP", eq. 3 (similarity of labels in place of equality).

    Args:
        share: weight that goes to the others, 0 to 1; it's shared out by the Jaccard index of the two label sets
            (organs, stations, modality), over the labels that are known of both.

    Raises:
        ValueError: `share` isn't between 0 and 1.
    """

    def __init__(self, share: float) -> None:
        if not 0.0 <= share < 1.0:
            raise ValueError(f"objective.positives.share={share}: give a number from 0 to below 1")
        self.share = share

    def __call__(self, batch: Batch) -> Tensor:
        """`1 - share` for the row itself, and `share` over all rows by their labels' likeness."""
        spaces = [batch.labels[space] for space in ("organ", "station", "modality")]
        labels = gather_with_grad(torch.cat(spaces, dim=1))  # (N, K + S + 2) 1, 0 or -1
        shown, known = (labels == 1).float(), (labels >= 0).float()
        both = (shown @ shown.T).float()  # (N, N); float32 under autocast too, as the quotient isn't whole
        size = (shown @ known.T).float()  # (N, N) labels that row n shows, of those known of row m
        likeness = both / (size + size.T - both)  # never 0 / 0: each slice has a modality
        own = torch.eye(len(labels), device=labels.device)
        return (1 - self.share) * own + self.share * _rows_to_1(likeness)


def _rows_to_1(weights: Tensor) -> Tensor:
    return weights / weights.sum(dim=1, keepdim=True)


def _hash(texts: Texts) -> Tensor:
    """B texts -> (B,) int64, equal for equal texts whatever the padding, its id included."""
    powers = torch.ones(texts.ids.shape[1], dtype=torch.int64, device=texts.ids.device)
    powers[1:] = _BASE
    # 1 more than the id, so that no token adds nothing, as padding does; wraps round.
    return ((texts.ids.long() + 1) * texts.mask * powers.cumprod(dim=0)).sum(dim=1)
