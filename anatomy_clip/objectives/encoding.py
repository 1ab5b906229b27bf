"""Ways to embed a batch that give the same embeddings and gradients for less time or memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from anatomy_clip.models.image_text import ImageTextModel

Encoder = Callable[[Tensor], Tensor]


def in_chunks(encode: Encoder, inputs: Tensor, size: int | None) -> Tensor:
    """Embed a batch chunk by chunk, so that the activations of one chunk alone are ever held.

    The first pass keeps the embeddings only; the loss over the whole batch gives each its gradient; the backward pass
    embeds one chunk after the other again, with the same random draws. Source: Gao et al. 2021, "Scaling Deep
    Contrastive Learning Batch Size under Memory Limited Setup" (gradient cache). The chunks share one graph, in which
    each weight is met once: so DistributedDataParallel works as ever.

    Args:
        encode: from (C, ...) to (C, D); row n of its result depends on row n of its input alone.
        inputs: (B, ...).
        size: C, most rows of a chunk; None or at least B: the plain computation.

    Returns:
        (B, D).
    """
    if size is None or len(inputs) <= size:
        return encode(inputs)
    parts: list[Tensor] = [checkpoint(encode, part, use_reentrant=False) for part in torch.split(inputs, size)]
    return torch.cat(parts)  # (B, D)


def refuse_batch_statistics(model: nn.Module) -> None:
    """Refuse a model of which one row's embedding depends on the others.

    Raises:
        ValueError: a BatchNorm layer is in training mode.
    """
    if any(isinstance(module, _BatchNorm) and module.training for module in model.modules()):
        raise ValueError(
            "objective.chunk_size: the model has BatchNorm layers, and their statistics would be those of a chunk, "
            "not of the batch; set it to null, freeze that tower, or use a transformer"
        )


class CaptionCache:
    """Embeddings of captions by a text tower that isn't trained, each computed once in a training.

    Each caption is embedded by itself and at its own length: what comes out depends on nothing but the caption and
    the weights, so a run that goes on from a checkpoint, with an empty cache, gets the same. The cache empties itself
    when a weight is written to or moved, and when the precision changes.

    Args:
        limit: captions kept (2 KB each for an embedding of 512); further ones are computed anew each time.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.misses = 0
        self._kept: dict[bytes, Tensor] = {}
        self._weights: tuple[object, ...] = ()

    def __call__(self, model: ImageTextModel, tokens: Tensor) -> Tensor:
        """Embed (U, L) tokens as (U, D)."""
        weights = _fingerprint(model.towers()["text"])
        if weights != self._weights:
            self._kept, self._weights = {}, weights
        return torch.stack([self._one(model, row) for row in tokens.cpu()]).to(tokens.device)

    @torch.no_grad()
    def _one(self, model: ImageTextModel, row: Tensor) -> Tensor:
        row = row[: model.tokenizer.length(row)]
        key = row.numpy().tobytes()
        if key in self._kept:
            return self._kept[key]
        self.misses += 1
        embedding = model.encode_text(row[None].to(model.mean.device)).joint[0]  # (D,)
        if len(self._kept) < self.limit:
            self._kept[key] = embedding
        return embedding


def _fingerprint(tower: nn.Module) -> tuple[object, ...]:
    # A tensor counts the writes to it: a load of other weights shows, without reading them.
    weights = tuple((weight.data_ptr(), weight._version) for weight in tower.parameters())
    return (torch.is_autocast_enabled("cuda"), torch.is_autocast_enabled("cpu"), *weights)
