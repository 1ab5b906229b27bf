"""A run as evaluators see it, made by hand: no model, no stores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import normalize

from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.evaluation.embedded import EmbeddedSet


@dataclass
class FakeRun:
    """Sets by role and name, and a function from texts to (C, D) unit norm."""

    roles: Mapping[str, Mapping[str, EmbeddedSet]]
    embed_texts: Callable[[Sequence[str]], torch.Tensor] | None = None
    records: Sequence[SliceRecord] = ()
    seed: int = 0
    logit_scale: float = 0.0

    def training_records(self):
        return self.records

    def sets(self, role):
        return self.roles[role]

    def compare(self, images, texts):
        return {"global": (images @ texts.T).double().numpy()}

    def embed_classes(self, prompts):
        return normalize(torch.stack([self.embed_texts(row).mean(dim=0) for row in prompts]), dim=-1)


class OwnWay(FakeRun):
    """A run of a method that has cosines and a way of its own, by which the least alike fit best."""

    def compare(self, images, texts):
        return {"global": super().compare(images, texts)["global"], "own": -super().compare(images, texts)["global"]}


def embedded(features, records, rows=None, **labels):
    """Slices with (N, W) pooled features, which made unit norm are their embeddings, and (N, K) labels by space."""
    pooled = torch.as_tensor(features).float()
    shown = {space: np.asarray(values).astype(np.int8) for space, values in labels.items()}
    rows = tuple(range(len(records)) if rows is None else rows)
    return EmbeddedSet(pooled, normalize(pooled, dim=-1), shown, rows, Manifest(records))
