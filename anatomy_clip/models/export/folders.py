"""A trained model to a folder that open_clip or `transformers` loads without this project."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from anatomy_clip.core.files import whole_folder
from anatomy_clip.models.image_text import NORMALISATIONS, ImageTextModel
from anatomy_clip.models.towers.bert import MAX_POOLER
from anatomy_clip.models.towers.open_clip import write_tokenizer
from anatomy_clip.models.weights import architecture, names
from anatomy_clip.models.weights.load import settings
from anatomy_clip.models.weights.read import OPEN_CLIP_CONFIG, PREPROCESSOR_CONFIG, TRANSFORMERS_CONFIG, WEIGHT_NAMES


def export(model: ImageTextModel, folder: Path, layout: str, card: str, *, overwrite: bool = False) -> None:
    """Write a model to a folder, whole or not at all.

    Args:
        model: the model; its weights are written in single precision, or in 16 bits where
            these hold them exactly (`round_weights`), its `initial_logit_scale` as the temperature.
        folder: where to; made.
        layout: a key of `LAYOUTS`.
        card: text of its README.md.
        overwrite: replace the folder if it is there.

    Raises:
        ValueError: the folder is there already, the layout is unknown, or it can't hold this model.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r} is unknown; known: {', '.join(LAYOUTS)}")
    with whole_folder(folder, unless=None if overwrite else "overwrite=true") as partial:
        LAYOUTS[layout](model, partial)
        (partial / "README.md").write_text(card, encoding="utf-8")


def _open_clip(model: ImageTextModel, folder: Path) -> None:
    if settings(model.architecture).get("text.hf_pooler_type") == MAX_POOLER:
        raise ValueError(
            f"open_clip's {MAX_POOLER} ignores the text and uses the padding, so it can't be this text tower"
        )
    mean, std = NORMALISATIONS[model.normalisation]
    prepare = {"mean": mean, "std": std, "interpolation": "bilinear", "resize_mode": "longest"}  # longest: padded
    _write_json(folder / OPEN_CLIP_CONFIG, {"model_cfg": model.architecture, "preprocess_cfg": prepare})
    _write_tensors(folder / WEIGHT_NAMES[OPEN_CLIP_CONFIG][0], names.to_openai(model))
    for name, content in model.tokenizer.files().items():
        (folder / name).write_text(content, encoding="utf-8")


def _transformers(model: ImageTextModel, folder: Path) -> None:
    config = transformers_config(model)
    config["logit_scale_init_value"] = model.initial_logit_scale
    _write_json(folder / TRANSFORMERS_CONFIG, config)
    _write_tensors(folder / WEIGHT_NAMES[TRANSFORMERS_CONFIG][0], names.to_transformers(names.to_openai(model)))
    mean, std = NORMALISATIONS[model.normalisation]
    side = {"height": model.image_size, "width": model.image_size}
    prepare = {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True, "do_resize": True, "size": {"shortest_edge": model.image_size}, "resample": 2,
        "do_center_crop": True, "crop_size": side, "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, "image_mean": mean, "image_std": std,
    }  # fmt: skip
    _write_json(folder / PREPROCESSOR_CONFIG, prepare)
    write_tokenizer(folder, model.context_length)


LAYOUTS: dict[str, Callable[[ImageTextModel, Path], None]] = {"open_clip": _open_clip, "transformers": _transformers}


def transformers_config(model: ImageTextModel) -> dict[str, Any]:
    """The `config.json` of a `transformers.CLIPModel` that is the same network.

    Raises:
        ValueError: CLIPModel can't be this network; names what it lacks.
    """
    wanted = settings(model.architecture)
    if wanted["vision.timm_model_name"] or isinstance(wanted["vision.layers"], list):
        network = wanted["vision.timm_model_name"] or "CLIP's ResNet"
        raise ValueError(
            f"transformers' CLIPModel has a vision transformer as its image tower, not {network}; use layout=open_clip"
        )
    config = architecture.to_transformers(wanted)
    possible = settings(architecture.of_transformers(config))
    lacking = [f"{key}={value}" for key, value in wanted.items() if possible[key] != value]
    if lacking:
        raise ValueError(f"transformers' CLIPModel has no {', '.join(lacking)}; use layout=open_clip")
    return config


@torch.no_grad()
def round_weights(model: ImageTextModel) -> None:
    """Round weights of two and more dimensions to what 16 bits hold, in place; norms and biases stay as they are."""
    for weight in model.parameters():
        if weight.ndim >= 2:
            weight.copy_(weight.half())


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    plain = {name: _smallest(tensor.detach().cpu()).contiguous() for name, tensor in tensors.items()}
    save_file(plain, path, metadata={"format": "pt"})
    path.chmod(0o644)  # safetensors lets the owner alone read it


def _smallest(tensor: Tensor) -> Tensor:
    """A matrix that 16 bits hold exactly, in 16 bits; any other tensor as it is."""
    half = tensor.half() if tensor.ndim >= 2 and tensor.dtype is torch.float32 else tensor
    return half if torch.equal(half.to(tensor.dtype), tensor) else tensor


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
