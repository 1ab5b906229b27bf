"""An image tower that was trained before, into a new model; everything else of that model stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.models.weights.checks import check_facts, check_keys
from anatomy_clip.models.weights.golden import provenance
from anatomy_clip.models.weights.load import OWN, Weights, read_weights, settings
from anatomy_clip.models.weights.read import read_checkpoint

_PREFIX = "image."
_HEAD = "visual.head."  # what pools and projects behind a timm network, and isn't a part of it
_CLASSIFIER = "fc."  # of a ResNet, for ImageNet's classes
_BESIDE_VISION = ("quick_gelu", "normalisation")  # what an image tower's outputs hang on too


def read_image_tower(checkpoint: Path) -> Weights:
    """Read the weights of a finished run.

    Raises:
        ValueError: there is no checkpoint, it isn't a run's, its training hasn't finished, or its network isn't told.
    """
    if not checkpoint.is_file():
        raise ValueError(
            f"init.image: {checkpoint} does not exist; give a run that was trained, as <suite>/<name>/seed_N or its "
            "folder"
        )
    weights = read_weights(checkpoint)
    if weights.layout != OWN or not weights.facts:
        raise ValueError(
            f"init.image: {checkpoint} was not written by a run; for weights from elsewhere, use model.weights"
        )
    return weights


def read_trunk(file: Path) -> Weights:
    """Read a ResNet under the names of torchvision and timm as an image tower; its classifier is left out.

    Of the network and its normalisation the file says nothing: its names and shapes are compared with the model's.

    Raises:
        ValueError: it isn't there or can't be read.
    """
    if not file.is_file():
        raise ValueError(
            f"init.image: {file} does not exist; put a ResNet's weights there, with torchvision's or timm's names, or "
            "set init.image=null for random weights"
        )
    tensors = {name: t for name, t in read_checkpoint(file).items() if not name.startswith(_CLASSIFIER)}
    for norm in [name.removesuffix("running_var") for name in tensors if name.endswith("running_var")]:
        tensors.setdefault(f"{norm}num_batches_tracked", torch.tensor(0))  # files of 2017 don't count batches
    trunk = {f"{_PREFIX}visual.trunk.{name}": tensor for name, tensor in tensors.items()}
    return Weights(str(file), file, "torchvision's names", trunk, {})


def load_image_tower(model: ImageTextModel, weights: Weights) -> None:
    """Fill a model's image tower, and write where it came from to `model.provenance`.

    A joint projection that only one of the two has stays random, or is left out. So does a pool by attention, of
    which a network that was trained for ImageNet has none.

    Raises:
        ValueError: the towers differ; names the settings or tensors.
    """
    where = f"init.image: {weights.file}"
    check_facts(_of_image(settings(model.architecture, model.normalisation)), _of_image(weights.facts), where)
    expected = model.image.state_dict()
    found = {name.removeprefix(_PREFIX): t for name, t in weights.tensors.items() if name.startswith(_PREFIX)}
    if not any(name.startswith(_HEAD) for name in found):
        expected = {name: tensor for name, tensor in expected.items() if not name.startswith(_HEAD)}
    joint = model.image.projections
    if not all(any(name.startswith(joint) for name in tensors) for tensors in (expected, found)):
        expected = {name: tensor for name, tensor in expected.items() if not name.startswith(joint)}
        found = {name: tensor for name, tensor in found.items() if not name.startswith(joint)}
    check_keys(expected, found, where)
    model.image.load_state_dict(found, strict=False)
    model.provenance = provenance(model, weights.source, f"the image tower of {weights.layout}", weights.file)


def _of_image(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: v for key, v in facts.items() if key.startswith("vision.") or key in _BESIDE_VISION}
