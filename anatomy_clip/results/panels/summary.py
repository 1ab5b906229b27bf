"""The summary: of every task the few numbers that a reader wants, beside published ones of other data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from anatomy_clip.results.cells import CellScore, text_of
from anatomy_clip.results.formats import interval_words, number, printed
from anatomy_clip.results.layout import Layout
from anatomy_clip.results.measured import MeasuredPanel
from anatomy_clip.results.panel import Section, render
from anatomy_clip.results.readme import bracket_words, trainings_words
from anatomy_clip.results.render import rows_csv
from anatomy_clip.results.story import Measure, Part, of_set

_NONE = ""  # of a method that has no such number


class Found(NamedTuple):
    """A number of the summary; see `CellScore`."""

    part: str
    test_set: str
    measure: str
    column: str
    cell: str
    value: float
    lo: float
    hi: float
    spread: float
    units: int
    patients: int
    seeds: int


class Shown(NamedTuple):
    """One table as text: its title, the names of its measures, a line a method, and the published lines."""

    title: str
    measures: list[str]
    lines: list[list[str]]
    published: list[list[str]]


def _markdown(table: Shown) -> str:
    lines = ["| " + " | ".join(["", *table.measures]) + " |", "|---|" + "---:|" * len(table.measures)]
    lines += ["| " + " | ".join(line) + " |" for line in table.lines]
    lines += ["| " + " | ".join([f"*{line[0]}*", *line[1:]]) + " |" for line in table.published]
    return "\n".join(lines)


def small_table(layout: Layout, found: Sequence[Found]) -> str:
    """The measures of the first part that have a plain heading, and the number of films: what the README shows.

    Args:
        layout: the columns, and the parts of the summary.
        found: the numbers, computed or read from `summary.csv`.
    """
    part = layout.story.parts[found[0].part]
    cells = {(one.measure, one.column): one for one in found if one[:2] == found[0][:2]}
    films = {one.measure: f"{one.units:,} ({one.patients})" for one in cells.values()}
    shown = {key: spec for key, spec in part.measures.items() if spec.plain and key in films}
    lines = [
        [text, *(text_of(cells[key, column]) if (key, column) in cells else _NONE for key in shown)]
        for column, text in layout.columns.items()
        if any((key, column) in cells for key in shown)
    ]
    lines.append(
        ["guessing", *(number(100 * c) if isinstance(c := one.chance, float) else _NONE for one in shown.values())]
    )
    lines.append(["films (patients)", *(films[key] for key in shown)])
    seeds = {column: one.seeds for (key, column), one in cells.items() if key in shown}
    table = _markdown(Shown("", [one.plain for one in shown.values()], lines, []))
    words = f"{trainings_words(layout.columns, seeds)}. In brackets: {bracket_words(seeds.values())}."
    return f"{table}\n\nAUROC in percent, {words}"


class Panel(MeasuredPanel):
    """Tables of methods by measures, as `conf/table` declares them."""

    @cached_property
    def found(self) -> list[Found]:
        """All numbers, table after table."""
        return [
            Found(name, test_set, measure, column, *score._replace(column=score.cell)[1:])
            for name, part in self.suite.layout.story.parts.items()
            for test_set in part.sets
            for measure, spec in part.measures.items()
            for column in self.suite.layout.columns
            if (score := self._score(spec, column, test_set))
        ]

    def _score(self, spec: Measure, column: str, test_set: str) -> CellScore | None:
        scores = (self.score(column, of_set(name, test_set)) for name in spec.cells)
        return next((one for one in scores if one is not None), None)

    @cached_property
    def tables(self) -> list[Shown]:
        """The tables that have a number, as text."""
        story = self.suite.layout.story
        pairs = [(name, part, test_set) for name, part in story.parts.items() for test_set in part.sets]
        return [shown for pair in pairs if (shown := self._table(*pair)).measures]

    def _table(self, name: str, part: Part, test_set: str) -> Shown:
        found = {(one.measure, one.column): one for one in self.found if (one.part, one.test_set) == (name, test_set)}
        names = [key for key in part.measures if any(key == measure for measure, _ in found)]
        lines = [
            [text, *(text_of(found[key, column]) if (key, column) in found else _NONE for key in names)]
            for column, text in self.suite.layout.columns.items()
            if any(column == other for _, other in found)
        ]
        chance = [self._chance(part.measures[key], test_set) for key in names]
        lines += [["chance", *chance]] if any(chance) else []
        published = [
            [
                f"{one.method}: {one.paper}, {one.data}",
                *(printed(one.values[k]) if k in one.values else _NONE for k in names),
            ]
            for one in self.suite.layout.story.published
            if one.part == name and test_set == part.sets[0] and set(one.values) & set(names)
        ]
        return Shown(f"{part.text}: {test_set}", [part.measures[key].text for key in names], lines, published)

    def _chance(self, spec: Measure, test_set: str) -> str:
        if not isinstance(spec.chance, str):
            return _NONE if spec.chance is None else number(100 * spec.chance)
        cell = of_set(spec.chance, test_set)
        values = [one.value for column in self.suite.layout.columns for one in self.seeds(column, cell).values()]
        return number(100 * values[0]) if values else _NONE

    @property
    def caption(self) -> str:
        """What the numbers are."""
        text = (
            f"Percent, mean over seeds; in brackets the {interval_words(one.seeds for one in self.found)}. A share of "
            "labelled patients that has too few films with a finding is enlarged. Empty: there is no such number."
        )
        if any(one.published for one in self.tables):
            text += (
                " Lines in italics are published numbers of the same kind, each with its paper and data set. They are "
                "of real patients, larger images and larger networks, so their values can't be compared with ours."
            )
        return text

    def files(self) -> Mapping[str, str | bytes]:
        """The tables as Markdown, all numbers as CSV."""
        text = [f"# {self.suite.layout.title}: summary", f"{self.caption} {self.suite.layout.data}"]
        for one in self.tables:
            text += [f"## {one.title}", _markdown(one)]
        return {"summary.md": "\n\n".join(text) + "\n", "summary.csv": rows_csv(self.found)}

    def readme(self) -> str | None:
        """The measures of the first part that have a plain heading."""
        first = next(iter(self.suite.layout.story.parts.values()))
        return small_table(self.suite.layout, self.found) if any(one.plain for one in first.measures.values()) else None

    def terminal(self) -> Sequence[Any]:
        """The tables."""
        from rich.table import Table
        from rich.text import Text

        made = []
        for one in self.tables:
            rich = Table(title=one.title)
            rich.add_column("")
            for name in one.measures:
                rich.add_column(name, justify="right")
            for line in one.lines:
                rich.add_row(*(Text(cell) for cell in line))
            made.append(rich)
        return made

    def sections(self) -> Sequence[Section]:
        """The tables."""
        return (Section("summary", "Summary", render("summary.html", caption=self.caption, tables=self.tables)),)
