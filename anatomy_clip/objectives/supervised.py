"""Supervised: findings that labels state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from anatomy_clip.core.types import Batch, Losses, Wants
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.objectives.base import Objective, share_of_mean


class Supervised(Objective):
    """Predicts all labels at once by a linear head on pooled features; unknown labels have no part in the loss.

    Args:
        model: the model to train.
        label_names: label space ("finding") -> its K names.
    """

    wants = Wants(labels=("finding",))

    def __init__(self, model: ImageTextModel, label_names: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        [names] = label_names.values()
        self.head = nn.Linear(model.image.width, len(names))

    def scores(self, pooled: Tensor) -> Tensor:
        """See `Objective.scores`."""
        logits: Tensor = self.head(pooled)
        return logits

    def forward(self, model: ImageTextModel, batch: Batch) -> Losses:
        """Compare the scores of one batch with its labels."""
        [space] = self.wants.labels
        return Losses(self.loss(self.scores(model.encode_image(batch.images).pooled), batch.labels[space]))

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Average the binary cross entropy over the known labels of all ranks: (B, K) and (B, K) -> ()."""
        known = labels >= 0
        total = binary_cross_entropy_with_logits(logits[known], labels[known].to(logits.dtype), reduction="sum")
        return share_of_mean(total, known.sum())
