"""Which test sets stand in which row of a results table: data, read from `conf/table`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from anatomy_clip.results.read import TASKS, Run
from anatomy_clip.results.story import Story, story

_NEEDED = frozenset({"text", "set", "modalities"})


@dataclass(frozen=True)
class RowSpec:
    """Which slices a row of the table takes.

    Attributes:
        row: the row's name, such as `organ/set1_mr`; its first part is the task.
        text: the row's name in print.
        test_set: name of the test set.
        modalities: CT, MR or both.
        instead: name of the further row that stands here, under its own name, where no run has the test set.
    """

    row: str
    text: str
    test_set: str
    modalities: tuple[str, ...]
    instead: str = ""

    @property
    def task(self) -> str:
        """What is named: organ or station."""
        return self.row.split("/")[0]


@dataclass(frozen=True)
class Layout:
    """The table's rows and columns.

    Attributes:
        columns: experiment name -> the column's name in print, from the base model to the last step.
        rows: the paper's rows.
        further: rows on other test sets, which the paper doesn't have.
        data: what the test sets and columns are made of, in one or two sentences.
        differs: column -> the columns that it is measured against -> the config's keys in which they may differ;
            empty where nothing is declared.
        plot: draws the suite's own plot of its table, as a PNG; None where it has none.
        title: what the table is called.
        joined: evaluator -> patterns of the names of further suites, whose runs of the same column and seed have its
            rows (fine-tuning starts from a suite's runs, and its rows stand in that suite's tables).
        optional: columns that are left out, without a note, where they weren't run.
        story: the summary and the claims.
        shown: evaluators whose tables are made; empty: all.
    """

    columns: Mapping[str, str]
    rows: tuple[RowSpec, ...]
    further: tuple[RowSpec, ...]
    data: str
    differs: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    plot: Callable[[Any], bytes] | None = None
    title: str = "Table III"
    joined: Mapping[str, Sequence[str]] = field(default_factory=dict)
    optional: Sequence[str] = ()
    story: Story = field(default_factory=Story)
    shown: Sequence[str] = ()

    def without(self, names: Iterable[str]) -> Layout:
        """The layout without some columns."""
        gone = set(names)
        left = {name: text for name, text in self.columns.items() if name not in gone}
        differs = {
            name: {other: keys for other, keys in others.items() if other in left}
            for name, others in self.differs.items()
            if name in left
        }
        return replace(self, columns=left, differs=differs)

    def test_sets(self) -> list[str]:
        """The test sets of all rows, in their order."""
        return list(dict.fromkeys(row.test_set for row in self.rows + self.further))

    def pairs(self) -> list[tuple[str, str]]:
        """Columns and those that they are measured against, as declared, or else each column and the one before."""
        names = list(self.columns)
        if not self.differs:
            return list(zip(names[1:], names[:-1], strict=True))
        return [(column, other) for column, others in self.differs.items() for other in others]


def layout(
    columns: Mapping[str, str],
    rows: Mapping[str, Mapping[str, Any]],
    further: Mapping[str, Mapping[str, Any]],
    data: str,
    differs: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    plot: Callable[[Any], bytes] | None = None,
    title: str = "Table III",
    joined: Mapping[str, Sequence[str]] | None = None,
    optional: Sequence[str] = (),
    shown: Sequence[str] = (),
    summary: Mapping[str, Mapping[str, Any]] | None = None,
    published: Sequence[Mapping[str, Any]] | None = None,
    claims: Mapping[str, Any] | None = None,
) -> Layout:
    """Make a layout from its YAML.

    Args:
        columns: experiment name -> name in print.
        rows: row name -> `text`, `set`, `modalities` and, at will, `instead`.
        further: the same for further test sets.
        data: what the data are.
        differs: as `Layout.differs`; where given, every column but the first needs an entry.
        plot: as `Layout.plot`.
        title: what the table is called.
        joined: as `Layout.joined`.
        optional: as `Layout.optional`.
        shown: as `Layout.shown`.
        summary: see `story`.
        published: see `story`.
        claims: see `story`.

    Raises:
        ValueError: a row names no known task, a key is missing or unknown, `instead` is no further row, `differs` or
            `optional` names an unknown column, `differs` lacks one, or see `story`.
    """
    specs = [tuple(_row_spec(name, spec) for name, spec in group.items()) for group in (rows, further)]
    known = {spec.row for spec in specs[1]}
    for spec in specs[0]:
        if spec.instead and spec.instead not in known:
            raise ValueError(f"row {spec.row}: instead={spec.instead} is not one of the further rows {sorted(known)}")
    declared = {column: {o: tuple(keys) for o, keys in others.items()} for column, others in (differs or {}).items()}
    _check_differs(declared, list(columns))
    if unknown := sorted(set(optional) - set(columns)):
        raise ValueError(f"optional: {', '.join(unknown)} is not a column; columns are {', '.join(columns)}")
    told = story(summary, published, claims, list(columns))
    words = " ".join(data.split())
    more = (plot, title, joined or {}, tuple(optional), told, tuple(shown))
    return Layout(dict(columns), specs[0], specs[1], words, declared, *more)


def with_own_sets(made: Layout, runs: Iterable[Run]) -> Layout:
    """Add a further row for each task and modality of test sets that no row names, such as a user's own."""
    known, rows = set(made.test_sets()), dict[str, RowSpec]()
    for run in (run for run in runs if run.name in made.columns and "zero_shot" in run.tables):
        table = run.tables["zero_shot"]
        for name, modality in dict.fromkeys(zip(table["set"], table["modality"], strict=True)):
            for task in TASKS if name not in known else ():
                row = f"{task}/{name}_{modality.lower()}"
                rows[row] = RowSpec(row, f"{task.capitalize()}, {name}, {modality}", name, (modality,))
    return replace(made, further=made.further + tuple(rows.values()))


def _check_differs(differs: Mapping[str, Mapping[str, Any]], columns: Sequence[str]) -> None:
    named = {*differs, *(other for others in differs.values() for other in others)}
    unknown = sorted(named - set(columns))
    missing = [column for column in columns[1:] if not differs.get(column)] if differs else []
    if unknown or missing:
        wrong = [f"{name} is not a column" for name in unknown] + [f"{name} is missing" for name in missing]
        raise ValueError(f"differs: {', '.join(wrong)}; columns are {', '.join(columns)}")


def _row_spec(name: str, spec: Mapping[str, Any]) -> RowSpec:
    if name.split("/")[0] not in TASKS:
        raise ValueError(f"row {name}: its name must begin with one of {', '.join(t + '/' for t in TASKS)}")
    missing, odd = _NEEDED - set(spec), set(spec) - _NEEDED - {"instead"}
    if missing or odd:
        wrong = [f"{key} is missing" for key in sorted(missing)] + [f"{key} is unknown" for key in sorted(odd)]
        raise ValueError(f"row {name}: {', '.join(wrong)}; keys are text, set, modalities and, optionally, instead")
    return RowSpec(name, spec["text"], spec["set"], tuple(spec["modalities"]), spec.get("instead", ""))
