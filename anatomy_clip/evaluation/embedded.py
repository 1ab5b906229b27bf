"""Images and texts as evaluators see them: embedded once, beside what they show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.types import Batch
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.models.tokenizers import tokenize_classes, tokenize_texts
from anatomy_clip.objectives.base import Objective
from anatomy_clip.text.reports.sentences import cut_at_sentence

_TEXTS_AT_ONCE = 256


@dataclass(frozen=True)
class EmbeddedSet:
    """A named set of slices, or of radiographs, after the image tower.

    Attributes:
        pooled: (N, W) what the encoder pools, before any projection or head; on the device of the model.
        embeddings: (N, D) unit norm, or other rows, where they can be compared with texts; None for a method that
            compares none.
        labels: label space -> (N, K) int8, 1 shown, 0 not shown, -1 unknown.
        rows: the row of each slice in `manifest`.
        manifest: the records.
    """

    pooled: Tensor
    embeddings: Tensor | None
    labels: Mapping[str, NDArray[np.int8]]
    rows: tuple[int, ...]
    manifest: Manifest[Any]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def records(self) -> Manifest[Any]:
        """The record of each slice."""
        return self.manifest.take(self.rows)

    @property
    def compared(self) -> Tensor:
        """`embeddings`, for evaluators that compare with texts.

        Raises:
            ValueError: the method compares none.
        """
        if self.embeddings is None:
            raise ValueError("the method does not compare images with texts")
        return self.embeddings

    def split(self, size: int) -> Iterator[EmbeddedSet]:
        """Parts of at most `size` slices, for scores that would not fit in memory all at once."""
        for n in range(0, len(self), size):
            part = slice(n, n + size)
            embeddings = None if self.embeddings is None else self.embeddings[part]
            labels = {space: values[part] for space, values in self.labels.items()}
            yield EmbeddedSet(self.pooled[part], embeddings, labels, self.rows[part], self.manifest)


@torch.inference_mode()
def embed_sets(
    model: ImageTextModel,
    objective: Objective,
    loaders: Mapping[str, tuple[Iterable[Batch], Manifest[Any]]],
    device: str | torch.device = "cpu",
) -> dict[str, EmbeddedSet]:
    """Embed every slice of the named sets.

    Args:
        model: the model to test; it is moved to the device and left in evaluation mode, as the objective is.
        objective: what the model was trained by.
        loaders: set name -> (loader of `Batch`, the manifest that its rows point into).
        device: where the model runs.

    Raises:
        ValueError: a set without slices.
    """
    model, objective = model.to(device).eval(), objective.to(device).eval()
    return {name: _embed_set(name, model, objective, *pair, device) for name, pair in loaders.items()}


@torch.inference_mode()
def embed_texts(
    model: ImageTextModel,
    objective: Objective,
    texts: Sequence[str],
    device: str | torch.device = "cpu",
    *,
    cut: bool = False,
) -> Tensor:
    """Embed texts: C texts -> (C, D) float32 unit norm, or other rows, on the device; see `TestedRun`."""
    if cut:
        texts = [
            cut_at_sentence(text, lambda t: len(model.tokenizer.encode(t)), model.context_length) for text in texts
        ]
    parts = [texts[n : n + _TEXTS_AT_ONCE] for n in range(0, len(texts), _TEXTS_AT_ONCE)] or [[""]]
    tokens = [tokenize_texts(part, model.context_length, model.tokenizer).to(device) for part in parts]
    return torch.cat([objective.embed_texts(model.encode_text(t.ids), t).float() for t in tokens])[: len(texts)]


@torch.inference_mode()
def embed_classes(
    model: ImageTextModel, objective: Objective, prompts: Sequence[Sequence[str]], device: str | torch.device = "cpu"
) -> Tensor:
    """Embed classes by their prompts: K classes of T texts -> (K, D) unit norm, on the device."""
    tokens = tokenize_classes(prompts, model.context_length, model.tokenizer)
    return objective.embed_classes(model, tokens.to(device))


@torch.inference_mode()
def compare(objective: Objective, images: Tensor, texts: Tensor) -> dict[str, NDArray[np.float64]]:
    """How well embedded texts fit embedded images, by each way to compare that the method has: (N, M) each."""
    found = objective.similarities(images, texts)
    return {way: np.asarray(scores.cpu().numpy(), np.float64) for way, scores in found.items()}


@torch.inference_mode()
def head_scores(objective: Objective, pooled: Tensor) -> NDArray[np.float64]:
    """The logits of the objective's head: (N, W) pooled features -> (N, K)."""
    return np.asarray(objective.scores(pooled).cpu().numpy(), np.float64)


def _embed_set(
    name: str,
    model: ImageTextModel,
    objective: Objective,
    batches: Iterable[Batch],
    manifest: Manifest[Any],
    device: str | torch.device,
) -> EmbeddedSet:
    pooled: list[Tensor] = []
    embeddings: list[Tensor] = []
    labels: list[Mapping[str, Tensor]] = []
    rows: list[int] = []
    for batch in batches:
        features = model.encode_image(batch.images.to(device))
        pooled.append(features.pooled)
        if objective.compares:
            embeddings.append(objective.embed_images(features))
        labels.append(batch.labels)
        rows += batch.rows.tolist()
    if not rows:
        raise ValueError(f"set {name}: there is no slice to test on; prepare its data again, or leave it out")
    joined = {space: torch.cat([one[space] for one in labels]).numpy() for space in labels[0]}
    compared = torch.cat(embeddings) if embeddings else None
    return EmbeddedSet(torch.cat(pooled), compared, joined, tuple(rows), manifest)
