"""Cells of all evaluators of a suite's runs: what the summary and the claims are made of."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from anatomy_clip.evaluation.cells import Cell
from anatomy_clip.results import panel
from anatomy_clip.results.cells import CellScore, CellsPanel, alike, score_of
from anatomy_clip.results.panel import Suite


class MeasuredPanel(panel.Panel):
    """A panel of the cells that other panels know of.

    Args:
        evaluator: its own name; no run has rows of it.
        suite: the suite.
        panels: those of the evaluators.
    """

    columns = ()

    def __init__(self, evaluator: str, suite: Suite, panels: Mapping[str, panel.Panel]) -> None:
        super().__init__(evaluator, suite)
        self._panels = panels

    @cached_property
    def _cells(self) -> Mapping[tuple[str, str], Mapping[int, Cell]]:
        """(Column, cell) -> seed -> the cell."""
        found: dict[tuple[str, str], dict[int, Cell]] = {}
        for one in self._panels.values():
            for run in one.runs:
                for name, cell in one.cells_of(run).items():
                    found.setdefault((run.name, name), {})[run.seed] = cell
        return found

    @cached_property
    def _scores(self) -> Mapping[tuple[str, str], CellScore]:
        """(Column, cell) -> its score, where its panel has scored it for its own table."""
        panels = [one for one in self._panels.values() if isinstance(one, CellsPanel)]
        return {(one.column, one.cell): one for panel in panels for one in panel.scores}

    def score(self, column: str, cell: str) -> CellScore | None:
        """The mean of a column's cell over `seeds`, with its interval; None where there is none."""
        if (known := self._scores.get((column, cell))) is not None:
            return known
        seeds = self.seeds(column, cell)
        return score_of(cell, column, list(seeds.values())) if seeds else None

    def seeds(self, column: str, cell: str) -> dict[int, Cell]:
        """Seed -> a column's cell; of seeds with the units of the first; empty where there is none."""
        seeds = self._cells.get((column, cell), {})
        kept = {id(one) for one in alike(list(seeds.values()))}
        return {seed: one for seed, one in seeds.items() if id(one) in kept and len(one.patients)}
