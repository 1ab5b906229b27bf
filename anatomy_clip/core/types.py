"""Every tensor that crosses a module border: its name, shape and unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Texts:
    """Texts of one kind of a batch, as tokens; or prompts of classes, with (K, P) in the place of (T,) throughout.

    Attributes:
        ids: (T, L) int64 token ids; L = the longest text of the batch, the others are padded.
        sample: (T,) int64, the sample of the batch that each text belongs to.
        mask: (T, L) bool, true on the text, false on padding. The ids don't say which is which: padding has the id of
            a word in CLIP, and another one in each BERT.
        word: (T, L) int64, number of the word in its text that each token is a part of; -1 for start, end and padding.
            None where the tokenizer can't tell.
    """

    ids: Tensor
    sample: Tensor
    mask: Tensor
    word: Tensor | None = None

    def each(self, change: Callable[[Tensor], Tensor]) -> Texts:
        """The same texts with every tensor changed."""
        word = None if self.word is None else change(self.word)
        return Texts(change(self.ids), change(self.sample), change(self.mask), word)

    def to(self, *args: Any, **kwargs: Any) -> Texts:
        """Move every tensor, as `Tensor.to` does."""
        return self.each(lambda tensor: tensor.to(*args, **kwargs))

    def split(self, size: int) -> list[Texts]:
        """The texts in parts of a size."""
        ids, sample, mask = (torch.split(tensor, size) for tensor in (self.ids, self.sample, self.mask))
        word = [None] * len(ids) if self.word is None else torch.split(self.word, size)
        return [Texts(*part) for part in zip(ids, sample, mask, word, strict=True)]


@dataclass(frozen=True)
class Batch:
    """One batch of images with their texts and labels.

    Attributes:
        images: (V * B, 1, H, W) uint8, grey 0-255, view v of sample b in row v * B + b; made three-channel and
            normalised by the model, on its device.
        texts: kind of text ("caption", "report") -> its texts, the first of every sample before any second one. Kinds
            that the objective doesn't want are left out.
        labels: label space ("organ", "station", "modality"; "finding" of radiographs) -> (B, K) int8 in the space's
            order: 1 shown, 0 not shown, -1 unknown.
        rows: (B,) int64, row of each sample in its manifest.
    """

    images: Tensor
    texts: Mapping[str, Texts]
    labels: Mapping[str, Tensor]
    rows: Tensor

    def to(self, *args: Any, **kwargs: Any) -> Batch:
        """Move every tensor, as `Tensor.to` does."""
        return self._each(lambda tensor: tensor.to(*args, **kwargs))

    def pin_memory(self) -> Batch:
        """Pin every tensor, for the DataLoader's `pin_memory`."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        texts = {kind: one.each(change) for kind, one in self.texts.items()}
        labels = {space: change(values) for space, values in self.labels.items()}
        return Batch(change(self.images), texts, labels, change(self.rows))

    def __len__(self) -> int:
        return int(self.rows.shape[0])

    def views(self) -> tuple[Tensor, ...]:
        """The V views of the samples, each (B, 1, H, W)."""
        return torch.split(self.images, len(self))

    def by_text(self, kind: str) -> list[Batch]:
        """Batches of the same samples, each with one text of a kind a sample."""
        return [replace(self, texts={**self.texts, kind: part}) for part in self.texts[kind].split(len(self))]


@dataclass(frozen=True)
class Wants:
    """What an objective asks of batches and of the model; what isn't wanted is neither loaded nor built.

    Attributes:
        views: image views of a sample, each with its own draws.
        texts: kinds of text.
        joint: whether the towers project into one space (`Features.embedding`).
        classes: whether it is built with the tokens of the class names.
        text_tower: whether a text tower is built for the texts; captioning takes their tokens alone.
        labels: label spaces that it predicts; it is built with their names.
    """

    views: int = 1
    texts: tuple[str, ...] = ()
    joint: bool = False
    classes: bool = False
    text_tower: bool = True
    labels: tuple[str, ...] = ()

    @property
    def compares(self) -> bool:
        """Whether images are compared with texts: then there is a text tower."""
        return bool(self.texts) and self.text_tower


@dataclass(frozen=True)
class Features:
    """What a tower makes of its input.

    Attributes:
        pooled: (B, W) the tower's pooled output, before any projection.
        local: (B, R, W') one vector a patch, region or token, before pooling.
        embedding: (B, D) projected, unit norm; None where the model has no joint projection.
        maps: (B, C, H, W) what each stage of a convolutional image tower gives, finest first; none of other towers.
    """

    pooled: Tensor
    local: Tensor
    embedding: Tensor | None = None
    maps: tuple[Tensor, ...] = ()

    @property
    def joint(self) -> Tensor:
        """The embedding in the joint space, (B, D) unit norm.

        Raises:
            ValueError: the model has none.
        """
        if self.embedding is None:
            raise ValueError("the model has no joint projection, so it can't compare images with texts")
        return self.embedding


@dataclass(frozen=True)
class Losses:
    """What an objective returns.

    Attributes:
        loss: () the value to minimise.
        terms: its named parts and other scalars to log, each () and detached.
    """

    loss: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
