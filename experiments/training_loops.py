"""Three ways to train one model on one list of batches: our trainer, a bare loop with its parts, open_clip's trainer.

The benchmarks time them side by side, and the tests compare their losses.
"""

from __future__ import annotations

import io
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import lightning
import open_clip
import torch
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from anatomy_clip.core.types import Batch, Wants
from anatomy_clip.data.datamodule import SliceDataModule
from anatomy_clip.models.adapt.freeze import prepare_towers
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.objectives.base import Objective
from anatomy_clip.objectives.clip import CLIP
from anatomy_clip.runs.wiring import build
from anatomy_clip.training.checkpoints import AtomicCheckpointIO
from anatomy_clip.training.module import TrainModule
from anatomy_clip.training.optim import adamw, warmup_cosine
from anatomy_clip.training.restarts import LastCheckpoint, StepSeeds
from experiments.watch import Watch

DECAY, BETAS, EPS, WARMUP, CLIP_NORM = 0.1, (0.9, 0.98), 1e-6, 2, 1.0


class Method(Protocol):
    """Builds an objective for a model: a class of one, or what knows its settings."""

    wants: Wants

    def __call__(self, model: ImageTextModel) -> Objective:
        """The objective."""
        ...


@dataclass(frozen=True)
class Where:
    """Where and how the loops train, the same for all of them.

    Attributes:
        device: "cpu" or "cuda".
        bf16: compute in bf16 where autocast does; the weights stay float32.
        lr: full learning rate.
        compile_backend: see `freeze.prepare_towers`; our loops only.
        trainer: keys of Lightning's trainer in place of this module's; our trainer only.
        plugins: plugins of Lightning's trainer.
        callbacks: further callbacks of Lightning's trainer.
    """

    device: str = "cpu"
    bf16: bool = False
    lr: float = 1e-3
    compile_backend: str | None = None
    trainer: Mapping[str, Any] = field(default_factory=dict)
    plugins: Sequence[Any] = (AtomicCheckpointIO(),)
    callbacks: Sequence[Any] = ()

    def autocast(self) -> Any:
        """The context of a forward pass."""
        return torch.autocast(self.device, torch.bfloat16) if self.bf16 else nullcontext()

    def ours(self) -> dict[str, Any]:
        """Keys of Lightning's trainer."""
        precision = "bf16-mixed" if self.bf16 else "32-true"
        accelerator = "gpu" if self.device == "cuda" else "cpu"
        return {"precision": precision, "accelerator": accelerator, "gradient_clip_val": CLIP_NORM} | dict(self.trainer)


CPU = Where()
_MADE: dict[str, nn.Module] = {}


def our_model(node: DictConfig, method: Method = CLIP) -> ImageTextModel:
    """The parts of a config node's model that a method wants, with random weights, the same ones at each call."""
    parts = {"text_tower": method.wants.compares, "joint": method.wants.joint}
    key = f"ours {parts} {OmegaConf.to_yaml(node)}"
    return deepcopy(_once(key, lambda: build(node, weights=None, **parts, _convert_="all")))  # type: ignore[return-value]


def _once(key: str, make: Callable[[], nn.Module]) -> nn.Module:
    """A model made with seed 0, when it is first asked for: random weights of a large one take seconds."""
    if key not in _MADE:
        torch.manual_seed(0)
        _MADE[key] = make()
    return _MADE[key]


def their_model(node: DictConfig) -> nn.Module:
    """The same model with the same weights, as open_clip's trainer wants it."""
    config = open_clip.get_model_config(node.architecture) if "architecture" in node else None
    config = config or {"embed_dim": node.embed_dim, "vision_cfg": dict(node.vision), "text_cfg": dict(node.text)}
    return deepcopy(_once(f"theirs {OmegaConf.to_yaml(node)}", lambda: open_clip.CLIP(
        config["embed_dim"], config["vision_cfg"], config["text_cfg"],
        quick_gelu=config.get("quick_gelu", node.get("quick_gelu", False)), output_dict=True,
    )))  # fmt: skip


def train_open_clip(
    node: DictConfig, loader: Iterable[tuple[Tensor, Tensor]], steps: int, batch_size: int, where: Where = CPU
) -> Watch:
    """Train by open_clip's own epoch loop, with its optimiser, decay groups and, on a GPU, choice of kernels."""
    from open_clip_train.scheduler import cosine_lr  # here: the other loops do without it
    from open_clip_train.train import train_one_epoch

    model, loss, watch = their_model(node).to(where.device), open_clip.ClipLoss(), Watch(where.device)
    decayed = [p for n, p in model.named_parameters() if p.ndim >= 2]
    rest = [p for n, p in model.named_parameters() if p.ndim < 2]
    groups = [{"params": rest, "weight_decay": 0.0}, {"params": decayed, "weight_decay": DECAY}]
    optimizer = watch.on(torch.optim.AdamW(groups, lr=where.lr, betas=BETAS, eps=EPS), loss)
    loader.num_batches, loader.num_samples = steps, steps * batch_size  # type: ignore[attr-defined]
    args = Namespace(
        device=where.device, precision="amp_bf16" if where.bf16 else "fp32", distill=False, accum_freq=1,
        skip_scheduler=False, horovod=False, grad_clip_norm=CLIP_NORM, rank=0, local_rank=0, log_local=False,
        log_every_n_steps=50, batch_size=batch_size, world_size=1, wandb=False,
    )  # fmt: skip
    data = {"train": SimpleNamespace(set_epoch=lambda epoch: None, dataloader=loader)}
    with kernels(deterministic=False, benchmark=where.device == "cuda"):  # as its main program has it
        train_one_epoch(
            model, data, loss, 0, optimizer, None, cosine_lr(optimizer, where.lr, WARMUP, steps), None, args
        )
    return watch


@contextmanager
def kernels(*, deterministic: bool, benchmark: bool = False) -> Iterator[None]:
    """Choose kernels for a while: the same result each time, as `trainer=gpu` asks for, or the quickest found."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.backends.cudnn.benchmark = benchmark
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=True)
        torch.backends.cudnn.benchmark = before[1]


def train_bare(
    node: DictConfig, loader: Iterable[Batch], steps: int, method: Method = CLIP, where: Where = CPU
) -> Watch:
    """Train by a plain loop over our model, objective, optimiser and batches."""
    model, watch = our_model(node, method), Watch(where.device)
    objective = method(model)
    prepare_towers(model, compile_backend=where.compile_backend)
    objective.setup(model)
    model.to(where.device), objective.to(where.device)
    optimizer = watch.on(adamw([model, objective], lr=where.lr, weight_decay=DECAY, betas=BETAS, eps=EPS), objective)
    schedule = warmup_cosine(optimizer, total_steps=steps, warmup_steps=WARMUP)
    weights = [p for p in [*model.parameters(), *objective.parameters()] if p.requires_grad]
    for n, batch in enumerate(loader):
        if n == steps:
            break
        batch = batch.to(where.device, non_blocking=True)
        with where.autocast():
            loss = objective(model, batch).loss
        optimizer.zero_grad()  # here, as Lightning does: the memory goes straight to the new gradients
        loss.backward()
        nn.utils.clip_grad_norm_(weights, CLIP_NORM)
        optimizer.step()
        schedule.step()
        objective.after_optimizer_step(model)
    return watch


def train_ours(
    node: DictConfig,
    data: SliceDataModule | DataLoader[Batch],
    steps: int,
    folder: Path,
    method: Method = CLIP,
    where: Where = CPU,
) -> Watch:
    """Train as a run does: through Lightning, with its logger, bar, seeds and checkpoint."""
    model, watch = our_model(node, method), Watch(where.device)
    objective = method(model)
    optimizer = partial(adamw, lr=where.lr, weight_decay=DECAY, betas=BETAS, eps=EPS)
    module = TrainModule(
        model, objective, lambda modules: watch.on(optimizer(modules), objective),
        partial(warmup_cosine, warmup_steps=WARMUP), validation_sets=[], recipe={},
        prepare=partial(prepare_towers, compile_backend=where.compile_backend),
    )  # fmt: skip
    callbacks = [StepSeeds(0), LastCheckpoint(folder), TQDMProgressBar(refresh_rate=20), *where.callbacks]
    trainer = lightning.Trainer(
        **where.ours() | {"devices": 1, "max_epochs": 1, "limit_train_batches": steps, "limit_val_batches": 0},
        enable_model_summary=False, use_distributed_sampler=False, log_every_n_steps=50, callbacks=callbacks,
        logger=CSVLogger(folder), plugins=list(where.plugins), default_root_dir=str(folder),
    )  # fmt: skip
    whole = data if isinstance(data, SliceDataModule) else _OneLoader(data)
    with redirect_stdout(io.StringIO()):  # the bar costs what it costs, and isn't seen
        trainer.fit(module, datamodule=whole)
    whole.trainer = None
    return watch


class _OneLoader(lightning.LightningDataModule):
    """A loader whose batches go to the device as a run's do."""

    transfer_batch_to_device = SliceDataModule.transfer_batch_to_device  # type: ignore[assignment]

    def __init__(self, loader: DataLoader[Batch]) -> None:
        super().__init__()
        self.loader = loader

    def train_dataloader(self) -> DataLoader[Batch]:
        return self.loader


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
