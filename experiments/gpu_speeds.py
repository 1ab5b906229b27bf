"""Parts of the GPU check that measure: pairs a second, transfer, memory, and what a loader feeds.

Each part takes a `Bench` and returns plain values; `checks` among them says of each sentence whether it holds.
"""

from __future__ import annotations

import gc
import math
import os
import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from anatomy_clip.core.types import Batch, Texts
from anatomy_clip.models.adapt.freeze import prepare_towers
from anatomy_clip.objectives.clip import CLIP
from anatomy_clip.training.optim import adamw
from experiments.gpu_setup import VIT, Bench, make_batches, open_data, ready, spread
from experiments.training_loops import (
    Where,
    in_memory,
    kernels,
    our_model,
    their_batch,
    train_bare,
    train_open_clip,
    train_ours,
)
from experiments.watch import Watch, rounds

CARD_GIB = 38.5  # what is left of a card of 40 GB for PyTorch
CAPTION_TOKENS = 32  # of a caption in the search for the largest batch; each is another one
THEIRS, BARE, OURS, FREE = "open_clip's trainer", "bare loop", "ours", "ours, deterministic=false"


def pairs_a_second(bench: Bench) -> dict[str, Any]:
    """Our trainer, a bare loop with its parts and open_clip's trainer, in turns, on the same pairs (PMC-MS) in memory.

    Ours and the bare loop take the kernels that `trainer=gpu` asks for (deterministic=warn), open_clip its own choice.
    """
    return {name: _side_by_side(bench, name) for name in bench.size.models}


def _side_by_side(bench: Bench, name: str) -> dict[str, Any]:
    size, cfg = bench.size, bench.config(name, column="pmc_ms")
    node, model = cfg.model, our_model(cfg.model)
    made = make_batches(cfg, size.warm + size.steps)
    batches, steps, where, folder = ready(bench, made), len(made), bench.where(cfg), bench.runs("pairs")
    theirs = [their_batch(batch, model, model.context_length) for batch in made]
    if bench.device == "cuda":
        theirs = [(images.pin_memory(), tokens.pin_memory()) for images, tokens in theirs]

    def bare() -> Watch:
        with kernels(deterministic=True):
            return train_bare(node, in_memory(batches), steps, where=where)

    free = replace(where, trainer={**where.trainer, "deterministic": False})
    variants = {
        THEIRS: lambda: train_open_clip(node, in_memory(theirs), steps, size.batch, where),
        BARE: bare,
        OURS: lambda: train_ours(node, in_memory(batches), steps, folder, where=where),
        FREE: lambda: train_ours(node, in_memory(batches), steps, folder, where=free),
    }
    seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    for watches in rounds(size.rounds, variants):
        for variant, watch in watches.items():
            seconds[variant].append(watch.seconds(size.warm))

    def ratio(over: str, under: str) -> dict[str, float]:
        return spread([a / b for a, b in zip(seconds[over], seconds[under], strict=True)])

    return {
        "batch": size.batch,
        "timed_steps": size.steps,
        "pairs_per_s": {variant: spread([size.batch / s for s in each]) for variant, each in seconds.items()},
        "ours_times_open_clip": ratio(THEIRS, OURS),
        "ours_any_kernels_times_open_clip": ratio(THEIRS, FREE),
        "our_step_over_bare": ratio(OURS, BARE),
    }


def transfer(bench: Bench, repeats: int = 20) -> dict[str, Any]:
    """A batch to the device from pinned and from pageable memory: until the call returns, until the copy is there."""
    cfg = bench.config(VIT)
    pageable = make_batches(cfg, 1)[0]
    pinned = ready(bench, [pageable])[0]
    colour = their_batch(replace(pageable, texts=_first_captions(pageable)), our_model(cfg.model), 77)[0]
    found: dict[str, Any] = {"image_bytes": pageable.images.nbytes, "colour_float_bytes": colour.nbytes}
    ways = {
        "pageable": (pageable, False),
        "pageable, non-blocking": (pageable, True),
        "pinned": (pinned, False),
        "pinned, non-blocking": (pinned, True),
        "colour float32 images, pageable": (colour, False),
        "colour float32 images, pinned, non-blocking": (
            colour.pin_memory() if bench.device == "cuda" else colour, True,
        ),
    }  # fmt: skip
    for name, (what, non_blocking) in ways.items():
        found[name] = _copies(what, bench.device, non_blocking, repeats)
    moved = pinned.to(bench.device, non_blocking=True)
    _wait(bench.device)
    found["checks"] = {
        "images travel as uint8, one channel": moved.images.dtype == torch.uint8 and moved.images.shape[1] == 1,
        "what arrives is what was sent": torch.equal(moved.images.cpu(), pageable.images)
        and torch.equal(moved.texts["caption"].ids.cpu(), pageable.texts["caption"].ids),
    }
    return found


def _first_captions(batch: Batch) -> dict[str, Texts]:
    return dict(batch.by_text("caption")[0].texts)


def _copies(what: Batch | torch.Tensor, device: str, non_blocking: bool, repeats: int) -> dict[str, float]:
    returned, there = [], []
    for _ in range(repeats):
        _wait(device)
        began = time.perf_counter()
        moved = what.to(device, non_blocking=non_blocking)
        returned.append(time.perf_counter() - began)
        _wait(device)
        there.append(time.perf_counter() - began)
        del moved
    return {"returned_ms": 1e3 * float(np.median(returned)), "there_ms": 1e3 * float(np.median(there))}


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def memory(bench: Bench) -> dict[str, Any]:
    """Peak memory of a step by batch, and the largest power of two that a card of 40 GB holds.

    Random images; each caption another one, of `CAPTION_TOKENS` tokens. In the peak are weights, gradients and AdamW's
    moments, not the CUDA context.
    """
    found: dict[str, Any] = {}
    limit = None
    if bench.device == "cuda":
        whole = torch.cuda.get_device_properties(0).total_memory / 2**30
        limit = min(CARD_GIB, 0.95 * whole)
        torch.cuda.set_per_process_memory_fraction(limit / whole)
    found["limit_gib"] = limit
    ways: dict[str, dict[str, Any]] = {
        "plain": {},
        f"objective.chunk_size={bench.size.chunk}": {"chunk_size": bench.size.chunk},
        "optim.prepare.checkpoint_activations=true": {"checkpoint_activations": True},
    }
    for name in bench.size.models:
        cfg = bench.config(name)
        found[name] = {way: _largest(bench, cfg, **options) for way, options in ways.items()}
    return found


def _largest(
    bench: Bench, cfg: DictConfig, chunk_size: int | None = None, checkpoint_activations: bool = False
) -> dict[str, Any]:
    model = our_model(cfg.model)
    objective = CLIP(model, chunk_size=chunk_size)
    peaks: dict[int, float | None] = {}
    try:
        prepare_towers(model, checkpoint_activations=checkpoint_activations)
        model.to(bench.device), objective.to(bench.device)
        optimizer = adamw([model, objective], lr=1e-5, weight_decay=0.2)
        batch = bench.size.batch
        _step(bench, cfg, model, objective, optimizer, batch)  # AdamW's moments are there from now on
        while batch <= bench.size.largest:
            peaks[batch] = _step(bench, cfg, model, objective, optimizer, batch)
            batch *= 2
    except ValueError as refused:  # a ResNet allows neither
        return {"refused": str(refused)}
    except torch.cuda.OutOfMemoryError:
        pass
    finally:
        del model, objective
        gc.collect()
        if bench.device == "cuda":
            torch.cuda.empty_cache()
    largest = max(peaks, default=None)
    return {"largest_batch": largest, "at_least": largest == bench.size.largest, "peak_gib_by_batch": peaks}


def _step(bench: Bench, cfg: DictConfig, model: Any, objective: CLIP, optimizer: Any, size: int) -> float | None:
    """One step of simulated pairs; peak memory, GiB, where the device counts it."""
    if bench.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    where: Where = bench.where(cfg)
    batch = _simulated(size, model.image_size, bench.device)
    with where.autocast():
        loss = objective(model, batch).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    _wait(bench.device)
    return torch.cuda.max_memory_allocated() / 2**30 if bench.device == "cuda" else None


def _simulated(size: int, side: int, device: str) -> Batch:
    images = torch.randint(0, 256, (size, 1, side, side), dtype=torch.uint8, device=device)
    ids = torch.randint(1, 40_000, (size, CAPTION_TOKENS), device=device)
    ids[:, -1] = 49_407  # CLIP's end of text
    rows = torch.arange(size, device=device)
    return Batch(images, {"caption": Texts(ids, rows, torch.ones_like(ids, dtype=torch.bool))}, {}, rows)


def loader(bench: Bench) -> dict[str, Any]:
    """Images a second from one loader process (PMC-MSA), and what the device takes from memory and from processes."""
    size, steps = bench.size, bench.size.warm + bench.size.steps
    cfg = bench.config(VIT, "data.workers=1")
    where = bench.where(cfg)
    feeds, batch = _feed(cfg, size.warm, size.steps)
    made = ready(bench, make_batches(cfg, steps))
    train = partial(train_ours, cfg.model, steps=steps, folder=bench.runs("loader"), where=where)
    eats = size.batch / train(in_memory(made)).seconds(size.warm)
    needed = math.ceil(eats / feeds)
    cores = os.cpu_count() or 1
    cfg.data.workers = workers = max(1, min(needed, cores - 1))
    fed = size.batch / train(open_data(cfg)).seconds(size.warm)
    return {
        "images_per_s_of_a_process": feeds,
        "pairs_per_s_from_memory": eats,
        "processes_needed": needed,
        "cores": cores,
        "processes": workers,
        "pairs_per_s_from_processes": fed,
        "checks": {
            "the loader gives uint8 images" + (", pinned" if bench.device == "cuda" else ""): (
                batch.images.dtype == torch.uint8 and batch.images.is_pinned() == (bench.device == "cuda")
            )
        },
    }


def _feed(cfg: DictConfig, warm: int, count: int) -> tuple[float, Batch]:
    """Images a second of the loader's processes, and the last batch."""
    batches = iter(open_data(cfg).train_dataloader())
    for _ in range(warm):
        batch = next(batches)
    began = time.perf_counter()
    for _ in range(count):
        batch = next(batches)
    return count * len(batch) / (time.perf_counter() - began), batch
