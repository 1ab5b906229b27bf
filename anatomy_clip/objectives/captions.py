"""What methods share that learn by writing a report, one token after the other."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from anatomy_clip.core.types import Batch, Texts, Wants
from anatomy_clip.objectives.base import share_of_mean

WANTS = Wants(texts=("report",), text_tower=False)


class Written(NamedTuple):
    """Reports as a writer sees them: what is read at each place, and what comes next.

    Attributes:
        read: (B, L) ids, from the start token on.
        next: (B, L) ids, the last one the end token.
        counted: (B, L) bool, false where `next` is padding.
    """

    read: Tensor
    next: Tensor
    counted: Tensor


def written(texts: Texts) -> Written:
    """Shift texts by one token: the true tokens before each are given, whatever was guessed (teacher forcing)."""
    return Written(texts.ids[:, :-1], texts.ids[:, 1:], texts.mask[:, 1:])


def backwards(texts: Texts) -> Texts:
    """The same texts from their ends to their starts; padding stays behind."""
    length = texts.mask.sum(dim=1, keepdim=True)  # (T, 1)
    place = torch.arange(texts.ids.shape[1], device=length.device)
    source = torch.where(place < length, length - 1 - place, place)  # (T, L)
    return Texts(texts.ids.gather(1, source), texts.sample, texts.mask)


def first_reports(batch: Batch) -> Texts:
    """The first report of every sample."""
    return batch.by_text("report")[0].texts["report"]


def token_cross_entropy(logits: Tensor, reports: Written) -> Tensor:
    """Mean cross entropy over the tokens of all ranks, as this rank's share of it.

    Args:
        logits: (K, ids) of the K tokens that count.
        reports: what was written.
    """
    right = reports.next[reports.counted]  # (K,)
    return share_of_mean(cross_entropy(logits, right, reduction="sum"), reports.counted.sum())
