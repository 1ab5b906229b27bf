"""Metrics that accumulate over batches and synchronise over ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor
from torch.nn.functional import normalize
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from anatomy_clip.metrics.classification import hit_at_1


class ZeroShotMetric(Metric):
    """Hit@1 (eq. 4) and one-vs-rest AUROC per label, over all batches and ranks.

    Raw scores are kept, since an AUROC can't be averaged over batches. Where ranks are padded to equal
    length, the padding must not be given to `update`.

    Attributes:
        labels: (K) label names, in the order of the score columns.

    >>> metric = ZeroShotMetric(["liver", "brain"])
    >>> metric.update(torch.tensor([[0.7, 0.3], [0.6, 0.4]]), torch.tensor([[1, 0], [0, 1]]))
    >>> {name: value.item() for name, value in metric.compute().items()}
    {'hit_at_1': 0.5, 'auroc/liver': 1.0, 'auroc/brain': 1.0}
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    scores: list[Tensor]
    targets: list[Tensor]

    def __init__(self, labels: Sequence[str], **kwargs: Any) -> None:
        """Make an empty metric.

        Args:
            labels: names of the K labels.
            kwargs: options of `torchmetrics.Metric`.

        Raises:
            ValueError: no label, or one given twice.
        """
        super().__init__(**kwargs)
        self.labels = tuple(labels)
        if not self.labels or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels {list(labels)} must be one or more different names")
        self.add_state("scores", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")

    def update(self, scores: Tensor, targets: Tensor) -> None:
        """Add the slices of a batch of which a label is known.

        Args:
            scores: (B, K) float, higher is likelier.
            targets: (B, K) bool, or int8 with 1 shown, 0 not shown, -1 unknown. A label that is unknown of a slice is
                left out of that slice's ranking, and the slice is left out of that label's AUROC.

        Raises:
            ValueError: a shape other than (B, K).
        """
        if scores.shape != targets.shape or scores.ndim != 2 or scores.shape[1] != len(self.labels):
            raise ValueError(
                f"scores {tuple(scores.shape)} and targets {tuple(targets.shape)} must both be "
                f"(slices, {len(self.labels)})"
            )
        stated = (targets >= 0).any(dim=1)
        self.scores.append(scores.detach()[stated].float())
        self.targets.append(targets.detach()[stated].to(torch.int8))

    def compute(self) -> dict[str, Tensor]:
        """Score everything seen so far.

        Returns:
            "hit_at_1" -> () float32, and "auroc/<label>" -> () float32 for each label that has positives and
            negatives. What is undefined is left out: a zero or a NaN would be averaged in by whoever logs it.

        Raises:
            ValueError: a score is NaN.
        """
        if not len(self.scores):  # a list before synchronisation, one tensor after it
            return {}
        scores = dim_zero_cat(self.scores).cpu().numpy()
        targets = dim_zero_cat(self.targets).cpu().numpy()
        overall = hit_at_1(np.where(targets < 0, -np.inf, scores), targets == 1)
        values = {"hit_at_1": overall.value} if overall.n else {}
        areas = _auroc(scores, targets)
        known = [(label, float(a)) for label, a in zip(self.labels, areas, strict=True) if not math.isnan(a)]
        values |= {f"auroc/{label}": area for label, area in known}
        return {name: torch.tensor(value, device=self.device) for name, value in values.items()}

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        # A rank without a single batch must still join the gather, with (0, K) and the right types:
        # torchmetrics would send a one-dimensional float tensor, which the other ranks can't match.
        if not len(self.scores):
            self.scores = [torch.zeros(0, len(self.labels), device=self.device)]
            self.targets = [torch.zeros(0, len(self.labels), dtype=torch.int8, device=self.device)]
        super()._sync_dist(*args, **kwargs)


class Spread(Metric):
    """How far unit vectors spread, over all batches and ranks: 1 evenly over the sphere, 0 all the same.

    The standard deviation of a coordinate, averaged over the D coordinates, times sqrt(D). Source: Chen and He 2021,
    "Exploring Simple Siamese Representation Learning", section 4.1.

    >>> spread = Spread()
    >>> spread.update(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    >>> round(spread.compute().item(), 4)
    1.0
    """

    higher_is_better = None
    is_differentiable = False
    full_state_update = False
    count: Tensor
    total: Tensor
    squares: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("count", "total", "squares"):
            self.add_state(name, default=torch.zeros(()), dist_reduce_fx="sum")

    def update(self, vectors: Tensor) -> None:
        """Add (B, D) vectors; they are made unit norm."""
        units = normalize(vectors.detach().float(), dim=-1)
        self.count = self.count + len(units)
        self.total = self.total + units.sum(dim=0)  # (D,)
        self.squares = self.squares + units.square().sum(dim=0)  # (D,)

    def compute(self) -> Tensor:
        """The spread, (); NaN where a vector has one."""
        mean = self.total / self.count
        variance = (self.squares / self.count - mean.square()).clamp(min=0)
        spread: Tensor = variance.sqrt().mean() * mean.numel() ** 0.5
        return spread


def _auroc(scores: NDArray[np.float32], targets: NDArray[np.int8]) -> NDArray[np.float64]:
    """(N, K), (N, K) -> (K,) one-vs-rest AUROC as the Mann-Whitney statistic, NaN where undefined.

    Not `classification.auroc`: training would wait for the import of scikit-learn (1.6 s), and for its checks.
    """
    shown, known = targets == 1, targets >= 0
    p = shown.sum(axis=0)
    ranks = (rankdata(np.where(known, scores, np.inf), axis=0) * shown).sum(axis=0)  # unknown ones rank last
    with np.errstate(invalid="ignore"):
        areas: NDArray[np.float64] = (ranks - p * (p + 1) / 2) / (p * (known.sum(axis=0) - p))
    return areas
