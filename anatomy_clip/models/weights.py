"""Weights from disk into a model: checked by name, loaded without running code."""

from __future__ import annotations

import difflib
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from anatomy_clip.models.image_text import ImageTextModel

_MODEL_PREFIX = "model."  # where the training module keeps the model
_SHOWN = 5


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint with `weights_only`, so that no code in it can run.

    Raises:
        ValueError: the file is missing, damaged, or holds more than tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(
            f"{path}: no such weights file; at laptop scale `make reproduce-table3` trains the stand-in first, "
            "at paper scale put the PubMedCLIP file there"
        )
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: can't be read as weights ({first})") from error
    if not isinstance(checkpoint, dict):
        raise ValueError(f"{path}: holds no dict but a {type(checkpoint).__name__}")
    return checkpoint


def load_weights(model: ImageTextModel, path: str | Path) -> None:
    """Load one of this project's checkpoints into a model, and take over its temperature.

    Args:
        model: the model to fill; its `initial_logit_scale` becomes the checkpoint's.
        path: a `last.ckpt`.

    Raises:
        ValueError: the file is missing or damaged, isn't this project's checkpoint, or has keys or shapes that
            don't fit; the message names them.
    """
    checkpoint = read_checkpoint(path)
    if "recipe" not in checkpoint:
        raise ValueError(
            f"{path}: not a checkpoint of this project (no recipe in it); other layouts can't be loaded yet"
        )
    if not checkpoint["recipe"].get("finished"):
        raise ValueError(f"{path}: its training hasn't finished; run that experiment again, it goes on")
    state = checkpoint["state_dict"]
    weights = {key.removeprefix(_MODEL_PREFIX): value for key, value in state.items() if key.startswith(_MODEL_PREFIX)}
    check_keys(model.state_dict(), weights, str(path))
    model.load_state_dict(weights)
    if "objective.logit_scale" in state:
        model.initial_logit_scale = float(state["objective.logit_scale"])


def check_keys(expected: Mapping[str, Any], found: Mapping[str, Any], where: str) -> None:
    """Refuse weights whose names or shapes differ from the model's.

    Raises:
        ValueError: names the missing, unexpected and misshapen tensors.
    """
    shapes = [
        f"{key}: {tuple(found[key].shape)} in the file, {tuple(value.shape)} in the model"
        for key, value in expected.items()
        if key in found and tuple(found[key].shape) != tuple(value.shape)
    ]
    problems = [
        *_listed("missing", [key for key in expected if key not in found]),
        *_listed("unexpected", [_with_nearest(key, expected) for key in found if key not in expected]),
        *_listed("wrong shape", shapes),
    ]
    if problems:
        raise ValueError(f"{where}: the weights don't fit the model; " + "; ".join(problems))


def _with_nearest(key: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.8)
    return f"{key} (nearest: {nearest[0]})" if nearest else key


def _listed(title: str, items: list[str]) -> list[str]:
    if not items:
        return []
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return [f"{title}: {', '.join(items[:_SHOWN])}{more}"]
