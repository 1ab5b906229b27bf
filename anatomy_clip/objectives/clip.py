"""Objectives on pairs of an image and its text."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from anatomy_clip.core.types import Batch, Losses, Wants
from anatomy_clip.models.adapt.freeze import is_frozen
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.objectives.base import Objective, gather_with_grad, refuse_a_batch_of_one
from anatomy_clip.objectives.encoding import CaptionCache, in_chunks, refuse_batch_statistics
from anatomy_clip.objectives.losses import image_text_contrastive
from anatomy_clip.objectives.positives import Positives


class CLIP(Objective):
    """Contrastive language-image pretraining (Kakkar et al., eq. 1; Radford et al. 2021, figure 3).

    Where a batch has several captions a slice, the loss is the mean of eq. 1 over the first of each slice, the second
    of each, and so on: the same in expectation as with one, with less of the draw's noise in its gradients.

    Args:
        model: the model to train; its weights' temperature is the starting point.
        image_weight: weight of the image-to-text term; the paper has 0.5.
        text_weight: weight of the text-to-image term; the paper has 0.5.
        max_logit_scale: the inverse temperature is kept in [1, max_logit_scale]; open_clip has 100.
        chunk_size: rows whose activations are held at once, see `encoding.in_chunks`; None: the whole batch.
        cached_captions: captions whose embeddings are kept where the whole text tower is frozen; 0 keeps none.
        positives: which other pairs of the batch are right answers too; None: none, as in the paper.

    Raises:
        ValueError: `chunk_size` is less than 1, or, with the first batch, the model doesn't allow chunks or
            the batch holds one sample.
    """

    wants = Wants(texts=("caption",), joint=True)

    def __init__(
        self,
        model: ImageTextModel,
        image_weight: float = 0.5,
        text_weight: float = 0.5,
        max_logit_scale: float = 100.0,
        chunk_size: int | None = None,
        cached_captions: int = 0,
        positives: Positives | None = None,
    ) -> None:
        super().__init__()
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"objective.chunk_size={chunk_size} must be 1 or more, or null for no chunks")
        self.image_weight = image_weight
        self.text_weight = text_weight
        self.max_logit_scale = max_logit_scale
        self.chunk_size = chunk_size
        self.captions = CaptionCache(cached_captions)
        self.positives = positives
        self.logit_scale = nn.Parameter(torch.tensor(model.initial_logit_scale))

    def forward(self, model: ImageTextModel, batch: Batch) -> Losses:
        """Compute the weighted sum of both directions over the batch of all ranks."""
        refuse_a_batch_of_one(batch)
        if self.chunk_size is not None:
            refuse_batch_statistics(model)
        own = in_chunks(lambda x: model.encode_image(x).joint, batch.images, self.chunk_size)
        return self._losses(gather_with_grad(own), model, batch)

    def _losses(self, image: Tensor, model: ImageTextModel, batch: Batch) -> Losses:
        """Compare the image embeddings of all ranks, (N, D), with the texts of all ranks."""
        own = torch.split(self._encode_texts(model, batch.texts["caption"].ids), len(batch))  # V of (B, D)
        texts = gather_with_grad(torch.stack(own, dim=1))  # (N, V, D): one exchange between ranks for all of them
        scale = self.logit_scale.exp()
        each = []
        for text, one in zip(texts.unbind(dim=1), batch.by_text("caption"), strict=True):
            targets = None if self.positives is None else self.positives(one)
            each.append(torch.stack(image_text_contrastive(image, text, scale, targets)))
        image_term, text_term = torch.stack(each).mean(dim=0)
        terms = {"image_to_text": image_term, "text_to_image": text_term, "logit_scale": scale}
        loss = self.image_weight * image_term + self.text_weight * text_term
        return Losses(loss, {name: value.detach() for name, value in terms.items()})

    def _encode_texts(self, model: ImageTextModel, tokens: Tensor) -> Tensor:
        """Embed (N, L) tokens as (N, D): each distinct caption once, since template captions repeat within a batch.

        The gradients of its copies add up all the same.
        """
        distinct: Tensor
        row: Tensor
        distinct, row = torch.unique(tokens, dim=0, return_inverse=True)  # (U, L), (N,)
        if self.captions.limit and is_frozen(model.towers()["text"]):
            return self.captions(model, distinct)[row]
        return in_chunks(lambda x: model.encode_text(x).joint, distinct, self.chunk_size)[row]

    @torch.no_grad()
    def after_optimizer_step(self, model: ImageTextModel) -> None:
        """Clamp the temperature."""
        self.logit_scale.clamp_(0.0, math.log(self.max_logit_scale))
