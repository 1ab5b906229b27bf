"""Time training in one process, side by side: our step, a bare PyTorch loop with its parts, open_clip's own trainer.

Same weights to start from, same pairs, same order, fp32, one core. The variants take turns, round by round, and process
CPU time is counted, so that what else the machine does falls on all of them. Ratios outlive the machine.

python experiments/benchmark_training.py [rounds]
"""

from __future__ import annotations

import csv
import gc
import io
import logging
import os
import sys
import tempfile
import time
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import lightning
import numpy as np
import open_clip
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from omegaconf import DictConfig
from open_clip_train.scheduler import cosine_lr
from open_clip_train.train import train_one_epoch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from anatomy_clip.cli.prepare import prepare
from anatomy_clip.core.types import Batch
from anatomy_clip.data.datamodule import SliceDataModule
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.objectives.clip import CLIP
from anatomy_clip.objectives.moco import MoCo
from anatomy_clip.objectives.simclr import SimCLR
from anatomy_clip.runs.wiring import build, build_data
from anatomy_clip.training.checkpoints import AtomicCheckpointIO
from anatomy_clip.training.module import TrainModule
from anatomy_clip.training.optim import adamw, warmup_cosine
from anatomy_clip.training.restarts import LastCheckpoint, StepSeeds

CONF = Path(__file__).resolve().parents[1] / "conf"
LR, DECAY, BETAS, EPS, WARMUP, CLIP_NORM = 1e-3, 0.1, (0.9, 0.98), 1e-6, 2, 1.0
PATIENTS = 8  # phantoms whose slices are trained on
VARIANTS = ("open_clip's trainer", "bare loop", "ours")
Method = type[CLIP] | type[SimCLR] | type[MoCo]


@dataclass
class Watch:
    """CPU time at the end of each optimiser step, and the loss of each."""

    stamps: list[float] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)

    def on(self, optimizer: torch.optim.Optimizer, loss: nn.Module) -> torch.optim.Optimizer:
        """Watch an optimiser and the module that computes the loss."""
        optimizer.register_step_post_hook(lambda *_: self.stamps.append(time.process_time()))
        loss.register_forward_hook(lambda _m, _i, out: self.losses.append(_total(out)))
        return optimizer

    def seconds(self) -> float:
        """CPU seconds of a step, from the end of the first to the end of the last."""
        return (self.stamps[-1] - self.stamps[0]) / (len(self.stamps) - 1)


def _total(out: Any) -> Tensor:
    return (sum(out.values()) if isinstance(out, dict) else out.loss).detach()


def our_model(node: DictConfig, method: Method = CLIP) -> ImageTextModel:
    """The parts of a config node's model that a method wants, with random weights, the same ones at each call."""
    torch.manual_seed(0)
    parts = {"text_tower": bool(method.wants.texts), "joint": method.wants.joint}
    model: ImageTextModel = build(node, weights=None, **parts, _convert_="all")
    return model


def their_model(node: DictConfig) -> nn.Module:
    """The same model with the same weights, as open_clip's trainer wants it."""
    config = open_clip.get_model_config(node.architecture) if "architecture" in node else None
    config = config or {"embed_dim": node.embed_dim, "vision_cfg": dict(node.vision), "text_cfg": dict(node.text)}
    torch.manual_seed(0)
    return open_clip.CLIP(
        config["embed_dim"], config["vision_cfg"], config["text_cfg"],
        quick_gelu=config.get("quick_gelu", node.get("quick_gelu", False)), output_dict=True,
    )  # fmt: skip


def train_open_clip(node: DictConfig, loader: Iterable[tuple[Tensor, Tensor]], steps: int, batch_size: int) -> Watch:
    """Train by open_clip's own epoch loop, with its optimiser and decay groups."""
    model, loss, watch = their_model(node), open_clip.ClipLoss(), Watch()
    decayed = [p for n, p in model.named_parameters() if p.ndim >= 2]
    rest = [p for n, p in model.named_parameters() if p.ndim < 2]
    groups = [{"params": rest, "weight_decay": 0.0}, {"params": decayed, "weight_decay": DECAY}]
    optimizer = watch.on(torch.optim.AdamW(groups, lr=LR, betas=BETAS, eps=EPS), loss)
    loader.num_batches, loader.num_samples = steps, steps * batch_size  # type: ignore[attr-defined]
    args = Namespace(
        device="cpu", precision="fp32", distill=False, accum_freq=1, skip_scheduler=False, horovod=False,
        grad_clip_norm=CLIP_NORM, rank=0, local_rank=0, log_local=False, log_every_n_steps=50, batch_size=batch_size,
        world_size=1, wandb=False,
    )  # fmt: skip
    data = {"train": SimpleNamespace(set_epoch=lambda epoch: None, dataloader=loader)}
    train_one_epoch(model, data, loss, 0, optimizer, None, cosine_lr(optimizer, LR, WARMUP, steps), None, args)
    return watch


def train_bare(node: DictConfig, loader: Iterable[Batch], steps: int, method: Method = CLIP) -> Watch:
    """Train by a plain loop over our model, objective, optimiser and batches."""
    model, watch = our_model(node, method), Watch()
    objective = method(model)
    objective.setup(model)
    optimizer = watch.on(adamw([model, objective], lr=LR, weight_decay=DECAY, betas=BETAS, eps=EPS), objective)
    schedule = warmup_cosine(optimizer, total_steps=steps, warmup_steps=WARMUP)
    weights = [p for p in [*model.parameters(), *objective.parameters()] if p.requires_grad]
    for n, batch in enumerate(loader):
        if n == steps:
            break
        loss = objective(model, batch).loss
        optimizer.zero_grad()  # here, as Lightning does: the memory goes straight to the new gradients
        loss.backward()
        nn.utils.clip_grad_norm_(weights, CLIP_NORM)
        optimizer.step()
        schedule.step()
        objective.after_optimizer_step(model)
    return watch


def train_ours(
    node: DictConfig, data: SliceDataModule | DataLoader[Batch], steps: int, folder: Path, method: Method = CLIP
) -> Watch:
    """Train as a run does: through Lightning, with its logger, bar, seeds and checkpoint."""
    model, watch = our_model(node, method), Watch()
    objective = method(model)
    optimizer = partial(adamw, lr=LR, weight_decay=DECAY, betas=BETAS, eps=EPS)
    module = TrainModule(
        model, objective, lambda modules: watch.on(optimizer(modules), objective),
        partial(warmup_cosine, warmup_steps=WARMUP), validation_sets=[], recipe={},
    )  # fmt: skip
    trainer = lightning.Trainer(
        accelerator="cpu", devices=1, max_epochs=1, limit_train_batches=steps, limit_val_batches=0,
        gradient_clip_val=CLIP_NORM, enable_model_summary=False, use_distributed_sampler=False, log_every_n_steps=50,
        callbacks=[StepSeeds(0), LastCheckpoint(folder), TQDMProgressBar(refresh_rate=20)], logger=CSVLogger(folder),
        plugins=[AtomicCheckpointIO()], default_root_dir=str(folder),
    )  # fmt: skip
    with redirect_stdout(io.StringIO()):  # the bar costs what it costs, and isn't seen
        if isinstance(data, SliceDataModule):
            trainer.fit(module, datamodule=data)
            data.trainer = None
        else:
            trainer.fit(module, data)
    return watch


class Made(Dataset[Any]):
    """Batches already made."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Any:
        return self.batches[index]


def in_memory(batches: list[Any]) -> DataLoader[Any]:
    """A loader that gives out batches as they are."""
    return DataLoader(Made(batches), batch_size=None)


def their_batch(batch: Batch, model: ImageTextModel, context_length: int) -> tuple[Tensor, Tensor]:
    """A batch as open_clip's loader would have made it: normalised colour images, captions padded to the context."""
    images = (batch.images.float() / 255 - model.mean) / model.std  # (B, 3, H, W)
    tokens = torch.zeros(len(batch), context_length, dtype=torch.int64)
    captions = batch.texts["caption"].ids
    tokens[:, : captions.shape[1]] = captions
    return images, tokens


def make_store(folder: Path) -> None:
    """Phantom slices as `make data` stores them."""
    cfg = compose(
        "prepare", overrides=["source=phantom", f"paths.data={folder}", "contact_sheet=false", "workers=1",
                              f"source.cohorts.train.patients={PATIENTS}"],
    )  # fmt: skip
    prepare(cfg, instantiate(cfg.source), "train")


def data_config(folder: Path, batch_size: int, *overrides: str) -> DictConfig:
    """The default run on the made store, without workers and without evaluation."""
    cfg = compose("config", overrides=[f"data.batch_size={batch_size}", "data.workers=0", *overrides])
    cfg.data.update(train=[f"{folder}/phantom/train"], validation={}, test={}, optional=[])
    return cfg


def load(cfg: DictConfig, method: Method = CLIP) -> SliceDataModule:
    """The data module of a config, set up for a method."""
    cfg.objective._target_ = f"{method.__module__}.{method.__name__}"
    data = build_data(cfg, build(cfg.taxonomy), our_model(cfg.model))
    data.setup("fit")
    return data


def write_csv(data: SliceDataModule, folder: Path) -> Path:
    """The data of an epoch as open_clip's trainer reads them: PNG files as stored, and captions, in our order."""
    loader = data.train_dataloader()
    dataset: Any = loader.dataset
    folder.mkdir()
    with (folder / "train.csv").open("w", newline="") as file:
        rows = csv.writer(file, delimiter="\t")
        rows.writerow(["image", "caption"])
        for key in loader.sampler:
            sample = dataset[key]
            path = folder / f"{sample.row}.png"
            if not path.exists():
                Image.fromarray(np.asarray(dataset.images[sample.row])).save(path)
            rows.writerow([path, sample.texts["caption"][0]])
    return folder / "train.csv"


def from_disk(path: Path, size: int, batch_size: int) -> DataLoader[Any]:
    """open_clip's loader of a table of files, in the table's order."""
    from open_clip_train.data import CsvDataset

    transform = open_clip.image_transform(size, is_train=True, aug_cfg={"scale": (0.7, 1.0)})
    dataset = CsvDataset(path, transform, "image", "caption", tokenizer=open_clip.get_tokenizer("ViT-B-32"))
    return DataLoader(dataset, batch_size=batch_size, drop_last=True)


def rounds(count: int, variants: dict[str, Callable[[], Watch]]) -> Iterator[dict[str, Watch]]:
    """Let the variants take turns; each round starts with another one."""
    names = list(variants)
    for n in range(count):
        watches = {}
        for name in names[n % len(names) :] + names[: n % len(names)]:
            watches[name] = variants[name]()
            gc.collect()
        yield {name: watches[name] for name in names}


def report(title: str, batch_size: int, found: list[dict[str, Watch]]) -> None:
    """Print pairs per CPU second and ratios within rounds: median, least and most."""
    print(f"\n{title}\n{'':22s} {'pairs/cpu-s':>11s} {'x open_clip':>21s} {'time / bare loop':>21s}")
    for name in VARIANTS:
        seconds = [watches[name].seconds() for watches in found]
        theirs = [w[VARIANTS[0]].seconds() / s for w, s in zip(found, seconds, strict=True)]
        bare = [s / w[VARIANTS[1]].seconds() for w, s in zip(found, seconds, strict=True)]
        print(f"{name:22s} {batch_size / np.median(seconds):11.1f} {_spread(theirs):>21s} {_spread(bare):>21s}")


def _spread(values: list[float]) -> str:
    return f"{np.median(values):.3f} [{min(values):.2f}-{max(values):.2f}]"


def difference(watches: dict[str, Watch]) -> float:
    """Largest relative difference of our losses from open_clip's, over all steps."""
    theirs, ours = (torch.stack(watches[name].losses) for name in (VARIANTS[0], VARIANTS[2]))
    return float(((ours - theirs) / theirs).abs().max())


def steps_in_memory(title: str, cfg: DictConfig, steps: int, count: int, folder: Path) -> None:
    """The step alone: batches are made beforehand, each side's as its own loader gives them."""
    data = load(cfg)
    batches = [batch for batch, _ in zip(data.train_dataloader(), range(steps), strict=False)]
    model = our_model(cfg.model)
    theirs = [their_batch(batch, model, model.context_length) for batch in batches]
    size = cfg.data.batch_size
    variants = {
        VARIANTS[0]: lambda: train_open_clip(cfg.model, in_memory(theirs), steps, size),
        VARIANTS[1]: lambda: train_bare(cfg.model, in_memory(batches), steps),
        VARIANTS[2]: lambda: train_ours(cfg.model, in_memory(batches), steps, folder),
    }
    found = list(rounds(count, variants))
    distinct = np.mean([len(batch.texts["caption"].ids.unique(dim=0)) for batch in batches])
    report(f"{title}, batches of {size} in memory ({distinct:.1f} distinct captions), {steps} steps", size, found)
    print(f"losses of {steps} steps differ from open_clip's by at most {max(map(difference, found)):.1e}, relatively")


def steps_from_disk(title: str, cfg: DictConfig, count: int, folder: Path) -> None:
    """End to end: from files to weights, an epoch a round."""
    data, size = load(cfg), cfg.data.batch_size
    steps = len(data.train_dataloader())
    table = write_csv(data, folder / f"{title}_csv")
    side = our_model(cfg.model).image_size
    for _ in data.train_dataloader():  # an epoch that isn't the first: template captions are known by then
        pass
    variants = {
        VARIANTS[0]: lambda: train_open_clip(cfg.model, from_disk(table, side, size), steps, size),
        VARIANTS[1]: lambda: train_bare(cfg.model, data.train_dataloader(), steps),
        VARIANTS[2]: lambda: train_ours(cfg.model, data, steps, folder),
    }
    report(f"{title}, from disk, {steps} steps of {size}", size, list(rounds(count, variants)))


def methods_in_memory(cfg: DictConfig, steps: int, count: int, folder: Path) -> None:
    """The step of methods of two views, beside a plain loop."""
    methods: dict[str, Method] = {"SimCLR": SimCLR, "MoCo v2": MoCo}
    for name, method in methods.items():
        batches = [batch for batch, _ in zip(load(cfg, method).train_dataloader(), range(steps), strict=False)]
        variants = {
            VARIANTS[1]: partial(train_bare, cfg.model, in_memory(batches), steps, method),
            VARIANTS[2]: partial(train_ours, cfg.model, in_memory(batches), steps, folder, method),
        }
        found = list(rounds(count, variants))
        ratios = [watches[VARIANTS[2]].seconds() / watches[VARIANTS[1]].seconds() for watches in found]
        print(f"{name}, batches of {cfg.data.batch_size} in memory, {steps} steps: time / bare loop {_spread(ratios)}")


def main(count: int) -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with initialize_config_dir(str(CONF), version_base="1.3"), tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_store(folder)
        # the one augmentation that open_clip's trainer has: a random crop
        crop = ["augment=none", "augment.crop={p: 1.0, scale: [0.7, 1.0], ratio: [0.75, 1.3333]}"]
        epochs = "augment.images_per_image=5"
        for name in ("tiny", "tiny_vit"):
            steps_from_disk(name, data_config(folder, 64, f"model={name}", *crop, epochs), count, folder)
        methods_in_memory(data_config(folder, 64, "augment=clinical"), 20, count, folder)
        steps_in_memory("tiny_vit", data_config(folder, 64, "model=tiny_vit", epochs), 20, count, folder)
        vit = data_config(folder, 8, "model=pubmedclip_vit_b32")
        steps_in_memory("ViT-B/32", vit, 4, min(3, count), folder)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
