"""What the parts of the GPU check share: sizes, configs, simulated slices, batches."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from anatomy_clip.cli.configs import config_folder
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.core.types import Batch
from anatomy_clip.data.datamodule import SliceDataModule
from anatomy_clip.runs.wiring import build, build_data
from anatomy_clip.stores.store import write_store
from anatomy_clip.training.checkpoints import AtomicCheckpointIO
from experiments.training_loops import Where, our_model

VIT, RN50 = "ViT-B/32", "RN50"
_STRUCTURES = (
    "liver", "spleen", "kidney_left", "kidney_right", "stomach", "pancreas", "small_bowel", "colon", "urinary_bladder",
    "heart", "aorta", "lung_lower_lobe_left", "lung_upper_lobe_right", "vertebrae_L3", "femur_left", "brain",
)  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How large everything is.

    Attributes:
        models: name -> overrides that choose it.
        batch: pairs of a step.
        steps: steps that are compared or timed.
        warm: steps before the timed ones.
        rounds: turns of each variant.
        slices: simulated slices.
        side: of a simulated slice, pixels.
        workers: processes of a restarted run.
        largest: batch at which the search for the largest one ends.
        chunk: rows of a chunk in that search.
        compile_backend: of `torch.compile`.
    """

    models: dict[str, tuple[str, ...]]
    batch: int
    steps: int
    warm: int
    rounds: int
    slices: int
    side: int
    workers: int
    largest: int
    chunk: int
    compile_backend: str


_TINY_TEXT = "model.text={context_length:77,vocab_size:49408,width:16,heads:1,layers:1}"
SIZES = {
    "paper": Size(
        models={VIT: ("model=pubmedclip_vit_b32",), RN50: ("model=pubmedclip_rn50",)},
        batch=64, steps=20, warm=10, rounds=3, slices=512, side=256, workers=2, largest=16384, chunk=64,
        compile_backend="inductor",
    ),
    # stand-ins of the same designs; `eager` traces and guards, and compiles nothing
    "tiny": Size(
        models={
            VIT: ("model=tiny_vit", "model.vision={image_size:32,patch_size:16,width:16,layers:1,head_width:16}",
                  _TINY_TEXT, "model.embed_dim=16"),
            RN50: ("model=tiny", "model.vision.image_size=32", _TINY_TEXT, "model.embed_dim=16"),
        },
        batch=8, steps=3, warm=1, rounds=1, slices=32, side=40, workers=0, largest=16, chunk=4,
        compile_backend="eager",
    ),
}  # fmt: skip


class _NoFiles(AtomicCheckpointIO):
    """Writes no checkpoint: after the last step it would only take time, which nothing counts."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Leave it."""


@dataclass(frozen=True)
class Bench:
    """Where the parts of the check run.

    Attributes:
        size: how large everything is.
        device: "cpu" or "cuda".
        folder: for stores and runs; thrown away.
    """

    size: Size
    device: str
    folder: Path

    @property
    def store(self) -> Path:
        """The store of simulated slices."""
        return self.folder / "data" / "simulated" / "train"

    def config(self, model: str, *overrides: str, column: str = "pmc_msa") -> DictConfig:
        """A run of a column at the paper's scale, on one device, random weights and simulated slices."""
        accelerator = "gpu" if self.device == "cuda" else "cpu"
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            cfg = compose(
                "config",
                ["scale=paper", f"experiment=table3/{column}", *self.size.models[model], "model.weights=null",
                 "trainer=gpu", f"trainer.accelerator={accelerator}", "trainer.max_epochs=1", "stages=[fit]",
                 "optim.scheduler.warmup_steps=2", f"data.batch_size={self.size.batch}", "data.workers=0",
                 "eval.zero_shot=null", f"paths.outputs={self.folder / 'outputs'}", "logger=csv", *overrides],
            )  # fmt: skip
        cfg.data.update(train=[str(self.store)], validation={}, test={}, optional=[])
        return cfg

    def where(self, cfg: DictConfig, **changes: Any) -> Where:
        """How the timed loops train: as the config's trainer and optimiser say."""
        keys = ("precision", "deterministic", "gradient_clip_val")
        own = {key: OmegaConf.select(cfg.trainer, key) for key in keys}
        known = {"device": self.device, "bf16": cfg.trainer.precision == "bf16-mixed", "lr": cfg.optim.optimizer.lr}
        return Where(**known | {"trainer": own, "plugins": (_NoFiles(),)} | changes)

    def runs(self, name: str) -> Path:
        """A new empty folder for what a training leaves."""
        folder = self.folder / "loops" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


def make_store(bench: Bench) -> dict[str, Any]:
    """Write simulated slices: grey noise, and structures drawn at random, from which captions are made."""
    rng = np.random.default_rng(0)
    count, side = bench.size.slices, bench.size.side
    images = rng.integers(0, 256, (count, side, side), dtype=np.uint8)
    write_store(bench.store, images, [_record(n, rng) for n in range(count)], {"simulated": True})
    return {"slices": count}


def _record(n: int, rng: np.random.Generator) -> SliceRecord:
    modality = (Modality.CT, Modality.MR)[n % 2]
    shown = rng.choice(_STRUCTURES, size=4, replace=False)
    return SliceRecord(
        "simulated", "train", f"p{n // 8}", f"s{n // 8}", f"s{n // 8}", n % 8, modality,
        Protocol.NONE if modality is Modality.CT else Protocol.T2, list(Orientation)[n % len(Orientation)],
        structures={str(name): float(rng.integers(2_000, 20_000)) for name in shown},
    )  # fmt: skip


def open_data(cfg: DictConfig) -> SliceDataModule:
    """The data module of a config, ready to train."""
    data = build_data(cfg, build(cfg.taxonomy), our_model(cfg.model))
    data.setup("fit")
    return data


def make_batches(cfg: DictConfig, count: int) -> list[Batch]:
    """The first batches of a run, as its loader makes them; after an epoch's end, the next epoch's are the same."""
    loader = open_data(cfg).train_dataloader()
    once = [batch for batch, _ in zip(loader, range(count), strict=False)]
    return [batch for batch, _ in zip(chain.from_iterable(repeat(once)), range(count), strict=False)]


def ready(bench: Bench, batches: Sequence[Batch]) -> list[Batch]:
    """Batches as a run's loader hands them over: for a GPU in pinned memory."""
    return [batch.pin_memory() for batch in batches] if bench.device == "cuda" else list(batches)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most of some values."""
    return {"median": float(np.median(values)), "least": min(values), "most": max(values)}
