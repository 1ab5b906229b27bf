"""Samples to a batch: texts become the model's tokens, trimmed to the longest of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
import torch

from anatomy_clip.core.types import Batch, Texts
from anatomy_clip.data.dataset import Sample
from anatomy_clip.models.tokenizers import CLIP_TOKENIZER, CONTEXT_LENGTH, Tokenizer, tokenize_texts
from anatomy_clip.text.reports.sentences import cut_at_sentence
from anatomy_clip.text.source import REPORT


class Collate:
    """Joins samples into a `Batch`; a report longer than the context is cut at a sentence's end.

    Args:
        context_length: see `tokenize`.
        tokenizer: see `tokenize`.
    """

    def __init__(self, context_length: int = CONTEXT_LENGTH, tokenizer: Tokenizer = CLIP_TOKENIZER) -> None:
        self.context_length = context_length
        self.tokenizer = tokenizer

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """Stack views, labels and rows; tokenise texts, the first of every sample before any second one."""
        images = np.stack([sample.images for sample in samples], axis=1)  # (V, B, H, W)
        first = samples[0]
        return Batch(
            images=torch.from_numpy(images.reshape(-1, 1, *images.shape[2:])),  # (V * B, 1, H, W)
            texts={kind: self._texts(kind, [sample.texts[kind] for sample in samples]) for kind in first.texts},
            labels={space: torch.from_numpy(np.stack([s.labels[space] for s in samples])) for space in first.labels},
            rows=torch.tensor([sample.row for sample in samples], dtype=torch.int64),
        )

    def _texts(self, kind: str, texts: Sequence[tuple[str, ...]]) -> Texts:
        flat = list(chain.from_iterable(zip(*texts, strict=True)))
        if kind == REPORT:
            flat = [cut_at_sentence(text, self.count, self.context_length) for text in flat]
        tokens = tokenize_texts(flat, self.context_length, self.tokenizer)
        return replace(tokens, sample=torch.arange(len(texts)).repeat(len(texts[0])))

    def count(self, text: str) -> int:
        """Tokens of a text, start and end counted."""
        return len(self.tokenizer.encode(text))
