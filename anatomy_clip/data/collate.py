"""Samples to a batch: captions become the model's tokens, trimmed to the longest of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from anatomy_clip.data.dataset import Sample
from anatomy_clip.models.tokenizers import ClipTokenizer, Tokenizer
from anatomy_clip.types import Batch

CONTEXT_LENGTH = 77
CLIP_TOKENIZER = ClipTokenizer()


def tokenize(
    texts: Sequence[str],
    context_length: int = CONTEXT_LENGTH,
    tokenizer: Tokenizer = CLIP_TOKENIZER,
    *,
    trim: bool = True,
) -> Tensor:
    """Turn texts into a model's tokens: start, words, end, padding.

    Args:
        texts: N texts.
        context_length: most tokens that the model's text tower takes, start and end counted.
        tokenizer: the model's own, `ImageTextModel.tokenizer`.
        trim: only as many columns as the longest text needs; else `context_length`.

    Returns:
        (N, L) int64.

    Raises:
        ValueError: a text is longer than the context; a caption is never cut.
    """
    encode = tokenizer.encode
    rows = [encode(text) for text in texts]
    for text, row in zip(texts, rows, strict=True):
        if len(row) > context_length:
            raise ValueError(
                f"caption of {len(row)} tokens is longer than the model's context of {context_length}: "
                f"{text!r}; shorten the templates or the caption, it is never cut"
            )
    length = max(map(len, rows), default=0) if trim else context_length
    tokens = np.full((len(rows), length), tokenizer.pad, dtype=np.int64)  # ten times quicker than a tensor a row
    for n, row in enumerate(rows):
        tokens[n, : len(row)] = row
    return torch.from_numpy(tokens)


def tokenize_classes(prompts: Sequence[Sequence[str]], context_length: int, tokenizer: Tokenizer) -> Tensor:
    """Turn the prompts of classes into tokens.

    Args:
        prompts: K classes of T texts each.
        context_length: see `tokenize`.
        tokenizer: see `tokenize`.

    Returns:
        (K, T, L) int64.
    """
    flat = tokenize([text for texts in prompts for text in texts], context_length, tokenizer)
    return flat.reshape(len(prompts), len(prompts[0]), -1)


class Collate:
    """Joins samples into a `Batch`.

    Args:
        context_length: see `tokenize`.
        tokenizer: see `tokenize`.
    """

    def __init__(self, context_length: int = CONTEXT_LENGTH, tokenizer: Tokenizer = CLIP_TOKENIZER) -> None:
        self.context_length = context_length
        self.tokenizer = tokenizer

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """Stack images, labels and rows; tokenise captions, the first of every slice before any second one."""
        captions = list(chain.from_iterable(zip(*(s.captions for s in samples), strict=True)))
        return Batch(
            images=torch.from_numpy(np.stack([s.image for s in samples])[:, None]),  # (B, 1, H, W)
            tokens=tokenize(captions, self.context_length, self.tokenizer),  # (V * B, L)
            organs=torch.from_numpy(np.stack([s.organs for s in samples])),
            stations=torch.from_numpy(np.stack([s.stations for s in samples])),
            modalities=torch.tensor([s.modality for s in samples], dtype=torch.int64),
            rows=torch.tensor([s.row for s in samples], dtype=torch.int64),
        )
