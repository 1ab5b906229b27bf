"""Read the finished runs of a suite: `outputs/<suite>/<name>/seed_<n>/{zero_shot.parquet,results.json}`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anatomy_clip.evaluation.base import CAPTIONS, CONTRAST, DECISIONS, ZERO_SHOT, Rows
from anatomy_clip.inference.decisions import Decisions

if TYPE_CHECKING:
    import pandas as pd

# The label spaces that are named: the first part of a cell's name and of the columns' names.
TASKS = ("organ", "station")
_SEED = re.compile(r"seed_(\d+)")


@dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes:
        name: the experiment's name, a column of the table.
        seed: its seed.
        folder: where it lies.
        labels: task ("organ", "station") -> label names in the order of the score columns.
        predictions: one row a slice, ordered by test set and row; columns as `ZERO_SHOT`.
        scores: cell -> the value (0 to 1) that the evaluation itself wrote.
        notes: remarks that the evaluation left.
        versions: package -> version that it was evaluated with.
        config: what the run was made with; empty where the folder holds no config.
        contrast: right captions against contradicted ones, a row a slice and slot; None where that wasn't evaluated.
        decisions: what was chosen on validation; None where nothing was.
        captions: best complete captions, a row a slice and way; None where they weren't searched.
    """

    name: str
    seed: int
    folder: Path
    labels: Mapping[str, tuple[str, ...]]
    predictions: pd.DataFrame
    scores: Mapping[str, float]
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    contrast: pd.DataFrame | None = None
    decisions: Decisions | None = None
    captions: pd.DataFrame | None = None


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
    notes = [f"left out {name}: not run yet" for name in names or () if name not in started]
    for folder in seeds:
        try:
            runs.append(read_run(folder))
        except ValueError as error:
            notes.append(f"left out {folder.parent.name}, seed {_name_and_seed(folder)[1]}: {error}")
    if not runs:
        found = "; ".join(notes) if notes else f"no folder {root}/<name>/seed_<n>"
        raise ValueError(f"suite '{suite}' has no finished run ({found}); run the experiments first")
    return tuple(runs), tuple(notes)


def read_run(folder: Path) -> Run:
    """Read one run.

    Raises:
        ValueError: a file is missing, damaged or lacks a field; the message names the file and what to do.
    """
    results = _read_results(folder / "results.json")
    frame = _read_rows(folder, ZERO_SHOT)
    name, seed = _name_and_seed(folder)
    return Run(
        name=name,
        seed=seed,
        folder=folder,
        labels={task: tuple(results["labels"][task]) for task in TASKS},
        predictions=frame.sort_values(["set", "row"], kind="stable", ignore_index=True),
        scores={
            str(s["cell"]): float(s["value"])
            for scores in results["scores"].values()
            for s in scores
            if s["value"] is not None
        },
        notes=tuple(dict.fromkeys(str(note) for notes in results.get("notes", {}).values() for note in notes)),
        versions={str(k): str(v) for k, v in results.get("versions", {}).items()},
        config=_read_config(folder / "config.yaml"),
        contrast=_read_rows(folder, CONTRAST) if (folder / CONTRAST.file).exists() else None,
        decisions=_read_decisions(folder / DECISIONS),
        captions=_read_rows(folder, CAPTIONS) if (folder / CAPTIONS.file).exists() else None,
    )


def _read_results(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path.name} is missing; the run isn't finished: run it again and it goes on")
    try:
        results = json.loads(path.read_text())
        needed = [results["labels"][task] for task in TASKS]
        needed += [(s["cell"], s["value"]) for scores in results["scores"].values() for s in scores]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path.name} is damaged ({type(error).__name__}: {error}); delete it and evaluate again"
        ) from error
    return dict(results)


def _read_rows(folder: Path, rows: Rows) -> pd.DataFrame:
    import pandas as pd

    path = folder / rows.file
    if not path.is_file():
        raise ValueError(f"{path.name} is missing; evaluate the run again")
    try:
        frame = pd.read_parquet(path)
    except Exception as error:  # pyarrow raises several unrelated types for damaged files
        raise ValueError(f"{path.name} can't be read ({error}); evaluate the run again") from error
    missing = [name for name in rows.columns if name not in frame.columns]
    if missing:
        raise ValueError(f"{path.name} lacks the column(s) {', '.join(missing)}; evaluate the run again")
    return frame


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
        raise ValueError(f"{folder.name} is no run folder: its name must be seed_<n>")
    return folder.parent.name, int(match.group(1))
