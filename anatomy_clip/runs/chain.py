"""The runs that a run starts from, and whom they were trained on: keyed hashes of patients, kept in `last.ckpt`."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from anatomy_clip.core.pseudonyms import SALT, Pseudonyms

_PATIENTS, _KEY = "patients", "patients_key"  # of a checkpoint's recipe


def init_checkpoint(cfg: DictConfig) -> Path | None:
    """The checkpoint of the run that `init.image` names; None where it names none.

    A run is `<suite>/<name>/seed_<n>` below the outputs, or any folder of a run, or its `last.ckpt`.

    Raises:
        ValueError: the config starts from whole weights too.
    """
    source = OmegaConf.select(cfg, "init.image")
    if not source:
        return None
    if OmegaConf.select(cfg, "model.weights"):
        raise ValueError("init.image and model.weights both say where the image tower starts: set one of them to null")
    below = Path(cfg.paths.outputs, source)
    path = below if below.exists() or not Path(source).exists() else Path(source)
    return path if path.suffix == ".ckpt" else path / "last.ckpt"


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
            f"{checkpoint}: its run kept no list of its training patients, as versions before 0.2.0 of anatomy_clip "
            "didn't; train that run again"
        )
    if recipe[_KEY] != _key():
        raise ValueError(
            f"{checkpoint}: its training patients are hashed with another {SALT} than is set now, so they can't be "
            f"compared; set {SALT} to the one that it was trained with"
        )
    return frozenset(recipe[_PATIENTS])


def patients_entry(hashes: Iterable[str]) -> dict[str, Any]:
    """What a recipe says of the training patients: their hashes, sorted, and what tells whether the key is the same."""
    return {_PATIENTS: sorted(hashes), _KEY: _key()}


def _key() -> str:
    return Pseudonyms.of_environment()("key", "patients")
