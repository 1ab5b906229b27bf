"""The page: one HTML file of a suite that needs no server, no network and no model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from anatomy_clip.core.trees import differences
from anatomy_clip.results.formats import DASH
from anatomy_clip.results.panel import Panel, Suite, notes_of, render
from anatomy_clip.results.read import Run
from anatomy_clip.runs.settings import deciding
from anatomy_clip.sources.cards import Card as DataCard

if TYPE_CHECKING:
    import pandas as pd

_FOLDER = re.compile(r"(?<![\w}.])/[^\s'\"\],]*/")  # of a path from the root


def page(
    suite: Suite,
    panels: Mapping[str, Panel],
    *,
    data_cards: Mapping[str, DataCard] | None = None,
    commands: Sequence[str] = (),
) -> str:
    """Write the page of one suite.

    Args:
        suite: the suite.
        panels: its panels, whose sections are shown in this order.
        data_cards: source -> its card; those of the test sets' sources are shown.
        commands: what makes this page again.
    """
    runs = [run for run in suite.runs if run.name in suite.layout.columns]
    sets = _sets(runs)
    return render(
        "page.html",
        suite=suite.name,
        layout=suite.layout,
        notes=notes_of(suite, panels),
        sections=[section for panel in panels.values() for section in panel.sections()],
        sets=sets,
        data_cards=[c for n, c in (data_cards or {}).items() if any(n in s["sources"] for s in sets)],
        **_made(runs, commands),
    )


def _made(runs: Sequence[Run], commands: Sequence[str]) -> dict[str, Any]:
    """The section on how it was made."""
    configs: dict[str, Mapping[str, Any]] = {}
    for run in runs:
        configs.setdefault(run.name, run.config)  # the first seed's
    known = {"settings": settings(configs), "settings_columns": list(configs)}
    return {**known, "versions": _versions(runs), "commands": commands}


def settings(configs: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Settings in which the columns' configs differ, each with the value of every column; folders are left away."""
    found = differences(*(deciding(config, "seed") for config in configs.values()))
    rows = [(key, [_setting(value) for value in values]) for key, values in found.items()]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def _sets(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What each test set holds, as the first table that has it saw it."""
    found: dict[str, dict[str, Any]] = {}
    for table in (table for run in runs for table in run.tables.values()):
        for name, rows in table.groupby("set", sort=False):
            if name not in found:
                found[str(name)] = _set(str(name), rows.drop_duplicates("row"))
    return list(found.values())


def _set(name: str, slices: pd.DataFrame) -> dict[str, Any]:
    counts = {
        what: slices[what].value_counts().sort_index().to_dict() if what in slices else {}
        for what in ("modality", "orientation")
    }
    return {
        "name": name,
        "slices": len(slices),
        "patients": len(set(zip(slices["source"], slices["patient"], strict=True))),
        "sources": sorted(set(slices["source"])),
        "modalities": counts["modality"],
        "planes": counts["orientation"],
    }


def _versions(runs: Sequence[Run]) -> dict[str, list[str]]:
    names = sorted({name for run in runs for name in run.versions})
    return {name: sorted({run.versions[name] for run in runs if name in run.versions}) for name in names}


def _setting(value: Any) -> str:
    return (
        DASH if value is None else _FOLDER.sub("", str(value).replace("'", ""))
    )  # a path of somebody's machine is private
