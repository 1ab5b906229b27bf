"""Supervised on exclusive classes: a film shows one of them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from anatomy_clip.core.types import Wants
from anatomy_clip.objectives.base import gather, share_of_mean
from anatomy_clip.objectives.supervised import Supervised


class SupervisedClasses(Supervised):
    """Tells exclusive classes apart by a linear head and a softmax; a film without a class has no part in the loss."""

    wants = Wants(labels=("class",))

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Average the cross entropy over the films of each class, of all ranks, and then over the classes there.

        So all classes weigh the same, however many films of a batch show each, as in the accuracy.

        Args:
            logits: (B, C).
            labels: (B, C) 1 of a film's class, 0 of others, -1 where it has none.
        """
        shown = (labels == 1).to(logits.dtype)  # (B, C)
        each = cross_entropy(logits, shown.argmax(dim=1), reduction="none")  # (B,)
        totals, counts = each @ shown, shown.sum(dim=0)  # (C,) both
        classes = (gather(counts[None]).sum(dim=0) > 0).sum()
        means = [share_of_mean(total, count) for total, count in zip(totals, counts, strict=True)]
        return torch.stack(means).sum() / classes.clamp(min=1)
