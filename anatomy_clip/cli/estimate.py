"""What the runs of a suite would take, and whether data, weights, disk and GPUs for them are there.

anatomy-clip estimate plan_only=true seeds=[0,1,2]
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from hydra import compose
from omegaconf import DictConfig

from anatomy_clip.core.records import SLICES
from anatomy_clip.models.weights.read import read_checkpoint
from anatomy_clip.runs.chain import init_checkpoint
from anatomy_clip.runs.estimate import Hardware, Missing, PlannedRun, disk_needed, gpu_memory_needed, render
from anatomy_clip.runs.folder import is_finished
from anatomy_clip.runs.wiring import wants_of
from anatomy_clip.sources.download.collections import collections
from anatomy_clip.stores.store import MANIFEST, read_meta, store_paths
from anatomy_clip.stores.training import training_stores

_GB = 1e9
_NOT_READY = 3  # exit status


def main(cfg: DictConfig) -> int:
    """Print the plan; returns the exit status, 3 where something is missing, unless the plan is all that is wanted."""
    configs = suite_configs(cfg)
    runs = [planned(cfg, run) for run in configs]
    hardware = assumed_hardware(cfg, configs[0])
    missing = [*missing_stores(cfg, configs), *missing_weights(cfg, configs), *missing_disk(configs[0], runs)]
    missing += missing_gpus(cfg, configs[0], max(run.memory_bytes for run in runs))
    trainer = configs[0].trainer
    nodes = trainer.get("num_nodes", 1)
    networks = " and ".join(dict.fromkeys(network for run in configs for network in _passes(cfg, run)))
    title = (
        f"plan: suite {configs[0].suite} at scale {cfg.at_scale}: {len(runs)} run(s), {networks}, "
        f"{trainer.precision}, {nodes} x {trainer.devices} GPU(s)"
    )
    print(render(title, runs, hardware, missing))
    if missing and not cfg.plan_only:
        print("error: the list above says what is missing; PLAN=1 only prints the plan", file=sys.stderr)
        return _NOT_READY
    return 0


def suite_configs(cfg: DictConfig) -> list[DictConfig]:
    """The config of each run, in the order in which they are run: all columns of a seed, then the next seed."""
    paths = [f"paths.{key}={cfg.paths[key]}" for key in ("data", "outputs", "weights")]
    common = [f"sweep={cfg.suite}", f"scale={cfg.at_scale}", *paths]
    swept = compose("config", overrides=common, return_hydra_config=True).hydra.sweeper.params
    return [
        compose("config", overrides=[*common, f"experiment={experiment}", f"seed={seed}"])
        for seed in cfg.seeds
        for experiment in swept.experiment.split(",")
    ]


def planned(cfg: DictConfig, run: DictConfig) -> PlannedRun:
    """What one run would do."""
    trains, passes, assumed = "fit" in run.stages, _passes(cfg, run), cfg.assumed
    parameters = sum(assumed.parameters[network] for network in passes)
    activations = sum(assumed.activations_mb[network] * times for network, times in passes.items())
    train, guessed = _slices(cfg, training_stores(run.data)) if trains else (0, False)
    return PlannedRun(
        name=run.name,
        seed=run.seed,
        train_slices=train,
        images_per_image=run.augment.images_per_image,
        epochs=run.trainer.max_epochs if trains else 0,
        batch=run.data.batch_size * _devices(run) * run.trainer.get("accumulate_grad_batches", 1),
        parameters=parameters,
        gflop=sum(assumed.gflop[network] * times for network, times in passes.items()),
        memory_bytes=gpu_memory_needed(parameters, run.data.batch_size, activations) if trains else 0.0,
        test_slices=sum(_slices(cfg, stores)[0] for stores in _tests(run)),
        finished=is_finished(run),
        guessed=guessed,
    )


def assumed_hardware(cfg: DictConfig, run: DictConfig) -> Hardware:
    """The machine, with the share of its speed that is assumed."""
    return Hardware(_devices(run), cfg.assumed.tflops * cfg.assumed.share, cfg.assumed.overhead, cfg.price_per_gpu_hour)


def missing_stores(cfg: DictConfig, runs: list[DictConfig]) -> Iterator[Missing]:
    """Stores that aren't there, are of another version, or are smaller than the model's images."""
    wanted = [path for run in runs for stores in _sets(run) for path in stores]
    size = max(_image_size(cfg, run) for run in runs)
    for path in dict.fromkeys(wanted):
        remedy = tuple(_store_remedy(cfg, path))
        try:
            meta = read_meta(path)
        except ValueError as error:
            yield Missing(f"store {error}", remedy)
            continue
        if meta.get("manifest", SLICES.version) != SLICES.version or not (path / MANIFEST).is_file():
            yield Missing(
                f"store {path}: its manifest does not have version {SLICES.version}; prepare it again", remedy
            )
        elif meta["count"] < 1 or meta["side"] < size:
            found = f"{meta['count']} slices of {meta['side']} px"
            yield Missing(f"store {path}: contains {found}; the model takes {size} px", remedy)


def missing_weights(cfg: DictConfig, runs: list[DictConfig]) -> Iterator[Missing]:
    """The files that runs start from, where they aren't there or can't be read."""
    towers = [Path(start) for run in runs for start in (init_checkpoint(run), run.model.get("text_weights")) if start]
    for path in dict.fromkeys(towers):
        if not path.exists():
            yield Missing(f"weights {path}: no such file or folder", (cfg.tower_weights[path.name],))
    if not runs[0].model.weights:
        return
    path = Path(runs[0].model.weights)
    size = cfg.weights_gb[path.name]
    where = f"into {path.parent}/, or give its folder: WEIGHTS="
    remedy = (f"download {path.name} ({size} GB), see {cfg.weights_page}, {where}",)
    if not path.is_file():
        yield Missing(f"weights {path}: no such file", remedy)
    elif path.stat().st_size < size * 0.9e9:
        yield Missing(
            f"weights {path}: {path.stat().st_size / _GB:.2f} GB of {size}: the download is not complete", remedy
        )
    else:
        try:
            read_checkpoint(path)
        except ValueError as error:
            yield Missing(f"weights {error}", remedy)


def missing_disk(run: DictConfig, runs: list[PlannedRun]) -> Iterator[Missing]:
    """Room for checkpoints and predictions, if there is too little."""
    folder = Path(run.paths.outputs).absolute()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if (needed := disk_needed(runs)) > free:
        remedy = ("free disk space, or give another folder: OUTPUTS=",)
        yield Missing(f"disk {folder}: {needed / _GB:,.1f} GB are needed, {free / _GB:,.1f} GB are free", remedy)


def missing_gpus(cfg: DictConfig, run: DictConfig, needed: float) -> Iterator[Missing]:
    """GPUs of this node, if they are too few or have less than the bytes that are needed."""
    devices = int(run.trainer.devices)
    sizes = [torch.cuda.get_device_properties(n).total_memory for n in range(torch.cuda.device_count())]
    if len(sizes) < devices:
        remedy = (f"use a machine with that many, or set trainer.devices in conf/scale/{cfg.at_scale}.yaml",)
        yield Missing(f"GPUs: {devices} are needed on this node, it has {len(sizes)}", remedy)
    elif min(sizes[:devices]) < needed:
        found = f"the smallest GPU has {min(sizes[:devices]) / _GB:.1f} GB"
        yield Missing(
            f"GPU memory: about {needed / _GB:.1f} GB are needed, {found}", ("set a smaller data.batch_size",)
        )


def _sets(run: DictConfig) -> Iterator[tuple[Path, ...]]:
    yield from (store_paths(stores) for stores in [training_stores(run.data), *run.data.validation.values()])
    yield from (store_paths(stores) for stores in _tests(run))


def _tests(run: DictConfig) -> list[Any]:
    """Stores of each test set that a run can't do without."""
    return [stores for name, stores in run.data.test.items() if name not in run.data.optional]


def _slices(cfg: DictConfig, stores: Any) -> tuple[int, bool]:
    """Slices of a set's stores, and whether the number is a guess."""
    total, guessed = 0, False
    for path in store_paths(stores):
        try:
            total += read_meta(path)["count"]
        except ValueError:
            total += cfg.assumed.slices[f"{path.parent.name}/{path.name}"]
            guessed = True
    return total, guessed


def _store_remedy(cfg: DictConfig, path: Path) -> Iterator[str]:
    name = path.parent.name
    if (collection := collections().get(name)) is not None:
        yield f"anatomy-clip download {name} {cfg.paths.data}/raw    # {collection.page}"
    yield f"anatomy-clip prepare paths.data={cfg.paths.data} {cfg.prepare[name]}"


def _devices(run: DictConfig) -> int:
    return int(run.trainer.devices) * int(run.trainer.get("num_nodes", 1))


def _passes(cfg: DictConfig, run: DictConfig) -> dict[str, float]:
    """Networks that `assumed` tells of -> how often a sample passes through each, in images of the assumed size."""
    if "architecture" in run.model:
        return {str(run.model.architecture).removesuffix("-quickgelu"): 1.0}
    wants = wants_of(run)
    images = wants.views * (_image_size(cfg, run) / cfg.assumed.image_size) ** 2
    return {run.model.vision.timm_model_name: images} | ({"BERT": 1.0} if wants.compares else {})


def _image_size(cfg: DictConfig, run: DictConfig) -> int:
    return int(run.model.vision.image_size if "vision" in run.model else cfg.assumed.image_size)
