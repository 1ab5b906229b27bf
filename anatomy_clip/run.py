"""Where config meets objects: every wire between two config groups is on this page."""

from __future__ import annotations

import difflib
import json
import logging
import shutil
import signal
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from anatomy_clip.runs import STAGES_FILE, claim, finished_stages, run_folder, stage_inputs, write_atomically

if TYPE_CHECKING:
    from torch import Tensor

    from anatomy_clip.anatomy.taxonomy import Taxonomy
    from anatomy_clip.data.datamodule import SliceDataModule
    from anatomy_clip.models.image_text import ImageTextModel

ALLOWED_TARGETS = ("anatomy_clip.", "lightning.")  # packages that a config may build objects from
PACKAGES = ("anatomy_clip", "torch", "lightning", "open_clip_torch", "albumentations")


def run(cfg: DictConfig) -> None:
    """Do a run's stages in order; finished ones are skipped, an interrupted one goes on.

    Raises:
        ValueError: an unknown stage, a target outside the allowed packages, a folder that another config made, or
            anything wrong with data or weights; the message says what to do.
    """
    check_targets(OmegaConf.to_container(cfg, resolve=False))
    if OmegaConf.is_dict(cfg.trainer.devices):
        build(cfg.trainer.devices)  # takes this run's GPU before anything looks for one
    folder, first = run_folder(cfg), _is_first_rank()
    if cfg.overwrite and first and folder.exists():
        shutil.rmtree(folder)
    done = finished_stages(folder) if first or not cfg.overwrite else {}
    for name in cfg.stages:
        if name not in STAGES:
            raise ValueError(f"stages: {name!r} is unknown{nearest(name, STAGES)}; known are {', '.join(STAGES)}")
        inputs = stage_inputs(cfg, name)
        if done.get(name) == inputs:
            print(f"{folder}: {name} is done")
            continue
        if first:  # the folder is the first rank's to write
            claim(cfg, folder)
        STAGES[name](cfg, folder)
        done[name] = inputs
        if first:
            write_atomically(folder / STAGES_FILE, json.dumps(done, indent=1))


def fit(cfg: DictConfig, folder: Path) -> None:
    """Train into `folder/last.ckpt`; go on from it where it is there already."""
    import lightning
    from lightning.pytorch.utilities.exceptions import SIGTERMException

    from anatomy_clip.training.checkpoints import AtomicCheckpointIO
    from anatomy_clip.training.pretrain import PretrainModule
    from anatomy_clip.training.restarts import LastCheckpoint, StepSeeds

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # its tips and device lists say nothing here
    lightning.seed_everything(cfg.seed, workers=True, verbose=False)
    taxonomy = build(cfg.taxonomy)
    model = build_model(cfg)
    data = build_data(cfg, taxonomy, model)
    module = PretrainModule(
        model,
        build(cfg.objective, model=model),
        **build(cfg.optim),
        prompts=evaluation_prompts(cfg, taxonomy, model),
        labels=label_names(taxonomy),
        validation_sets=list(cfg.data.validation),
        recipe=recipe(cfg, taxonomy, model),
    )
    restarts = [StepSeeds(cfg.seed), LastCheckpoint(folder, every_n_steps=cfg.checkpoint_every)]
    trainer = build(
        cfg.trainer,
        default_root_dir=str(folder),
        logger=build(cfg.logger)(save_dir=str(folder)),
        callbacks=[*restarts, *_progress_bar(cfg)],
        plugins=[AtomicCheckpointIO()],
    )
    last = folder / "last.ckpt"
    print(f"{folder}: training{' goes on' if last.exists() else ''} on {cfg.trainer.accelerator}", flush=True)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    except SIGTERMException as stopped:
        raise SystemExit(128 + signal.SIGTERM) from stopped  # by itself it would end the program as if all were well
    module.recipe["finished"] = True
    trainer.save_checkpoint(last)


def evaluate(cfg: DictConfig, folder: Path) -> None:
    """Score every test set into `folder/predictions.parquet` and `folder/results.json`."""
    from anatomy_clip.evaluation.zero_shot import ZeroShot

    if not _is_first_rank():
        return
    taxonomy, model, data = _tested(cfg, folder)
    evaluator = ZeroShot(
        evaluation_prompts(cfg, taxonomy, model),
        label_names(taxonomy),
        resamples=cfg.eval.resamples,
        device=_device(cfg),
    )
    absent = data.absent_tests()
    for name in absent:
        print(f"{folder}: test set {name} isn't there and is left out")
    predictions = evaluator.predict(model, data.test_sets())
    predictions.write(folder / "predictions.parquet")
    scores = evaluator.score(predictions)
    results = {
        "suite": cfg.suite,
        "name": cfg.name,
        "seed": cfg.seed,
        "labels": {f"{kind}s": list(names) for kind, names in label_names(taxonomy).items()},
        "scores": [vars(score) for score in scores],
        "versions": versions(),
        "weights": model.report.plain() if model.report else None,
        "notes": [f"test set {name} was absent" for name in absent],
    }
    write_atomically(folder / "results.json", json.dumps(results, indent=1))
    for score in scores:
        print(
            f"  {score.cell:32s} {100 * score.value:5.1f} %  [{100 * score.lo:.1f}, {100 * score.hi:.1f}]  n={score.n}"
        )


def contrast(cfg: DictConfig, folder: Path) -> None:
    """Set right captions against contradicted ones on every test slice, into `folder/contrast.parquet`."""
    from anatomy_clip.evaluation.base import write_rows
    from anatomy_clip.evaluation.prompt_contrast import PromptContrast

    if not _is_first_rank():
        return
    taxonomy, model, data = _tested(cfg, folder)
    evaluator = PromptContrast(cfg.eval.contrast, taxonomy, resamples=cfg.eval.resamples, device=_device(cfg))
    table = evaluator.predict(model, data.test_sets())
    write_rows(table, folder / "contrast.parquet")
    for score in evaluator.score(table):
        print(f"  {score.cell:32s} {100 * score.value:5.1f} %  n={score.n}")


STAGES: dict[str, Callable[[DictConfig, Path], None]] = {"fit": fit, "evaluate": evaluate, "contrast": contrast}


def build(node: Any, **kwargs: Any) -> Any:
    """Build the object that a config node describes.

    Raises:
        ValueError: what its constructor said of the values, without Hydra's wrapping.
    """
    try:
        return instantiate(node, **kwargs)
    except InstantiationException as error:
        if isinstance(error.__cause__, ValueError):
            raise error.__cause__ from None
        raise


def build_model(cfg: DictConfig, **changes: Any) -> ImageTextModel:
    """Build the model of a config, and print what its weights are."""
    model: ImageTextModel = build(cfg.model, **changes, _convert_="all")
    if model.report and _is_first_rank():
        print(model.report, flush=True)
    return model


def _tested(cfg: DictConfig, folder: Path) -> tuple[Taxonomy, ImageTextModel, SliceDataModule]:
    """What a test needs: the taxonomy, the model that the run trained (or its weights as they are), the test sets."""
    taxonomy = build(cfg.taxonomy)
    model = load_run(cfg, folder, taxonomy) if "fit" in cfg.stages else build_model(cfg)
    data = build_data(cfg, taxonomy, model)
    data.setup("test")
    return taxonomy, model, data


def load_run(cfg: DictConfig, folder: Path, taxonomy: Taxonomy) -> ImageTextModel:
    """Load the model that a run trained.

    Raises:
        ValueError: there is no finished checkpoint, or it was trained with another taxonomy.
    """
    from anatomy_clip.models.weight_files import read_checkpoint

    path = folder / "last.ckpt"
    trained = read_checkpoint(path).get("recipe", {}).get("taxonomy", {})
    if trained != taxonomy.to_dict():
        raise ValueError(
            f"{path}: was trained with another taxonomy than '{taxonomy.name}'; evaluate it with its own, "
            "or train again with overwrite=true"
        )
    return build_model(cfg, weights=str(path))


def build_data(cfg: DictConfig, taxonomy: Taxonomy, model: ImageTextModel) -> SliceDataModule:
    """Join stores, prompts and image augmentation at the model's image size and context length."""
    data: SliceDataModule = build(
        cfg.data,
        seed=cfg.seed,
        taxonomy=taxonomy,
        prompts=build(cfg.prompts),
        augment=build(cfg.augment, size=model.image_size),
        context_length=model.context_length,
        _convert_="all",
    )
    return data


def evaluation_prompts(cfg: DictConfig, taxonomy: Taxonomy, model: ImageTextModel) -> dict[str, Tensor]:
    """Tokenise the evaluation prompts: label kind -> (K, T, L)."""
    from anatomy_clip.data.collate import tokenize

    prompts = build(cfg.eval.prompts)
    texts = {"organ": prompts.organ_prompts(taxonomy), "station": prompts.station_prompts(taxonomy)}
    tokens = {}
    for kind, classes in texts.items():
        flat = tokenize([text for row in classes for text in row], model.context_length)
        tokens[kind] = flat.reshape(len(classes), len(classes[0]), -1)
    return tokens


def label_names(taxonomy: Taxonomy) -> dict[str, tuple[str, ...]]:
    """Label kind -> label names, in the taxonomy's order."""
    return {"organ": tuple(taxonomy.organs), "station": tuple(taxonomy.stations)}


def recipe(cfg: DictConfig, taxonomy: Taxonomy, model: ImageTextModel) -> dict[str, Any]:
    """Plain values that a checkpoint carries: config, taxonomy, network, the weights it started from, versions."""
    config = OmegaConf.to_container(cfg, resolve=False)
    return {
        "config": config,
        "taxonomy": taxonomy.to_dict(),
        "model": model.describe(),
        "weights": model.report.plain() if model.report else None,
        "versions": versions(),
        "finished": False,
    }


def versions() -> dict[str, str]:
    """Versions of the packages that decide the numbers."""
    return {package: version(package) for package in PACKAGES}


def check_targets(node: Any, where: str = "") -> None:
    """Refuse a config that would build an object from a package not meant for it.

    Raises:
        ValueError: names the key and the target.
    """
    if isinstance(node, Mapping):
        target = node.get("_target_")
        if target is not None and not str(target).startswith(ALLOWED_TARGETS):
            raise ValueError(f"{where}._target_={target}: objects may come from {', '.join(ALLOWED_TARGETS)} only")
        for key, value in node.items():
            check_targets(value, f"{where}.{key}".lstrip("."))
    elif isinstance(node, list):
        for n, value in enumerate(node):
            check_targets(value, f"{where}[{n}]")


def nearest(name: str, known: Any) -> str:
    """A hint at the nearest known name, or nothing."""
    match = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
    return f" (did you mean '{match[0]}'?)" if match else ""


def _is_first_rank() -> bool:
    """Whether this process is the run's first; Lightning knows it from its launcher or from SLURM."""
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    return int(getattr(rank_zero_only, "rank", 0)) == 0


def _device(cfg: DictConfig) -> str:
    import torch

    return "cuda" if cfg.trainer.accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available() else "cpu"


def _progress_bar(cfg: DictConfig) -> list[Any]:
    if not cfg.trainer.get("enable_progress_bar", True):
        return []
    from lightning.pytorch.callbacks import TQDMProgressBar

    return [TQDMProgressBar(refresh_rate=20)]
