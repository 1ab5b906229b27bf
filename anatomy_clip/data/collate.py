"""Samples to a batch: captions become the model's tokens, trimmed to the longest of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch

from anatomy_clip.core.types import Batch
from anatomy_clip.data.dataset import Sample
from anatomy_clip.models.tokenizers import CLIP_TOKENIZER, CONTEXT_LENGTH, Tokenizer, tokenize


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
