"""The contract of an objective, and what all of them share."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from anatomy_clip.core.types import Batch, Features, Losses, Texts, Wants
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.objectives.losses import cosines


class Objective(nn.Module):
    """Joins a model's outputs to losses; owns its temperature, heads, queue and momentum encoder.

    What it owns are modules, parameters and buffers of it, and stand in `last.ckpt` under `objective.*`. It is built
    with the model, with the tokens of the class names (`classes`) and with the names of labels (`label_names`) where it
    wants them.

    Attributes:
        wants: what it asks of batches and of the model.
    """

    wants: ClassVar[Wants]

    @property
    def compares(self) -> bool:
        """Whether it compares images with texts."""
        return self.wants.compares

    @property
    def predicts(self) -> bool:
        """Whether it scores labels by a head of its own."""
        return bool(self.wants.labels)

    def setup(self, model: ImageTextModel) -> None:
        """Do what must wait until layers are frozen or adapted, such as to copy an encoder; called once."""

    def forward(self, model: ImageTextModel, batch: Batch) -> Losses:
        """Compute the loss of one batch; of the state, this changes norm statistics and pending keys only."""
        raise NotImplementedError

    def after_optimizer_step(self, model: ImageTextModel) -> None:
        """Do what follows a step of the optimiser: clamp a temperature, move a momentum encoder, fill a queue."""

    def scores(self, pooled: Tensor) -> Tensor:
        """Logits of the labels that it predicts: pooled features of images (B, W) -> (B, K).

        Raises:
            ValueError: the method predicts none.
        """
        raise ValueError(f"{type(self).__name__} has no head that scores labels")

    def embed_images(self, features: Features) -> Tensor:
        """Image features where they can be compared with texts: (B, D) unit norm, as here, or other rows.

        Raises:
            ValueError: the method compares no images with texts.
        """
        return features.joint

    def embed_texts(self, features: Features, texts: Texts) -> Tensor:
        """Text features where they can be compared with images: (T, D) unit norm, as here, or other rows.

        Args:
            features: what the text tower made of the texts.
            texts: their tokens, for a method that compares them word by word.

        Raises:
            ValueError: the method compares no images with texts.
        """
        return features.joint

    def embed_classes(self, model: ImageTextModel, prompts: Texts) -> Tensor:
        """Embed one class a row from its prompts: mean of unit-norm embeddings, made unit norm again.

        Args:
            model: the model that was trained.
            prompts: P prompts for each of K classes, see `tokenize_classes`.

        Returns:
            (K, D) unit norm. Source: Radford et al. 2021, section 3.1.4 (prompt ensembling).
        """
        return normalize(self._embed_prompts(model, prompts).mean(dim=1), dim=-1)

    def _embed_prompts(self, model: ImageTextModel, prompts: Texts) -> Tensor:
        """Embed each prompt of classes: (K, P, D), or other rows."""
        texts = prompts.each(lambda tensor: tensor.flatten(0, 1))
        rows = self.embed_texts(model.encode_text(texts.ids), texts)
        return rows.reshape(*prompts.sample.shape, *rows.shape[1:])

    def similarity(self, images: Tensor, texts: Tensor) -> Tensor:
        """How well texts fit images: what N images and M texts or classes were embedded as -> (N, M), here cosines."""
        return cosines(images, texts)

    def similarities(self, images: Tensor, texts: Tensor) -> dict[str, Tensor]:
        """The same by each way to compare that the method has, that of `similarity` last; most have this one alone."""
        return {"global": self.similarity(images, texts)}

    def word_attention(self, images: Tensor, texts: Tensor) -> Tensor | None:
        """Attention of the words of each text over the regions of its own image; None, as here: the method has none.

        Args:
            images: (N, ...) as `embed_images` gives them.
            texts: (N, ...) as `embed_texts` gives them.

        Returns:
            (N, T, R), padding's words after the text's own; regions are row by row of a square image.
        """
        return None


def refuse_a_batch_of_one(batch: Batch) -> None:
    """Refuse to tell a sample from others where all ranks together have none: the loss would be 0, without gradient.

    Raises:
        ValueError: there is one sample.
    """
    if len(batch) * _ranks() == 1:
        raise ValueError(
            "data.batch_size: a batch of one sample has no other sample to compare it with; "
            "set data.batch_size to 2 or more"
        )


def _ranks() -> int:
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if distributed else 1


def gather_with_grad(x: Tensor) -> Tensor:
    """Join the rows of all ranks, in rank order, and let gradients flow back to each rank's own rows.

    Args:
        x: (B, ...) with the same B on every rank.

    Returns:
        (world size * B, ...); x itself where there is one process.
    """
    if _ranks() == 1:
        return x
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(x), dim=0)  # type: ignore[no-untyped-call]


@torch.no_grad()
def gather(x: Tensor) -> Tensor:
    """Join the rows of all ranks, in rank order, without gradients: (B, ...) -> (world size * B, ...)."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return x
    parts = [torch.empty_like(x) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(parts, x.contiguous())
    return torch.cat(parts)


def share_of_mean(total: Tensor, count: Tensor) -> Tensor:
    """This rank's share of a mean over the items of all ranks, of which each rank may have another number.

    Args:
        total: () sum over this rank's items.
        count: () how many they are.

    Returns:
        () total by the mean count of the ranks, so that the mean of all shares is the mean over all items; 0 where no
        rank has any.
    """
    counts = gather(count.reshape(1)).to(total.dtype)
    return total / counts.mean().clamp(min=1 / len(counts))
