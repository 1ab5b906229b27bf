"""The page: one HTML file of a suite that needs no server, no network and no model."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.trees import differences
from anatomy_clip.results.breakdown import SIZES, LabelTable, by_group, confusion, per_label
from anatomy_clip.results.contrast import Pair, examples, wins
from anatomy_clip.results.descriptions import WAYS
from anatomy_clip.results.examples import RULE, cards, picture, uri
from anatomy_clip.results.formats import DASH, interval, number, p_value
from anatomy_clip.results.layout import RowSpec
from anatomy_clip.results.measures import Measures, measure
from anatomy_clip.results.plots import reliability_plot, risk_plot, roc_plot
from anatomy_clip.results.read import TASKS, Run
from anatomy_clip.results.table import FEW, Cell, Table, by_row
from anatomy_clip.runs.settings import deciding
from anatomy_clip.sources.cards import Card as DataCard

if TYPE_CHECKING:
    import pandas as pd

_EXAMPLES = 4  # slices of a test set whose captions are shown
_FOLDER = re.compile(r"(?<![\w}.])/[^\s'\"\],]*/")  # of a path from the root


def page(
    table: Table,
    runs: Sequence[Run],
    images: Mapping[str, NDArray[np.uint8]],
    *,
    suite: str,
    measures: Measures | None = None,
    data_cards: Mapping[str, DataCard] | None = None,
    slices_a_set: int = 32,
    commands: Sequence[str] = (),
) -> str:
    """Write the page of one suite.

    Args:
        table: the results table.
        runs: the suite's runs; the last column's first seed is looked at closely.
        images: test set -> (N, S, S) uint8, by the predictions' rows; sets without images have no gallery.
        suite: its name.
        measures: what the runs say beyond the best label; None: measured here.
        data_cards: source -> its card; those of the test sets' sources are shown.
        slices_a_set: most slices that a test set has in the gallery; half of them chosen among wrong ones.
        commands: what makes this page again.
    """
    import jinja2

    loader = jinja2.PackageLoader("anatomy_clip.results")
    engine = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    engine.globals |= {"number": number, "interval": interval, "p_value": p_value, "shade": _shade}
    columns = table.layout.columns
    runs = [run for run in runs if run.name in columns]
    last = next((run for name in reversed(list(columns)) for run in runs if run.name == name), None)
    measures = measures or measure(runs, table.layout)
    sets = _sets(runs)
    shown_cards = [c for n, c in (data_cards or {}).items() if any(n in s["sources"] for s in sets)]
    return engine.get_template("page.html").render(
        suite=suite,
        columns=columns,
        last=last and columns[last.name],
        seed=last and last.seed,
        **_results(table),
        **_measures(measures, columns, last),
        **_labels(runs, table, images),
        confusions=[(r, c) for r in table.layout.rows if last and (c := confusion(last, r))],
        groups=_groups(last, table.layout.test_sets()) if last else [],
        cards=cards(last, images, slices_a_set) if last else [],
        rule=RULE,
        sets=sets,
        data_cards=shown_cards,
        **_made(runs, commands),
    )


def _results(table: Table) -> dict[str, Any]:
    """The sections on the table and its gains."""
    layout = table.layout
    rows = {"main": _rows(layout.rows, table.cells), "further": _rows(layout.further, table.further)}
    return {"table": table, **rows, "steps": table.steps, "baselines": table.baselines, "few": FEW}


def _measures(found: Measures, columns: Mapping[str, str], last: Run | None) -> dict[str, Any]:
    """The section on descriptions."""
    risk, trust = (draw(found.judged, columns) for draw in (risk_plot, reliability_plot))
    return {
        "measures": found,
        "sizes": found.sizes,
        "size_names": SIZES,
        "shown": next((d.column for d in reversed(found.descriptions)), last and last.name),
        "ways": WAYS,
        "risk": risk and uri(risk),
        "trust": trust and uri(trust),
    }


def _labels(runs: Sequence[Run], table: Table, images: Mapping[str, NDArray[np.uint8]]) -> dict[str, Any]:
    """The sections on single labels, their curves, and contradicted captions."""
    return {
        "labels": [_label_rows(found) for found in per_label(runs, table.layout)],
        "curves": _curves(runs, table),
        "wins": wins(runs, table.layout),
        "pairs": _pairs(runs, table, images),
    }


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


def _rows(specs: Sequence[RowSpec], cells: Sequence[Cell]) -> list[tuple[RowSpec, list[Cell], float]]:
    """Row, its cells, and its best value."""
    rows = by_row(specs, cells)
    return [(s, c, max((x.value for x in c if not math.isnan(x.value)), default=math.nan)) for s, c in rows]


def _label_rows(table: LabelTable) -> dict[str, Any]:
    lines = []
    for k, label in enumerate(table.labels):
        if table.support[k]:
            values = [(100 * s.hit[k], s.auroc[k], s.precision[k]) for s in table.columns.values()]
            lines.append((label, int(table.support[k]), values, max(v[0] for v in values)))
    absent = [label for k, label in enumerate(table.labels) if not table.support[k]]
    return {"row": table.row, "columns": list(table.columns), "lines": lines, "absent": absent, "n": table.slices}


def _pairs(
    runs: Sequence[Run], table: Table, images: Mapping[str, NDArray[np.uint8]]
) -> list[tuple[str, str, Mapping[str, Pair]]]:
    """(Test set, picture, pairs) of some slices of every main row's test set that has images."""
    sets = [name for name in dict.fromkeys(row.test_set for row in table.layout.rows) if name in images]
    return [
        (name, picture(np.asarray(images[name][example.row])), example.pairs)
        for name in sets
        for example in examples(runs, table.layout, name, "station", _EXAMPLES)
    ]


def _curves(runs: Sequence[Run], table: Table) -> list[tuple[RowSpec, str]]:
    rows = [row for row in table.layout.rows if row.task == "organ"]
    return [(row, uri(png)) for row in rows if (png := roc_plot(runs, table.layout, row))]


def _groups(run: Run, sets: Sequence[str]) -> list[tuple[str, str, str, str, float, int]]:
    return [
        (name, task, group, value, 100 * share, n)
        for name in sets
        for task in TASKS
        for group, values in by_group(run, task, name).items()
        for value, (share, n) in values.items()
    ]


def _sets(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What each test set holds, as the first run that has it saw it."""
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        for name, frame in run.predictions.groupby("set", sort=False):
            found.setdefault(str(name), _set(str(name), frame))
    return list(found.values())


def _set(name: str, frame: pd.DataFrame) -> dict[str, Any]:
    counts = {m: int((frame["modality"] == m).sum()) for m in sorted(set(frame["modality"]))}
    return {
        "name": name,
        "slices": len(frame),
        "patients": len(set(zip(frame["source"], frame["patient"], strict=True))),
        "sources": sorted(set(frame["source"])),
        "modalities": counts,
        "planes": {p: int((frame["orientation"] == p).sum()) for p in sorted(set(frame["orientation"]))},
    }


def _versions(runs: Sequence[Run]) -> dict[str, list[str]]:
    names = sorted({name for run in runs for name in run.versions})
    return {name: sorted({run.versions[name] for run in runs if name in run.versions}) for name in names}


def _setting(value: Any) -> str:
    return (
        DASH if value is None else _FOLDER.sub("", str(value).replace("'", ""))
    )  # a path of somebody's machine is private


def _shade(count: int, most: int) -> str:
    """Opacity of a confusion's cell, 0 to 1."""
    return f"{math.log1p(count) / math.log1p(most):.2f}" if count else "0"
