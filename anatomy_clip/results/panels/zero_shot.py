"""Zero-shot naming: the table, what it says label by label and as descriptions, and slices to look at."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from anatomy_clip.evaluation.base import ZERO_SHOT
from anatomy_clip.results import charts, panel
from anatomy_clip.results.breakdown import SIZES, LabelTable, by_group, confusion, per_label
from anatomy_clip.results.descriptions import WAYS
from anatomy_clip.results.examples import RULE, cards, uri
from anatomy_clip.results.layout import RowSpec
from anatomy_clip.results.measures import Measures, measure
from anatomy_clip.results.panel import Section, render
from anatomy_clip.results.plots import reliability_plot, risk_plot, roc_plot
from anatomy_clip.results.read import TASKS, Run
from anatomy_clip.results.readme import small_table
from anatomy_clip.results.render import (
    bold_words,
    gain_words,
    rows_csv,
    to_csv,
    to_latex,
    to_markdown,
    to_rich,
)
from anatomy_clip.results.run_summary import summary
from anatomy_clip.results.table import Table, build, by_row


class Panel(panel.Panel):
    """Everything that follows from the rows of `zero_shot.parquet`."""

    columns = tuple(name for name in ZERO_SHOT.columns if name != "organ_unsure")  # which earlier versions don't write

    @cached_property
    def table(self) -> Table:
        """The results table."""
        one = self.suite
        options = {"mean_gain": one.mean_gain, "notes": one.notes}
        return build(self.runs, one.layout, one.paper, **options)  # type: ignore[arg-type]

    @cached_property
    def measures(self) -> Measures:
        """What the rows say beyond the best label."""
        return measure(self.runs, self.table.layout)

    @cached_property
    def curves(self) -> list[tuple[RowSpec, bytes]]:
        """The ROC curves of each main row on organs that has any."""
        rows = [row for row in self.table.layout.rows if row.task == "organ"]
        return [(row, png) for row in rows if (png := roc_plot(self.runs, self.table.layout, row))]

    def notes(self) -> Sequence[str]:
        """The table's."""
        return self.table.notes

    def gaps(self) -> Sequence[str]:
        """Test sets that another stands in for, and cells without a run."""
        replaced = [f"the real test set of {row}" for row in self.table.replaced]
        return replaced or [f"{cell.row} {cell.column}" for cell in self.table.cells if not cell.n]

    def readme(self) -> str:
        """The block that the README shows."""
        return small_table(self.table.layout, self.table.cells)

    def files(self) -> Mapping[str, str | bytes]:
        """The table in three forms, its plot, and what stands behind it as CSV, a file a kind of row."""
        table, found = self.table, self.measures
        texts = {"table3.md": to_markdown(table), "table3.csv": to_csv(table.cells), "table3.tex": to_latex(table)}
        texts["further.csv"] = to_csv(table.further)
        kinds: dict[str, Sequence[NamedTuple]] = {
            "cells.csv": [*table.cells, *table.further],
            "gains.csv": table.steps,
            "by_size.csv": found.sizes,
            "descriptions.csv": found.descriptions,
            "certainty.csv": found.certainties,
        }
        lists = {name: rows_csv(rows) for name, rows in kinds.items() if rows}
        return texts | lists | self._plot("plot.png")

    def _plot(self, name: str) -> dict[str, Any]:
        layout = self.table.layout
        return {name: layout.plot(self.table)} if layout.plot is not None else {}

    def terminal(self) -> Sequence[Any]:
        """The table."""
        return (to_rich(self.table),)

    def sections(self) -> Sequence[Section]:
        """Results, gains, labels, curves, descriptions, errors and slices."""
        table, columns = self.table, self.suite.layout.columns
        last = next((run for name in reversed(list(columns)) for run in self.runs if run.name == name), None)
        known = {"table": table, "columns": columns, "last": last and columns[last.name], "seed": last and last.seed}
        rows, further = by_row(table.layout.rows, table.cells), by_row(table.layout.further, table.further)
        parts: dict[tuple[str, str], dict[str, Any]] = {
            ("table", "Results"): {
                "main": rows, "further": further, "sizes": self.measures.sizes, "size_names": SIZES,
                "baselines": table.baselines, "bold": bold_words(table),
            },
            ("gains", "Gains"): {"steps": table.steps, "words": gain_words(table)},
            ("labels", "Label by label"): {"labels": [_label_rows(one) for one in per_label(self.runs, table.layout)]},
            ("curves", "ROC curves"): {"curves": [(row, uri(png)) for row, png in self.curves]},
            ("lists", "Descriptions"): self._lists(last),
            ("errors", "Errors"): {
                "confusions": [(r, c) for r in table.layout.rows if last and (c := confusion(last, r))],
                "groups": _groups(last, table.layout.test_sets()) if last else [],
                "shade": _shade,
            },
            ("gallery", "Slices"): {
                "cards": cards(last, self.suite.images, self.suite.slices_a_set) if last else [],
                "rule": RULE,
            },
        }  # fmt: skip
        return [Section(*key, render(f"zero_shot/{key[0]}.html", **known, **own)) for key, own in parts.items()]

    def _lists(self, last: Run | None) -> dict[str, Any]:
        found = self.measures
        risk, trust = (draw(found.judged, self.suite.layout.columns) for draw in (risk_plot, reliability_plot))
        shown = next((one.column for one in reversed(found.descriptions)), last and last.name)
        return {
            "measures": found, "shown": shown, "ways": WAYS, "risk": risk and uri(risk), "trust": trust and uri(trust)
        }  # fmt: skip

    def numbers(self, run: Run) -> Mapping[str, float]:
        """Hit@1 of every cell, its gain over the first column's run with the same seed, and AUROC by label."""
        first = next(iter(self.suite.layout.columns))
        named = (r for r in self.suite.runs if "zero_shot" in r.tables and r is not run)
        base = next((r for r in named if r.name == first and r.seed == run.seed), None)
        return summary(run, base)

    def charts(self, run: Run, wandb: Any, pseudonym: Callable[..., str]) -> Mapping[str, Any]:
        """Labels, confusions, ROC curves and slices."""
        return charts.run_charts(wandb, run, self.suite, pseudonym)

    def suite_charts(self, wandb: Any) -> Mapping[str, Any]:
        """Table, gains and plots."""
        pictures = {f"roc/{row.row}": png for row, png in self.curves} | self._plot("plot")
        return charts.table_charts(wandb, self.table) | {
            name: charts.picture(wandb, png) for name, png in pictures.items()
        }


def _label_rows(table: LabelTable) -> dict[str, Any]:
    lines = []
    for k, label in enumerate(table.labels):
        if table.support[k]:
            values = [(100 * s.hit[k], s.auroc[k], s.precision[k]) for s in table.columns.values()]
            lines.append((label, int(table.support[k]), values))
    absent = [label for k, label in enumerate(table.labels) if not table.support[k]]
    return {"row": table.row, "columns": list(table.columns), "lines": lines, "absent": absent, "n": table.slices}


def _groups(run: Run, sets: Sequence[str]) -> list[tuple[str, str, str, str, float, int]]:
    return [
        (name, task, group, value, 100 * share, n)
        for name in sets
        for task in TASKS
        for group, values in by_group(run, task, name).items()
        for value, (share, n) in values.items()
    ]


def _shade(count: int, most: int) -> str:
    """Opacity of a confusion's cell, 0 to 1."""
    return f"{math.log1p(count) / math.log1p(most):.2f}" if count else "0"
