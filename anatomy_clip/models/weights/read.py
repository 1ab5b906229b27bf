"""From the name of weights to what the files hold: found, then read without running code."""

from __future__ import annotations

import json
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from anatomy_clip.models.tokenizers import TOKENIZER_FILES
from anatomy_clip.models.weights import hub
from anatomy_clip.models.weights.torchscript import is_torchscript, read_torchscript

OPEN_CLIP_CONFIG, TRANSFORMERS_CONFIG = "open_clip_config.json", "config.json"
PREPROCESSOR_CONFIG = "preprocessor_config.json"
WEIGHT_NAMES = {
    OPEN_CLIP_CONFIG: ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
    TRANSFORMERS_CONFIG: ("model.safetensors", "pytorch_model.bin"),
}
_LOCAL_DIR = "local-dir:"  # open_clip's way to name a folder


@dataclass(frozen=True)
class WeightFile:
    """Where weights stand, and what stands beside them.

    Attributes:
        path: the file of the tensors.
        open_clip: content of `open_clip_config.json`; None where there is none.
        transformers: content of `config.json`; None where there is none.
        preprocessor: content of `preprocessor_config.json`; None where there is none.
    """

    path: Path
    open_clip: dict[str, Any] | None = None
    transformers: dict[str, Any] | None = None
    preprocessor: dict[str, Any] | None = None


def locate(source: str | Path) -> WeightFile:
    """Find weights by a file, a folder in the layout of open_clip or `transformers`, or a hub reference.

    Args:
        source: a path, `local-dir:<folder>`, or `hf:<owner>/<name>@<commit>` (see `hub.fetch`).

    Raises:
        ValueError: nothing is there, or the folder has no layout that is known.
    """
    if str(source).startswith(hub.PREFIX):
        weights = tuple(name for names in WEIGHT_NAMES.values() for name in names)
        path = hub.fetch(str(source), (*WEIGHT_NAMES, PREPROCESSOR_CONFIG, *TOKENIZER_FILES), weights)
    else:
        path = Path(str(source).removeprefix(_LOCAL_DIR))
    if path.is_dir():
        path = _in_folder(path)
    for config, names in WEIGHT_NAMES.items():
        beside = path.with_name(config)
        if path.name in names and beside.is_file():
            if config == OPEN_CLIP_CONFIG:
                return WeightFile(path, open_clip=_json(beside))
            preprocessor = path.with_name(PREPROCESSOR_CONFIG)
            return WeightFile(
                path,
                transformers=_json(beside),
                preprocessor=_json(preprocessor) if preprocessor.is_file() else None,
            )
    return WeightFile(path)


def _in_folder(folder: Path) -> Path:
    for config, names in WEIGHT_NAMES.items():
        if (folder / config).is_file():
            for name in names:
                if (folder / name).is_file():
                    return folder / name
    wanted = "; or ".join(f"{config} with {' or '.join(names)}" for config, names in WEIGHT_NAMES.items())
    raise ValueError(f"{folder}: has no weights in a known layout; it needs {wanted}; or give the file itself")


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: contains a {type(content).__name__}, not a mapping")
    return content


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a file of weights, so that no code in it can run; tensors of a `torch.save` stay on disk until used.

    Args:
        path: a `torch.save` with plain content, a `.safetensors` or a TorchScript archive.

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
        checkpoint = _read(path)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, KeyError, zipfile.BadZipFile) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: can't be read as weights ({first})") from error
    if not isinstance(checkpoint, dict):
        raise ValueError(f"{path}: contains a {type(checkpoint).__name__}, not a dict")
    return checkpoint


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise OSError(str(error)) from error
    if is_torchscript(path):
        return read_torchscript(path)
    # The format before torch 1.6 is no zip file and can't be mapped.
    return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
