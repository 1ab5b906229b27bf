"""What is measured on validation sets while a training goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from torch import Tensor, nn

from anatomy_clip.core.terms import Modality
from anatomy_clip.core.types import Batch, Features, Texts
from anatomy_clip.metrics.streaming import Spread, ZeroShotMetric
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.objectives.base import Objective

_COLLAPSED = 0.01  # spread below which all images are the same; random weights have 0.15 on simulated films


class Watcher(nn.Module):
    """Sees every batch of the validation sets, each rank its share, and says what it saw of all ranks."""

    def start(self, model: ImageTextModel, objective: Objective) -> None:
        """Prepare for one pass over the validation sets."""
        raise NotImplementedError

    def step(self, name: str, batch: Batch, features: Features) -> None:
        """See a batch of a set, and the features of its images."""
        raise NotImplementedError

    def end(self) -> dict[str, Tensor]:
        """Names and values of what this pass measured; the next one begins anew."""
        raise NotImplementedError


class ZeroShotWatcher(Watcher):
    """Zero-shot hit@1 and AUROC of organs by modality, and of stations, under the table's cell names.

    Args:
        prompts: label space ("organ", "station") -> the evaluation prompts of its K labels, see `tokenize_classes`.
        labels: label space -> the K names.
        sets: names of the validation sets.
    """

    def __init__(self, prompts: Mapping[str, Texts], labels: Mapping[str, Sequence[str]], sets: Sequence[str]) -> None:
        super().__init__()
        self.prompts = dict(prompts)
        # One metric a table cell; a station cell joins the modalities, as the paper's rows do.
        per_set = [("organ", Modality.MR.lower()), ("organ", Modality.CT.lower()), ("station", "mr_ct")]
        self.cells = [(kind, name, modality) for name in sets for kind, modality in per_set]
        self.metrics = nn.ModuleDict({_key(*cell): ZeroShotMetric(labels[cell[0]]) for cell in self.cells})
        self._classes: dict[str, Tensor] = {}

    def start(self, model: ImageTextModel, objective: Objective) -> None:
        """Embed the evaluation prompts once for the whole pass."""
        self._objective = (objective,)  # in a tuple, so that it doesn't become a part of this module
        device = model.mean.device
        self._classes = {kind: objective.embed_classes(model, t.to(device)) for kind, t in self.prompts.items()}

    def step(self, name: str, batch: Batch, features: Features) -> None:
        """Score the batch's slices against every label."""
        objective = self._objective[0]
        images = objective.embed_images(features)
        for kind, classes in self._classes.items():
            scores, targets = objective.similarity(images, classes), batch.labels[kind]  # (B, K)
            if kind == "station":
                self._metric(kind, name, "mr_ct").update(scores, targets)
                continue
            for n, modality in enumerate(Modality):
                rows = batch.labels["modality"][:, n] == 1
                self._metric(kind, name, modality.lower()).update(scores[rows], targets[rows])

    def end(self) -> dict[str, Tensor]:
        """Hit@1 as `<space>/<set>_<modality>`, the AUROC of each label below it."""
        found: dict[str, Tensor] = {}
        for kind, name, modality in self.cells:
            metric = self._metric(kind, name, modality)
            values = metric.compute()
            metric.reset()
            hit = values.pop("hit_at_1", None)
            found |= {} if hit is None else {f"{kind}/{name}_{modality}": hit}
            found |= {f"{kind}/{name}_{modality}/{key}": value for key, value in values.items()}
        return found

    def _metric(self, kind: str, name: str, modality: str) -> ZeroShotMetric:
        return cast(ZeroShotMetric, self.metrics[_key(kind, name, modality)])


class CollapseWatcher(Watcher):
    """Stops a training in which all images have come to look the same to the encoder.

    It sees what the objective compares with texts, or else the pooled features.

    Args:
        sets: names of the validation sets.
    """

    def __init__(self, sets: Sequence[str]) -> None:
        super().__init__()
        self.spreads = nn.ModuleDict({name: Spread() for name in sets})

    def start(self, model: ImageTextModel, objective: Objective) -> None:
        """See `Watcher`."""
        self._objective = (objective,)  # in a tuple, so that it doesn't become a part of this module

    def step(self, name: str, batch: Batch, features: Features) -> None:
        """Add the batch's embeddings."""
        objective = self._objective[0]
        vectors = objective.embed_images(features) if objective.compares else features.pooled
        cast(Spread, self.spreads[name]).update(vectors)

    def end(self) -> dict[str, Tensor]:
        """The spread of each set as `spread/<set>`.

        Raises:
            ValueError: it is next to nothing, or not a number.
        """
        found = {}
        for name, spread in cast(Iterable[tuple[str, Spread]], self.spreads.items()):
            several = spread.count > 1  # one image is like no other
            found[f"spread/{name}"] = value = spread.compute()
            spread.reset()
            if several and not value >= _COLLAPSED:
                raise ValueError(
                    f"the training has collapsed: all images of {name} have nearly the same embedding (spread "
                    f"{float(value):.4f}, while random weights have over 0.1); start it again with overwrite=true and "
                    "a smaller optim.optimizer.lr, a longer optim.scheduler.warmup_steps or another seed"
                )
        return found


def _key(kind: str, name: str, modality: str) -> str:
    return f"{kind}__{name}__{modality}"
