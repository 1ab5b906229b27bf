"""Read the finished runs of a suite: `outputs/<suite>/<name>/seed_<n>/{results.json,<evaluator>.parquet}`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anatomy_clip.evaluation.base import DECISIONS
from anatomy_clip.inference.decisions import Decisions
from anatomy_clip.results.panels import panel_class

if TYPE_CHECKING:
    import pandas as pd

# The label spaces that are named: the first part of a cell's name and of the columns' names.
TASKS = ("organ", "station")
COMMON = ("set", "row", "source", "patient")  # columns of every evaluator's table
_EARLIER = "predictions.parquet"  # what earlier versions wrote in place of zero_shot.parquet
_SEED = re.compile(r"seed_(\d+)")


@dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes:
        name: the experiment's name, a column of the table.
        seed: its seed.
        folder: where it lies.
        labels: label space -> label names in the order of the scores.
        tables: evaluator -> the rows that it left, ordered by test set and row.
        scores: cell -> the value (0 to 1) that the evaluation itself wrote.
        notes: remarks that the evaluation left.
        versions: package -> version that it was evaluated with.
        config: what the run was made with; empty where the folder holds no config.
        decisions: what was chosen on validation; None where nothing was.
        weights: SHA-256 of the weights that were evaluated; empty where it isn't known, and for random ones.
        useless: evaluators that ran and left no rows, since the method has no use for them.
    """

    name: str
    seed: int
    folder: Path
    labels: Mapping[str, tuple[str, ...]]
    tables: Mapping[str, pd.DataFrame]
    scores: Mapping[str, float]
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    decisions: Decisions | None = None
    weights: str = ""
    useless: frozenset[str] = frozenset()


def read_suite(
    outputs: Path, suite: str, names: Sequence[str] | None = None
) -> tuple[tuple[Run, ...], tuple[str, ...]]:
    """Read the runs of a suite; a broken or unfinished one is left out with a note.

    Args:
        outputs: folder of all suites.
        suite: name of the suite.
        names: experiments to read; None = all. A suite may hold others, such as the base model's training.

    Returns:
        Runs ordered by name and seed, and one note for each run or experiment that was left out.

    Raises:
        ValueError: the suite has no folder or not one readable run.
    """
    root = outputs / suite
    seeds = sorted((f for f in root.glob("*/seed_*") if _SEED.fullmatch(f.name)), key=_name_and_seed)
    seeds = [folder for folder in seeds if names is None or folder.parent.name in names]
    started = {folder.parent.name for folder in seeds}
    runs = []
    notes = [f"{name} is left out: it was not run yet" for name in names or () if name not in started]
    for folder in seeds:
        try:
            runs.append(read_run(folder))
        except ValueError as error:
            notes.append(f"{folder.parent.name}, seed {_name_and_seed(folder)[1]} is left out: {error}")
    if not runs:
        found = "; ".join(notes) if notes else f"no folder {root}/<name>/seed_<n>"
        raise ValueError(f"suite '{suite}' has no finished run ({found}); run the experiments first")
    return tuple(runs), tuple(notes)


def read_run(folder: Path) -> Run:
    """Read one run.

    Raises:
        ValueError: a file is missing, damaged or lacks a field; the message names the file and what to do.
    """
    if (folder / _EARLIER).is_file() and not (folder / "zero_shot.parquet").is_file():
        raise ValueError(
            f"it was made by an earlier version ({_EARLIER}, no zero_shot.parquet); run it with overwrite=true"
        )
    results = _read_results(folder / "results.json")
    name, seed = _name_and_seed(folder)
    useless = {n for n, s in results["scores"].items() if not s and not (folder / f"{n}.parquet").is_file()}
    return Run(
        name=name,
        seed=seed,
        folder=folder,
        labels={space: tuple(names) for space, names in results["labels"].items()},
        tables={
            evaluator: _read_rows(folder / f"{evaluator}.parquet", evaluator)
            for evaluator in results["scores"]
            if evaluator not in useless
        },
        scores={
            str(s["cell"]): float(s["value"])
            for scores in results["scores"].values()
            for s in scores
            if s["value"] is not None
        },
        notes=tuple(dict.fromkeys(str(note) for notes in results.get("notes", {}).values() for note in notes)),
        versions={str(k): str(v) for k, v in results.get("versions", {}).items()},
        config=_read_config(folder / "config.yaml"),
        decisions=_read_decisions(folder / DECISIONS),
        weights=str((results.get("weights") or {}).get("sha256", "")),
        useless=frozenset(useless),
    )


def _read_results(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path.name} is missing, so the run is not finished; run it again, and it continues")
    try:
        results = json.loads(path.read_text())
        needed = [tuple(names) for names in results["labels"].values()]
        needed += [(s["cell"], s["value"]) for scores in results["scores"].values() for s in scores]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path.name} is damaged ({type(error).__name__}: {error}); delete it and evaluate again"
        ) from error
    return dict(results)


def _read_rows(path: Path, evaluator: str) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise ValueError(f"{path.name} is missing; evaluate the run again")
    try:
        frame = pd.read_parquet(path)
    except Exception as error:  # pyarrow raises several unrelated types for damaged files
        raise ValueError(f"{path.name} can't be read ({error}); evaluate the run again") from error
    panel = panel_class(evaluator)
    missing = [name for name in (panel.columns if panel else COMMON) if name not in frame.columns]
    if missing:
        raise ValueError(f"{path.name} does not have the column(s) {', '.join(missing)}; evaluate the run again")
    return frame.sort_values(["set", "row"], kind="stable", ignore_index=True)


def _read_decisions(path: Path) -> Decisions | None:
    if not path.is_file():
        return None
    try:
        plain = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path.name} is damaged ({error}); evaluate the run again (stages=[evaluate])") from error
    return None if plain is None else Decisions.from_dict(plain)


def _read_config(path: Path) -> dict[str, Any]:
    import yaml

    try:
        config = yaml.safe_load(path.read_text()) if path.is_file() else {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} is damaged ({error}); run it again with overwrite=true") from error
    return dict(config) if isinstance(config, dict) else {}


def _name_and_seed(folder: Path) -> tuple[str, int]:
    match = _SEED.fullmatch(folder.name)
    if match is None:
        raise ValueError(f"{folder.name} is not a run folder: its name must be seed_<n>")
    return folder.parent.name, int(match.group(1))
