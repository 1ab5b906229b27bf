"""What a suite's summary shows and what its claims compare: data, read from `conf/table`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_SET, _SHARE = "{set}", "{share}"  # of a cell's name: each test set, or share of labels, stands there in turn


@dataclass(frozen=True)
class Measure:
    """A column of a summary's table.

    Attributes:
        text: its name in print.
        cells: names of cells; of each method the first that it has. The test set stands in the place of `{set}`.
        chance: what guessing gives, 0 to 1, or the cell that holds it; None where it isn't shown.
        plain: its heading in the README; empty where it isn't shown there.
    """

    text: str
    cells: tuple[str, ...]
    chance: float | str | None = None
    plain: str = ""


@dataclass(frozen=True)
class Part:
    """One table of a summary: a line a method, a column a measure.

    Attributes:
        text: its title.
        sets: the test sets, a table each.
        measures: name -> measure.
    """

    text: str
    sets: tuple[str, ...]
    measures: Mapping[str, Measure]


@dataclass(frozen=True)
class Published:
    """A line of a published table, on other data.

    Attributes:
        part: the part of the summary beneath which it stands.
        method, paper, data: what was measured, where it was read, and on which data set.
        values: measure -> percent.
    """

    part: str
    method: str
    paper: str
    data: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Claim:
    """A column's cell is said to be above another's.

    Attributes:
        text: the claim.
        better, than: (column, cell) of both.
    """

    text: str
    better: tuple[str, str]
    than: tuple[str, str]


@dataclass(frozen=True)
class Story:
    """What is told of a suite beside the panels of its evaluators.

    Attributes:
        parts: name -> table of the summary.
        published: published lines.
        claims: what is tested.
    """

    parts: Mapping[str, Part] = field(default_factory=dict)
    published: tuple[Published, ...] = ()
    claims: tuple[Claim, ...] = ()


def story(
    summary: Mapping[str, Mapping[str, Any]] | None,
    published: Sequence[Mapping[str, Any]] | None,
    claims: Mapping[str, Any] | None,
    columns: Sequence[str],
) -> Story:
    """Make it from its YAML.

    Args:
        summary: part -> `text`, `sets` and `measures` (name -> `text`, `cell`, which may be several, and, at will,
            `chance`, `plain` and `shares`, percent, of which each makes a measure `<name>_<share>`).
        published: lines with `part`, `method`, `paper`, `data` and `values`.
        claims: `sets`, and `of`: lines with `text`, `better` and `than`.
        columns: the suite's columns.

    Raises:
        ValueError: a key is missing or unknown, a line names no part or measure, or a claim no column.
    """
    parts = {name: _part(f"summary.{name}", spec) for name, spec in (summary or {}).items()}
    lines = tuple(_published(n, line, parts) for n, line in enumerate(published or ()))
    return Story(parts, lines, tuple(_claims(claims, columns)) if claims else ())


def of_set(cell: str, test_set: str) -> str:
    """A cell's name for a test set."""
    return cell.replace(_SET, test_set)


def _part(where: str, spec: Mapping[str, Any]) -> Part:
    _keys(where, spec, {"text", "sets", "measures"})
    measures = {}
    for name, one in spec["measures"].items():
        _keys(f"{where}.measures.{name}", one, {"text", "cell"}, {"chance", "plain", "shares"})
        cells = [one["cell"]] if isinstance(one["cell"], str) else one["cell"]
        more = one.get("chance"), one.get("plain", "")
        if "shares" not in one:
            measures[name] = Measure(one["text"], tuple(cells), *more)
        for share in one.get("shares", ()):
            of_share = tuple(cell.replace(_SHARE, str(share)) for cell in cells)
            plain = more[1].replace(_SHARE, str(share))
            measures[f"{name}_{share}"] = Measure(f"{one['text']}, {share} %", of_share, more[0], plain)
    return Part(spec["text"], tuple(spec["sets"]), measures)


def _published(n: int, line: Mapping[str, Any], parts: Mapping[str, Part]) -> Published:
    where = f"published[{n}]"
    _keys(where, line, {"part", "method", "paper", "data", "values"})
    if line["part"] not in parts:
        raise ValueError(
            f"{where}: part={line['part']} is not one of the summary's parts: {', '.join(parts) or 'none'}"
        )
    measures = parts[line["part"]].measures
    if unknown := sorted(set(line["values"]) - set(measures)):
        raise ValueError(f"{where}: {', '.join(unknown)} is not a measure of {line['part']}: {', '.join(measures)}")
    return Published(**{**line, "values": dict(line["values"])})


def _claims(spec: Mapping[str, Any], columns: Sequence[str]) -> Iterator[Claim]:
    _keys("claims", spec, {"sets", "of"})
    for test_set in spec["sets"]:
        for n, line in enumerate(spec["of"]):
            where = f"claims.of[{n}]"
            _keys(where, line, {"text", "better", "than"})
            sides = []
            for key in ("better", "than"):
                if len(line[key]) != 2 or line[key][0] not in columns:
                    raise ValueError(f"{where}: {key} must be [column, cell]; columns are {', '.join(columns)}")
                column, cell = line[key]
                sides.append((column, of_set(cell, test_set)))
            yield Claim(f"{line['text']}, on {test_set}", *sides)


def _keys(where: str, spec: Mapping[str, Any], needed: set[str], more: set[str] | None = None) -> None:
    missing, odd = needed - set(spec), set(spec) - needed - (more or set())
    if missing or odd:
        wrong = [f"{key} is missing" for key in sorted(missing)] + [f"{key} is unknown" for key in sorted(odd)]
        raise ValueError(f"{where}: {', '.join(wrong)}; keys are {', '.join(sorted(needed | (more or set())))}")
