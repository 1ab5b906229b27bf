"""Right captions against contradicted ones, by test set, slot and column (the paper's Fig. 3, over all slices)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from anatomy_clip.results.layout import Layout
from anatomy_clip.results.read import Run
from anatomy_clip.results.slices import by_seed


class Wins(NamedTuple):
    """How often the right caption beats the contradicted ones.

    Attributes:
        value: mean over slices and seeds, percent.
        lo, hi: 95 % interval over seeds and patients.
        margin: mean difference in cosine.
        n: slices.
        seeds: trainings.
    """

    value: float
    lo: float
    hi: float
    margin: float
    n: int
    seeds: int


def wins(runs: Sequence[Run], layout: Layout) -> Mapping[tuple[str, str], Mapping[str, Wins]]:
    """(Test set, slot) -> column -> wins; empty where no run was evaluated so."""
    found: dict[tuple[str, str], dict[str, Wins]] = {}
    for rows in by_seed(runs, layout.columns, "contrast", "slot"):
        won = rows.crossed("win")
        one = Wins(won.value, won.lo, won.hi, rows.mean("margin"), len(rows.parts[0]), won.seeds)
        found.setdefault((rows.test_set, rows.kind), {})[rows.column] = one
    return found


class Pair(NamedTuple):
    """A right and a contradicted caption with their cosines."""

    right: str
    right_score: float
    wrong: str
    wrong_score: float


class Example(NamedTuple):
    """One slice, by its row in the test set, and each column's closest pair."""

    row: int
    pairs: Mapping[str, Pair]


def examples(runs: Sequence[Run], layout: Layout, test_set: str, slot: str, count: int) -> list[Example]:
    """Choose slices at even steps through a test set, and give each column's closest pair in one slot."""
    tables = {}
    for column in layout.columns:
        table = next((run.tables["contrast"] for run in runs if run.name == column and "contrast" in run.tables), None)
        if table is not None:
            tables[column] = table[(table["set"] == test_set) & (table["slot"] == slot)].set_index("row")
    if not tables:
        return []
    rows = sorted(set.intersection(*(set(table.index) for table in tables.values())))
    if not rows:
        return []
    chosen = [rows[int(n)] for n in np.linspace(0, len(rows) - 1, 2 * min(count, len(rows)) + 1)[1::2]]
    return [Example(int(row), {c: _pair(t.loc[row]) for c, t in tables.items()}) for row in dict.fromkeys(chosen)]


def _pair(row: Any) -> Pair:
    return Pair(str(row["right"]), float(row["right_score"]), str(row["wrong"]), float(row["wrong_score"]))
