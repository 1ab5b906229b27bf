"""A run's folder: where it is, what made it, and what its finished stages depended on."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from anatomy_clip import __version__
from anatomy_clip.core.files import sha256_of, write_text
from anatomy_clip.core.trees import differences
from anatomy_clip.runs.chain import init_checkpoint
from anatomy_clip.runs.settings import NO_TRAINING, deciding
from anatomy_clip.stores.store import store_paths
from anatomy_clip.stores.training import training_stores

STAGES_FILE, CHECKPOINT = "stages.json", "last.ckpt"
EVALUATE = "evaluate"


def run_folder(cfg: DictConfig) -> Path:
    """The folder of a run: `<outputs>/<suite>/<name>/seed_<n>`."""
    return Path(cfg.paths.outputs, cfg.suite, cfg.name, f"seed_{cfg.seed}")


def steps(cfg: DictConfig) -> list[str]:
    """The stages of a run, `evaluate` as one `evaluate/<name>` for each of its evaluators."""
    evaluators = [f"{EVALUATE}/{name}" for name, node in cfg.eval.items() if node]
    return [step for stage in cfg.stages for step in (evaluators if stage == EVALUATE else [stage])]


def stage_inputs(cfg: DictConfig, step: str) -> str:
    """Digest of all that a step depends on: code, its part of the config, its stores, the weights it starts from."""
    config = training_config(cfg)
    weights = cfg.model.get("weights")
    parts: dict[str, Any] = {
        "version": __version__,
        "config": config,
        "weights": _weights_digest(weights) if weights else None,
        "image": _digest_if_there(init) if (init := init_checkpoint(cfg)) else None,
    }
    if bert := cfg.model.get("text_weights"):
        parts["text"] = _weights_digest(bert)
    if cfg.get("average"):
        parts["averaged"] = [_digest_if_there(path) for path in cfg.average.checkpoints]
    sets = [training_stores(cfg.data), *cfg.data.validation.values()]
    if step.startswith(EVALUATE):
        sets += cfg.data.test.values()
        parts["checkpoint"] = _digest_if_there(run_folder(cfg) / CHECKPOINT)  # of what is tested
        parts["eval"] = OmegaConf.to_container(cfg.eval[step.split("/")[1]], resolve=True)
        parts["test"] = OmegaConf.to_container(cfg.data.test, resolve=False)
    parts["stores"] = [_digest_if_there(path / "store.json") for stores in sets for path in store_paths(stores)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def is_finished(cfg: DictConfig) -> bool:
    """Whether all stages of a run are done with what it depends on now."""
    done = finished_stages(run_folder(cfg))
    return bool(done) and all(done.get(step) == stage_inputs(cfg, step) for step in steps(cfg))


def finished_stages(folder: Path) -> dict[str, str]:
    """Step -> what it depended on, of the steps that a run has finished."""
    journal = folder / STAGES_FILE
    done: dict[str, str] = json.loads(journal.read_text()) if journal.exists() else {}
    return done


def training_config(cfg: DictConfig) -> dict[str, Any]:
    """The part of the config that decides what a training ends in."""
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=False)  # type: ignore[assignment]
    if cfg.data.get("leave_out_tested"):  # then `data.test`, which is left out here, decides what is trained on
        kept, named = training_stores(cfg.data), zip(cfg.data.train, config["data"]["train"], strict=True)
        config["data"]["train"] = [unresolved for path, unresolved in named if Path(path) in kept]
    return deciding(config, *NO_TRAINING)


def claim(cfg: DictConfig, folder: Path, step: str = "") -> None:
    """Write the run's config into its folder before a step, or refuse a folder that something else made.

    Raises:
        ValueError: another version or config made it, or it is trained to the end on what has changed since; names the
            folder and what differs.
    """
    path = folder / "config.yaml"
    begun = any((folder / name).exists() for name in (CHECKPOINT, STAGES_FILE, "results.json"))
    if path.exists() and begun:  # a run that failed before anything was made leaves its config alone
        if (made := _made_by(folder)) not in (None, __version__):
            raise ValueError(
                f"{folder}: was made by version {made} of anatomy_clip, whose numbers may differ from those of "
                f"{__version__}; train or evaluate it again with overwrite=true, or choose another suite"
            )
        before = training_config(OmegaConf.load(path))  # type: ignore[arg-type]
        changed = list(differences(before, training_config(cfg)))
        if changed:
            raise ValueError(
                f"{folder}: was made with another config ({', '.join(changed[:8])} differ); "
                "add overwrite=true to delete it, or choose another suite, name or seed"
            )
        if step == "fit" and step in finished_stages(folder):
            raise ValueError(
                f"{folder}: was trained on stores, or from weights, that have changed since; "
                "train it again with overwrite=true, or choose another suite, name or seed"
            )
    folder.mkdir(parents=True, exist_ok=True)
    for orphan in folder.glob(".*.partial"):
        orphan.unlink()
    write_text(path, OmegaConf.to_yaml(cfg, resolve=False))


def _made_by(folder: Path) -> str | None:
    """The version that made what is in a run's folder; None where nothing in it tells."""
    from anatomy_clip.models.weights.read import read_checkpoint

    results, made = folder / "results.json", {}
    try:
        if (folder / CHECKPOINT).is_file():
            made = read_checkpoint(folder / CHECKPOINT).get("recipe", {})
        elif results.is_file():
            made = json.loads(results.read_text())
    except ValueError:
        return None  # a broken file is reported where it is read
    version: str | None = made.get("versions", {}).get("anatomy_clip")
    return version


def _weights_digest(source: str) -> str | None:
    """Digest of the weights' file; None where it isn't there yet, or is pinned by its name (a hub's commit)."""
    from anatomy_clip.models.weights.read import locate

    return _digest_if_there(locate(source).path if Path(source).is_dir() else source)


def _digest_if_there(path: str | Path) -> str | None:
    path = Path(path)
    if not path.is_file():
        return None
    found = path.stat()
    return _digest(path, found.st_size, found.st_mtime_ns)


@cache
def _digest(path: Path, size: int, changed_ns: int) -> str:
    return sha256_of(path)  # once for all steps: checkpoints are large
