"""Config nodes to objects: the wires between config groups that several programs need."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from anatomy_clip.anatomy.taxonomy import Taxonomy
    from anatomy_clip.data.datamodule import SliceDataModule
    from anatomy_clip.models.image_text import ImageTextModel

ALLOWED_TARGETS = ("anatomy_clip.", "lightning.")  # packages that a config may build objects from
PACKAGES = ("anatomy_clip", "torch", "lightning", "open_clip_torch", "albumentations")


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
    if model.provenance and is_first_rank():
        print(model.provenance, flush=True)
    return model


def load_run(cfg: DictConfig, folder: Path, taxonomy: Taxonomy) -> ImageTextModel:
    """Load the model that a run trained.

    Raises:
        ValueError: there is no finished checkpoint, or it was trained with another taxonomy.
    """
    from anatomy_clip.models.weights.read import read_checkpoint

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
        texts=build(cfg.prompts, taxonomy=taxonomy),
        augment=build(cfg.augment, size=model.image_size),
        context_length=model.context_length,
        tokenizer=model.tokenizer,
        _convert_="all",
    )
    return data


def evaluation_prompts(cfg: DictConfig, taxonomy: Taxonomy, model: ImageTextModel) -> dict[str, Tensor]:
    """Tokenise the evaluation prompts: label kind -> (K, T, L)."""
    from anatomy_clip.models.tokenizers import tokenize_classes

    texts = build(cfg.eval.prompts).texts(taxonomy).items()
    return {kind: tokenize_classes(rows, model.context_length, model.tokenizer) for kind, rows in texts}


def label_priors(data: SliceDataModule, model: ImageTextModel) -> dict[str, NDArray[np.float64]]:
    """What each label's share of the training slices adds to its cosines: label kind -> (K,)."""
    from anatomy_clip.evaluation.zero_shot import prior_offsets

    labels = data.training_labels()
    return {kind: prior_offsets(labels[kind] == 1, model.initial_logit_scale) for kind in ("organ", "station")}


def class_names(taxonomy: Taxonomy, model: ImageTextModel) -> dict[str, Tensor]:
    """Tokenise the bare label names: label kind -> (K, L)."""
    from anatomy_clip.models.tokenizers import tokenize

    names = label_names(taxonomy).items()
    return {kind: tokenize(labels, model.context_length, model.tokenizer) for kind, labels in names}


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
        "weights": model.provenance.plain() if model.provenance else None,
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


def is_first_rank() -> bool:
    """Whether this process is the run's first; Lightning knows it from its launcher or from SLURM."""
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    return int(getattr(rank_zero_only, "rank", 0)) == 0


def device(cfg: DictConfig) -> str:
    """Where a run's tests run: "cuda" where its trainer asks for a GPU and there is one, else "cpu"."""
    import torch

    return "cuda" if cfg.trainer.accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available() else "cpu"
