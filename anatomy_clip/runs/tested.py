"""A finished run as its evaluators see it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from anatomy_clip.runs.chain import earlier_patients, patients_of
from anatomy_clip.runs.folder import CHECKPOINT, EVALUATE
from anatomy_clip.runs.wiring import (
    build,
    build_data,
    build_evaluators,
    build_model,
    build_objective,
    device,
    load_run,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from anatomy_clip.anatomy.labels import LabelSet
    from anatomy_clip.core.records import SliceRecord
    from anatomy_clip.core.types import Batch
    from anatomy_clip.data.datamodule import SliceDataModule
    from anatomy_clip.data.labelled import Labelled
    from anatomy_clip.evaluation.base import Evaluator
    from anatomy_clip.evaluation.embedded import EmbeddedSet
    from anatomy_clip.models.image_text import ImageTextModel
    from anatomy_clip.objectives.base import Objective

_OTHER_SEED = 1 << 20  # added to a run's: of weights that no run of a sweep starts from


class Tested:
    """A run as its evaluators see it (`TestedRun`); each part is made when it is first asked for.

    Args:
        cfg: the run's config.
        folder: the run's folder.
    """

    def __init__(self, cfg: DictConfig, folder: Path) -> None:
        self.cfg = cfg
        self.folder = folder
        self.seed = int(cfg.seed)
        self._sets: dict[str, dict[str, EmbeddedSet]] = {}

    @cached_property
    def taxonomy(self) -> LabelSet:
        """The run's taxonomy."""
        taxonomy: LabelSet = build(self.cfg.taxonomy)
        return taxonomy

    @property
    def checkpoint(self) -> Path | None:
        """What the run trained; None where it tests the weights that it starts from."""
        # stages=[evaluate] tests what the run trained before, not what it started from
        path = self.folder / CHECKPOINT
        return path if path.exists() or set(self.cfg.stages) - {EVALUATE} else None

    @cached_property
    def trained(self) -> tuple[ImageTextModel, Objective]:
        """What the run trained, on the device; weights and objective as they are, where it trained none."""
        import torch

        if self.checkpoint is not None:
            model, objective = load_run(self.cfg, self.folder, self.taxonomy)
        else:
            torch.manual_seed(self.seed)  # random weights are the seed's, as in a training
            model = build_model(self.cfg)
            objective = build_objective(self.cfg, self.taxonomy, model)
        place = device(self.cfg)
        return model.to(place).eval(), objective.to(place).eval()

    def randomised(self) -> ImageTextModel:
        """The model with random weights; they are the seed's, and none that a run starts from."""
        import torch

        with torch.random.fork_rng():
            torch.manual_seed(self.seed + _OTHER_SEED)
            return build_model(self.cfg, weights=None).to(device(self.cfg)).eval()

    @cached_property
    def evaluators(self) -> dict[str, Evaluator]:
        """The evaluators of the run's config, by name."""
        return build_evaluators(self.cfg, self.taxonomy)

    @cached_property
    def data(self) -> SliceDataModule:
        """The run's data, checked for leakage."""
        model = self.trained[0]
        before = earlier_patients(self.cfg) if self.checkpoint is None else patients_of(self.checkpoint)
        data = build_data(self.cfg, self.taxonomy, model, before)
        data.setup("test")
        return data

    @property
    def logit_scale(self) -> float:
        """Log of the inverse temperature that the model was trained with."""
        return self.trained[0].initial_logit_scale

    def training_records(self) -> Sequence[SliceRecord]:
        """The records of the training slices."""
        return self.data.training_records()

    def sets(self, role: str) -> dict[str, EmbeddedSet]:
        """The sets of a role ("train", "validation", "test") by name, embedded once for all evaluators."""
        from anatomy_clip.evaluation.embedded import embed_sets

        if role not in self._sets:
            loaders = {
                "train": self.data.training_sets, "validation": self.data.validation_sets, "test": self.data.test_sets,
            }[role]()  # fmt: skip
            self._sets[role] = embed_sets(*self.trained, loaders, device(self.cfg))
        return self._sets[role]

    def films(self, name: str) -> Iterator[tuple[Batch, list[dict[str, NDArray[np.bool_]]]]]:
        """The batches of a test set, and the masks that were drawn for each image, (H, W) as its images."""
        batches, masks = self.data.test_sets()[name][0], self.data.test_masks(name)
        for batch in batches:
            yield batch, [masks[row] for row in batch.rows.tolist()]

    def embed_texts(self, texts: Sequence[str], *, cut: bool = False) -> Tensor:
        """Embed C texts where they can be compared with images: (C, D) float32 unit norm, or other rows."""
        from anatomy_clip.evaluation.embedded import embed_texts

        return embed_texts(*self.trained, texts, device(self.cfg), cut=cut)

    def compare(self, images: Tensor, texts: Tensor) -> dict[str, NDArray[np.float64]]:
        """How well embedded texts fit embedded images, by each way to compare that the method has: (N, M) each."""
        from anatomy_clip.evaluation.embedded import compare

        return compare(self.trained[1], images, texts)

    def head_scores(self, pooled: Tensor) -> NDArray[np.float64]:
        """The logits of the objective's head: (N, W) pooled features -> (N, K)."""
        from anatomy_clip.evaluation.embedded import head_scores

        return head_scores(self.trained[1], pooled)

    def labelled(self) -> Labelled:
        """What the objective's head was fitted on."""
        return self.data.labelled()

    def embed_classes(self, prompts: Sequence[Sequence[str]]) -> Tensor:
        """Embed K classes by T prompts each: (K, D) unit norm."""
        from anatomy_clip.evaluation.embedded import embed_classes

        return embed_classes(*self.trained, prompts, device(self.cfg))
