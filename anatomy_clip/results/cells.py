"""A panel of an evaluator whose cells are statistics of its rows: a line a cell, a column a method."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from anatomy_clip.evaluation.cells import Cell
from anatomy_clip.metrics.crossed import crossed_mean, pseudo_values
from anatomy_clip.results import panel
from anatomy_clip.results.examples import uri
from anatomy_clip.results.formats import interval, interval_words, number
from anatomy_clip.results.panel import Section, render
from anatomy_clip.results.read import Run
from anatomy_clip.results.render import rows_csv


class CellScore(NamedTuple):
    """One cell of one column.

    Attributes:
        cell, column: what was measured.
        value: mean over seeds, within the cell's bounds: most from 0 to 1.
        lo, hi: 95 % interval over seeds and patients; NaN for medians, whose variance the jackknife doesn't tell.
        spread: standard deviation over seeds; NaN for one seed.
        units, patients, seeds: how many.
    """

    cell: str
    column: str
    value: float
    lo: float
    hi: float
    spread: float
    units: int
    patients: int
    seeds: int


class CellsPanel(panel.Panel):
    """A table of all cells; a subclass says which there are.

    Attributes:
        title: of the section.
        says: what the numbers are.
        shows: what its picture shows, where it has one.
        folded: pattern of further cells that the page shows folded, beside those of single findings.
    """

    title: ClassVar[str]
    says: ClassVar[str]
    shows: ClassVar[str] = ""
    folded: ClassVar[str] = ""

    @staticmethod
    def cells(table: Any, findings: Sequence[str]) -> dict[str, Cell]:
        """The cells of a run's rows, with the names of its findings."""
        raise NotImplementedError

    @cached_property
    def picture(self) -> bytes | None:
        """A PNG beside the table; most have none."""
        return None

    @cached_property
    def _of_columns(self) -> dict[str, dict[str, list[Cell]]]:
        """Cell -> column -> the cell of each seed."""
        found: dict[str, dict[str, list[Cell]]] = {}
        for run in self.runs:
            for name, cell in self.cells_of(run).items():
                found.setdefault(name, {}).setdefault(run.name, []).append(cell)
        return found

    def cells_of(self, run: Run) -> Mapping[str, Cell]:
        """See `panel.Panel`."""
        key = run.name, run.seed
        if key not in self._made:
            self._made[key] = self.cells(run.tables[self.evaluator], run.labels.get("finding", ()))
        return self._made[key]

    @cached_property
    def _made(self) -> dict[tuple[str, int], Mapping[str, Cell]]:
        """(Column, seed) -> the cells of its run, made once for all that ask."""
        return {}

    @cached_property
    def scores(self) -> list[CellScore]:
        """What was measured, cell after cell."""
        return [
            score_of(name, column, alike(columns[column]))
            for name, columns in self._of_columns.items()
            for column in self.suite.layout.columns
            if column in columns and len(columns[column][0].patients)
        ]

    def notes(self) -> Sequence[str]:
        """Seeds that can't be averaged."""
        columns = [(name, seeds) for found in self._of_columns.values() for name, seeds in found.items()]
        other = {name: len(seeds) - len(alike(seeds)) for name, seeds in columns if len(seeds) > len(alike(seeds))}
        return [
            f"{self.evaluator} of {name}: left out {count} seed(s), because their rows differ"
            for name, count in other.items()
        ]

    def gaps(self) -> Sequence[str]:
        """Columns that weren't evaluated."""
        return panel.missing(self.evaluator, self.suite)

    @property
    def caption(self) -> str:
        """What the numbers are."""
        return (
            f"{self.says} Percent, mean over seeds; in brackets the {interval_words(one.seeds for one in self.scores)}."
        )

    def files(self) -> Mapping[str, str | bytes]:
        """The table as Markdown and CSV, and the picture."""
        columns = self.suite.layout.columns.values()
        lines = ["| " + " | ".join(["", *columns]) + " |", "|---|" + "---:|" * len(columns)]
        lines += ["| " + " | ".join(cells) + " |" for cells in self._lines()]
        text = [f"# {self.title}", f"{self.caption} {self.suite.layout.data}", "\n".join(lines)]
        tables = {f"{self.evaluator}.md": "\n\n".join(text) + "\n", f"{self.evaluator}.csv": rows_csv(self.scores)}
        return tables | ({f"{self.evaluator}.png": self.picture} if self.picture else {})

    def _lines(self) -> list[list[str]]:
        """The cell and its value in each column, as text."""
        found: dict[str, dict[str, CellScore]] = {}
        for one in self.scores:
            found.setdefault(one.cell, {})[one.column] = one
        return [
            [name, *(text_of(line[column]) if column in line else "n/a" for column in self.suite.layout.columns)]
            for name, line in found.items()
        ]

    def sections(self) -> Sequence[Section]:
        """The table, its cells of single findings and those that `folded` says folded, and the picture."""
        lines, findings = self._lines(), {name for run in self.runs for name in run.labels.get("finding", ())}

        def is_folded(cell: str) -> bool:
            own = cell.rsplit("/", 1)[-1].removesuffix("_by_study") in findings
            return own or bool(self.folded and re.search(self.folded, cell))

        further = [line for line in lines if is_folded(line[0])]
        shown: dict[str, Any] = {"rows": [line for line in lines if line not in further], "further": further}
        shown |= {"picture": self.picture and uri(self.picture), "shows": self.shows}
        columns = self.suite.layout.columns.values()
        html = render("cells.html", id=self.evaluator, title=self.title, caption=self.caption, columns=columns, **shown)
        return (Section(self.evaluator, self.title, html),)

    def numbers(self, run: Run) -> Mapping[str, float]:
        """The run's cells."""
        return {name: cell.value for name, cell in self.cells_of(run).items() if not np.isnan(cell.value)}


def alike(seeds: Sequence[Cell]) -> list[Cell]:
    """The seeds that have the units of the first."""
    return [one for one in seeds if np.array_equal(one.patients, seeds[0].patients)]


def score_of(cell: str, column: str, seeds: Sequence[Cell]) -> CellScore:
    """Mean of a cell over seeds that are alike, with its interval."""
    values, first = np.array([one.value for one in seeds]), seeds[0]
    lo = hi = float("nan")
    if first.smooth:
        mean = crossed_mean([pseudo_values(one.statistic, one.patients) for one in seeds], bounds=first.bounds)
        lo, hi = mean.lo, mean.hi
    spread = float(np.std(values, ddof=1)) if len(seeds) > 1 else float("nan")
    patients = len(np.unique(first.patients))
    return CellScore(cell, column, float(values.mean()), lo, hi, spread, len(first.patients), patients, len(seeds))


def text_of(one: Any) -> str:
    """The `value` of a score with its `lo` and `hi`, percent."""
    bounds = interval(100 * one.lo, 100 * one.hi)
    return number(100 * one.value, missing="n/a") + (f" {bounds}" if bounds else "")
