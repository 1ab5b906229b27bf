"""Samples to a batch: captions become CLIP tokens, trimmed to the longest of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anatomy_clip.data.dataset import Sample
from anatomy_clip.types import Batch

CONTEXT_LENGTH = 77
_CACHED_CAPTIONS = 100_000


def tokenize(texts: Sequence[str], context_length: int = CONTEXT_LENGTH, *, trim: bool = True) -> Tensor:
    """Turn texts into CLIP's byte-pair tokens: start, words, end, zeros.

    Args:
        texts: N texts.
        context_length: most tokens that the model's text tower takes, start and end counted.
        trim: only as many columns as the longest text needs; else `context_length`.

    Returns:
        (N, L) int64.

    Raises:
        ValueError: a text is longer than the context; a caption is never cut.
    """
    rows = [_encode(text) for text in texts]
    for text, row in zip(texts, rows, strict=True):
        if len(row) > context_length:
            raise ValueError(
                f"caption of {len(row)} tokens is longer than the model's context of {context_length}: "
                f"{text!r}; shorten the templates or the caption, it is never cut"
            )
    length = max(map(len, rows), default=0) if trim else context_length
    tokens = torch.zeros(len(rows), length, dtype=torch.int64)
    for n, row in enumerate(rows):
        tokens[n, : len(row)] = torch.tensor(row)
    return tokens


class Collate:
    """Joins samples into a `Batch`.

    Args:
        context_length: see `tokenize`.
    """

    def __init__(self, context_length: int = CONTEXT_LENGTH) -> None:
        self.context_length = context_length

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """Stack images, labels and rows; tokenise captions."""
        return Batch(
            images=torch.from_numpy(np.stack([s.image for s in samples])[:, None]),  # (B, 1, H, W)
            tokens=tokenize([s.caption for s in samples], self.context_length),
            organs=torch.from_numpy(np.stack([s.organs for s in samples])),
            stations=torch.from_numpy(np.stack([s.stations for s in samples])),
            modalities=torch.tensor([s.modality for s in samples], dtype=torch.int64),
            rows=torch.tensor([s.row for s in samples], dtype=torch.int64),
        )


@lru_cache(maxsize=1)
def tokenizer() -> Any:
    """Load CLIP's tokenizer once (seconds); call it before workers fork, so that they share it."""
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


@lru_cache(maxsize=_CACHED_CAPTIONS)
def _encode(text: str) -> tuple[int, ...]:
    clip = tokenizer()
    return (clip.sot_token_id, *clip.encode(text), clip.eot_token_id)
