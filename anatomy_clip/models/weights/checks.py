"""Check that the weights of a file fit the model, and name what does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anatomy_clip.core.names import did_you_mean

_REMEDY = {
    "quick_gelu": "choose an architecture with or without the ending -quickgelu, or set model.quick_gelu",
    "vision.timm_model_name": "choose a model with that network, such as model=lite for tf_efficientnet_lite0",
    "normalisation": "set model.normalisation to the file's value, or to null to use the file's value",
}
_SHOWN = 5


def check_facts(expected: Mapping[str, Any], found: Mapping[str, Any], where: str) -> None:
    """Refuse weights that, by their own words, belong to another network.

    Raises:
        ValueError: names every setting that differs, with both values.
    """
    different = [key for key, value in found.items() if expected.get(key, value) != value]
    if different:
        listed = "; ".join(f"{key} is {found[key]} in the file and {expected[key]} in the model" for key in different)
        remedy = " ".join(f"({_REMEDY[key]})" for key in different if key in _REMEDY)
        raise ValueError(f"{where}: the weights contradict the model: {listed} {remedy}".rstrip())


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
        *_listed("unexpected", [key + did_you_mean(key, expected, cutoff=0.8) for key in found if key not in expected]),
        *_listed("wrong shape", shapes),
    ]
    if problems:
        raise ValueError(f"{where}: the weights don't fit the model; " + "; ".join(problems))


def _listed(title: str, items: list[str]) -> list[str]:
    if not items:
        return []
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return [f"{title}: {', '.join(items[:_SHOWN])}{more}"]
