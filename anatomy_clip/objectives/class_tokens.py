"""Class names as captions of their own, learned beside the slices' captions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from anatomy_clip.core.types import Batch, Losses, Wants
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.objectives.base import gather_with_grad
from anatomy_clip.objectives.clip import CLIP
from anatomy_clip.objectives.losses import class_cross_entropy, cosines


class ClassTokens(CLIP):
    """Eq. 1, and each image against the bare names of all organs and of all stations.

    The tokens of the names are learned from every slice that shows them, in place of captions that hide and shuffle
    words: what the paper's conclusion leaves to the future. The classes compete with one another, rare with common,
    which the captions of one batch don't let them do.

    Args:
        model: the model to train.
        classes: label kind ("organ", "station") -> (K, L) tokens of its class names.
        class_weight: weight of the mean cross entropy over label kinds.
        clip: further arguments of `CLIP`.
    """

    wants = Wants(texts=("caption",), joint=True, classes=True)

    def __init__(
        self,
        model: ImageTextModel,
        classes: Mapping[str, Tensor],
        *,
        class_weight: float = 1.0,
        **clip: Any,
    ) -> None:
        super().__init__(model, **clip)
        self.class_weight = class_weight
        self.kinds = tuple(classes)
        for kind, tokens in classes.items():
            self.register_buffer(f"{kind}_tokens", tokens, persistent=False)  # moves with the module

    def _losses(self, image: Tensor, model: ImageTextModel, batch: Batch) -> Losses:
        losses = super()._losses(image, model, batch)
        terms = []
        for kind in self.kinds:
            names = model.encode_text(getattr(self, f"{kind}_tokens")).joint  # (K, D)
            labels = gather_with_grad(batch.labels[kind])  # (N, K)
            terms.append(class_cross_entropy(cosines(image, names, self.logit_scale.exp()), labels))
        term = sum(terms[1:], start=terms[0]) / len(terms)
        return Losses(losses.loss + self.class_weight * term, {**losses.terms, "image_to_class": term.detach()})
