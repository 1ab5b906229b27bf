"""Supervised: findings that labels state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from anatomy_clip.core.types import Batch, Losses, Wants
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.objectives.base import Objective, share_of_mean


class Supervised(Objective):
    """Predicts all findings at once by a linear head; unknown labels have no part in the loss.

    Args:
        model: the model to train.
        label_names: label space ("finding") -> its F names.
    """

    wants = Wants(labels=("finding",))

    def __init__(self, model: ImageTextModel, label_names: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self.head = nn.Linear(model.image.width, len(label_names["finding"]))

    def forward(self, model: ImageTextModel, batch: Batch) -> Losses:
        """Average the binary cross entropy over the known labels of all ranks."""
        logits: Tensor = self.head(model.encode_image(batch.images).pooled)  # (B, F)
        labels = batch.labels["finding"]  # (B, F)
        known = labels >= 0
        total = binary_cross_entropy_with_logits(logits[known], labels[known].to(logits.dtype), reduction="sum")
        return Losses(share_of_mean(total, known.sum()))
