"""What a run was made of and what it made, by digest: stores, starting weights, checkpoint, its evaluators' rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from anatomy_clip.core.files import sha256_of
from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.records import SLICES
from anatomy_clip.models.weights.read import locate
from anatomy_clip.results.read import Run
from anatomy_clip.runs.chain import init_checkpoint
from anatomy_clip.stores.store import MANIFEST, META, read_meta, store_paths
from anatomy_clip.stores.training import training_stores

_SHORT = 16  # hex digits of a digest in a name


@dataclass(frozen=True)
class Artifact:
    """A file or a store, known by its digest alone.

    Attributes:
        kind: dataset, model or predictions.
        sha256: digest of the file; of a store, of its `store.json`, which holds the digests of its files.
        facts: counts and the like; nothing that tells where it lies or whose it is.
    """

    kind: str
    sha256: str
    facts: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Kind and digest: the same file has one name in all runs."""
        return f"{self.kind}-{self.sha256[:_SHORT]}"


@dataclass(frozen=True)
class Artifacts:
    """What a run took in and gave out.

    Attributes:
        used: stores and starting weights.
        made: checkpoint and predictions.
        used_again: what it made itself and then took in: the evaluation reads the checkpoint.
    """

    used: tuple[Artifact, ...]
    made: tuple[Artifact, ...]
    used_again: tuple[Artifact, ...]


def artifacts_of(run: Run) -> Artifacts:
    """Find what is there of a run's stores and weights; what was moved or deleted is left out."""
    from omegaconf import OmegaConf

    config: Any = OmegaConf.create(dict(run.config))
    fitted = "fit" in run.config.get("stages", ())
    data: Any = OmegaConf.to_container(config.data, resolve=True) if "data" in config else {}
    there = [(role, path) for role, path in _stores(data, fitted) if (path / META).is_file()]
    used = [_store(path, role, sha256_of(path / META)) for role, path in there]
    weights = [config.model.get("weights") if "model" in config else None, init_checkpoint(config), _bert(config)]
    used += [_file("model", Path(path)) for path in weights if path and Path(path).is_file()]
    checkpoint = run.folder / "last.ckpt"
    trained = (_file("model", checkpoint),) if fitted and checkpoint.is_file() else ()
    rows = [
        Artifact("predictions", sha256_of(run.folder / f"{name}.parquet"), {"evaluator": name, "rows": len(table)})
        for name, table in run.tables.items()
    ]
    return Artifacts(tuple(used), (*trained, *rows), trained)


def _stores(data: Mapping[str, Any], fitted: bool) -> Iterator[tuple[str, Path]]:
    trained = training_stores(data) if "train" in data else ()
    groups = {"train": {"train": trained}, "validation": data.get("validation", {})} if fitted else {}
    for group in (*groups.values(), data.get("test", {})):
        for role, stores in group.items():
            for path in store_paths(stores):
                yield role, path


def _bert(config: Any) -> Path | None:
    """The weights of the BERT that the text tower started from, where they are there."""
    from omegaconf import OmegaConf

    folder = OmegaConf.select(config, "model.text_weights")
    try:
        return locate(folder).path if folder else None
    except ValueError:  # moved or deleted
        return None


def _file(kind: str, path: Path) -> Artifact:
    return Artifact(kind, sha256_of(path), {"bytes": path.stat().st_size})


@cache  # the runs of a suite share their stores
def _store(path: Path, role: str, sha256: str) -> Artifact:
    meta = read_meta(path)
    records: Manifest[Any] = Manifest.read(path / MANIFEST)
    shown = "modality" if records.kind is SLICES else "part"  # of radiographs, what was examined
    facts = {
        "role": role,
        f"{records.kind.name}s": len(records),
        "patients": len(records.patients()),
        "side": meta["side"],
        "modalities" if records.kind is SLICES else "parts": sorted(set(map(str, records.column(shown)))),
        "licences": sorted({licence for licence in records.column("licence") if licence}),
        "sha256": dict(meta["sha256"]),
    }
    return Artifact("dataset", sha256, facts)
