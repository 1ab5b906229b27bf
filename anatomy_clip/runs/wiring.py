"""Config nodes to objects: the wires between config groups that several programs need."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf

from anatomy_clip import __version__
from anatomy_clip.anatomy.labels import label_names
from anatomy_clip.core.radiographs import RADIOGRAPHS
from anatomy_clip.core.refusals import Refused
from anatomy_clip.runs.chain import read_start

if TYPE_CHECKING:
    from torch import Tensor

    from anatomy_clip.anatomy.labels import LabelSet
    from anatomy_clip.core.types import Wants
    from anatomy_clip.data.datamodule import SliceDataModule
    from anatomy_clip.evaluation.base import Evaluator
    from anatomy_clip.models.image_text import ImageTextModel
    from anatomy_clip.objectives.base import Objective
    from anatomy_clip.training.watchers import Watcher

ALLOWED_TARGETS = ("anatomy_clip.", "lightning.")  # packages that a config may build objects from
PACKAGES = ("torch", "lightning", "open_clip_torch", "albumentations")


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


def wants_of(cfg: DictConfig) -> Wants:
    """What the objective of a config asks of batches and of the model."""
    wants: Wants = get_class(cfg.objective._target_).wants  # type: ignore[attr-defined]
    return wants


def build_model(cfg: DictConfig, **changes: Any) -> ImageTextModel:
    """Build the parts of a config's model that its objective has a use for, and print what its weights are.

    Args:
        cfg: the run's config.
        changes: values in place of the model's keys; with `weights` among them, `init` is left alone.

    Raises:
        ValueError: the config starts from whole weights and from a run, that run is unfinished or has another tower, or
            ImageNet's weights aren't there or are another network's.
    """
    from anatomy_clip.models.weights.image_tower import load_image_tower
    from anatomy_clip.stores.training import training_stores
    from anatomy_clip.stores.vocabulary import read_vocabulary

    tower = None if "weights" in changes else read_start(cfg)
    if tower is not None:  # what the model leaves open
        known = [key for key in ("quick_gelu", "normalisation") if key in tower.facts]
        changes |= {key: tower.facts[key] for key in known if cfg.model.get(key) is None}
    wants = wants_of(cfg)
    parts = {"text_tower": wants.compares, "joint": wants.joint}
    unwanted = {part: False for part, wanted in parts.items() if not wanted}
    if wants.texts and OmegaConf.select(cfg, "model.text.words") and not changes.get("weights", cfg.model.weights):
        changes["vocabulary"] = read_vocabulary(training_stores(cfg.data)[0])
    model: ImageTextModel = build(cfg.model, **unwanted, **changes, _convert_="all")
    if tower is not None:
        load_image_tower(model, tower)
    if model.provenance and is_first_rank():
        print(model.provenance, flush=True)
    return model


def build_objective(cfg: DictConfig, taxonomy: LabelSet, model: ImageTextModel) -> Objective:
    """Build the objective of a config, with the tokens of the class names and the names of labels where it wants them.

    Raises:
        ValueError: the taxonomy has no labels of a space that the objective predicts.
    """
    wants, names = wants_of(cfg), label_names(taxonomy)
    if missing := [space for space in wants.labels if space not in names]:
        raise ValueError(
            f"taxonomy: has no labels of {', '.join(missing)}, which the objective predicts; it has {', '.join(names)}"
        )
    given: dict[str, Any] = {"classes": class_names(taxonomy, model)} if wants.classes else {}
    given |= {"label_names": {space: names[space] for space in wants.labels}} if wants.labels else {}
    objective: Objective = build(cfg.objective, model=model, **given)
    return objective


def load_run(cfg: DictConfig, folder: Path, taxonomy: LabelSet) -> tuple[ImageTextModel, Objective]:
    """Load the model that a run trained, and what its objective learned to compare by or to predict labels.

    Raises:
        ValueError: there is no finished checkpoint, or it was trained with another taxonomy.
    """
    from anatomy_clip.models.weights.read import read_checkpoint

    path = folder / "last.ckpt"
    checkpoint = read_checkpoint(path)
    if checkpoint.get("recipe", {}).get("taxonomy", {}) != taxonomy.to_dict():
        raise ValueError(
            f"{path}: was trained with another taxonomy than '{taxonomy.name}'; evaluate it with its own taxonomy, "
            "or train again with overwrite=true"
        )
    model = build_model(cfg, weights=str(path))
    objective = build_objective(cfg, taxonomy, model)
    if objective.compares or objective.predicts:  # of another, evaluators ask nothing
        objective.setup(model)
        prefix = "objective."
        learned = {key.removeprefix(prefix): v for key, v in checkpoint["state_dict"].items() if key.startswith(prefix)}
        objective.load_state_dict(learned)
    return model, objective


def build_data(
    cfg: DictConfig, taxonomy: LabelSet, model: ImageTextModel, earlier_patients: Collection[str] = ()
) -> SliceDataModule:
    """Join stores, what the objective wants, and augmentation at the model's image size and context length."""
    wants = wants_of(cfg)
    data: SliceDataModule = build(
        cfg.data,
        seed=cfg.seed,
        taxonomy=taxonomy,
        texts=build(cfg.prompts, taxonomy=taxonomy) if wants.texts else None,
        kinds=wants.texts,
        views=wants.views,
        augment=build(cfg.augment, size=model.image_size),
        context_length=model.context_length,
        tokenizer=model.tokenizer,
        earlier_patients=earlier_patients,
        _convert_="all",
    )
    return data


def build_evaluators(cfg: DictConfig, taxonomy: LabelSet) -> dict[str, Evaluator]:
    """The evaluators of a config by name; one that is set to null is left out."""
    return {name: build(node, taxonomy=taxonomy, _convert_="all") for name, node in cfg.eval.items() if node}


def build_watchers(cfg: DictConfig, taxonomy: LabelSet, model: ImageTextModel) -> list[Watcher]:
    """What is measured on the validation sets in training.

    Of slices, zero-shot accuracy where images and texts are compared; of radiographs, whether it has collapsed.
    """
    from anatomy_clip.models.tokenizers import tokenize_classes
    from anatomy_clip.training.watchers import CollapseWatcher, ZeroShotWatcher

    if taxonomy.kind is RADIOGRAPHS:
        return [CollapseWatcher(list(cfg.data.validation))] if cfg.data.validation else []
    if not wants_of(cfg).compares or not cfg.eval.get("zero_shot"):
        return []
    texts = build(cfg.eval.zero_shot.prompts).texts(taxonomy).items()
    prompts = {kind: tokenize_classes(rows, model.context_length, model.tokenizer) for kind, rows in texts}
    return [ZeroShotWatcher(prompts, label_names(taxonomy), list(cfg.data.validation))]


def class_names(taxonomy: LabelSet, model: ImageTextModel) -> dict[str, Tensor]:
    """Tokenise the bare names of organs and stations: label space -> (K, L).

    Raises:
        Refused: the taxonomy has neither.
    """
    from anatomy_clip.models.tokenizers import tokenize

    if taxonomy.kind is RADIOGRAPHS:
        raise Refused(
            "objective: it needs the names of organs and stations, but radiographs have none", "choose another"
        )
    names = label_names(taxonomy)
    return {kind: tokenize(names[kind], model.context_length, model.tokenizer) for kind in ("organ", "station")}


def recipe(cfg: DictConfig, taxonomy: LabelSet, model: ImageTextModel) -> dict[str, Any]:
    """Plain values that a checkpoint carries: config, taxonomy, network, the weights it started from, versions."""
    config = OmegaConf.to_container(cfg, resolve=False)
    return {
        "config": config,
        "taxonomy": taxonomy.to_dict(),
        "model": model.describe(),
        "weights": model.provenance.plain() if model.provenance else None,
        "versions": versions(),
        "finished": False,
    }


def versions() -> dict[str, str]:
    """Versions of the packages that decide the numbers."""
    return {"anatomy_clip": __version__, **{package: version(package) for package in PACKAGES}}


def check_targets(node: Any, where: str = "") -> None:
    """Refuse a config that would build an object from a package not meant for it.

    Raises:
        ValueError: names the key and the target.
    """
    if isinstance(node, Mapping):
        target = node.get("_target_")
        if target is not None and not str(target).startswith(ALLOWED_TARGETS):
            raise ValueError(f"{where}._target_={target}: objects may only come from {', '.join(ALLOWED_TARGETS)}")
        for key, value in node.items():
            check_targets(value, f"{where}.{key}".lstrip("."))
    elif isinstance(node, list):
        for n, value in enumerate(node):
            check_targets(value, f"{where}[{n}]")


def is_first_rank() -> bool:
    """Whether this process is the run's first; Lightning knows it from its launcher or from SLURM."""
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    return int(getattr(rank_zero_only, "rank", 0)) == 0


def device(cfg: DictConfig) -> str:
    """Where a run's tests run: "cuda" where its trainer asks for a GPU and there is one, else "cpu"."""
    import torch

    return "cuda" if cfg.trainer.accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available() else "cpu"
