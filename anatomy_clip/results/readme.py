"""The README's small table of a suite, and its place between two markers that name the suite."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from anatomy_clip.core.files import write_text
from anatomy_clip.results.formats import interval, number, printed
from anatomy_clip.results.gains import FEW
from anatomy_clip.results.layout import Layout
from anatomy_clip.results.table import Cell, by_row


def small_table(layout: Layout, cells: Sequence[Cell]) -> str:
    """The table in short: one number a column, the interval of the last one, and the paper's number for that column.

    Args:
        layout: rows and columns.
        cells: the cells of the layout's rows, computed or read from `cells.csv`.
    """
    names = list(layout.columns.values())
    last = names[-1]
    head = ["", *names[:-1], f"{last} [95 % interval]", "slices (patients)", f"paper's {last}, on other data"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for spec, row in by_row(layout.rows, cells):
        values = [number(cell.value, missing="n/a") for cell in row]
        end, most = row[-1], max(row, key=lambda cell: cell.n)
        values[-1] = f"{values[-1]} {interval(end.lo, end.hi)}".rstrip()
        counts = f"{most.n:,} ({most.patients})"
        paper = "" if math.isnan(end.paper) else printed(end.paper)
        lines.append("| " + " | ".join([spec.text, *values, counts, paper]) + " |")
    return "\n".join(lines) + "\n\n" + _words(layout, cells)


def _words(layout: Layout, cells: Sequence[Cell]) -> str:
    last = list(layout.columns)[-1]
    text = (
        f"Percent of slices whose likeliest organ (or station) is right (hit@1), "
        f"{trainings_words(layout.columns, {cell.column: cell.seeds for cell in cells})}. In brackets: "
        f"{bracket_words(cell.seeds for cell in cells if cell.column == last)}. The paper's number was measured on "
        "other data, so it can't be compared with ours directly."
    )
    if any(0 < cell.patients < FEW for cell in cells):
        text += f" With fewer than {FEW} patients, the interval assumes that patients' scores are normally distributed."
    return text


def trainings_words(columns: Mapping[str, str], seeds: Mapping[str, int]) -> str:
    """How many trainings a mean is over; `seeds` are those of each column, `columns` their names in print."""
    most = max(seeds.values(), default=0)
    fewer = ", ".join(f"{columns[column]}: {count}" for column, count in seeds.items() if count < most)
    return f"mean over {most} training{'s' if most != 1 else ''}{f' ({fewer})' if fewer else ''}"


def bracket_words(seeds: Iterable[int]) -> str:
    """What stands in brackets; `seeds` are the trainings behind each interval."""
    known = set(seeds)
    if max(known, default=0) < 2:
        return "95 % interval over patients, without the variation between trainings"
    one = " (a column with one training: over patients alone)" if 1 in known else ""
    return f"95 % interval over trainings and patients{one}"


def markers(suite: str) -> tuple[str, str]:
    """The lines before and behind a suite's table."""
    return f"<!-- {suite}:begin -->", f"<!-- {suite}:end -->"


def insert_block(text: str, suite: str, block: str) -> str:
    """Replace what stands between the markers of a suite.

    Args:
        text: the README.
        suite: the suite's name.
        block: Markdown to put there.

    Returns:
        The README with the block; everything outside the markers is as it was.

    Raises:
        ValueError: the markers are missing, double or in the wrong order.
    """
    start, stop = _bounds(text, suite)
    return f"{text[:start]}\n{block.strip()}\n{text[stop:]}"


def refresh(readme: Path, suite: str, block: str) -> bool:
    """Put the block into the README, atomically; tell whether it changed.

    Raises:
        ValueError: the file is missing or its markers are.
    """
    if not readme.is_file():
        raise ValueError(f"{readme.name} is missing; write it with the lines {' and '.join(markers(suite))}")
    text = readme.read_text(encoding="utf-8")
    new = insert_block(text, suite, block)
    if new != text:
        write_text(readme, new)
    return new != text


def _bounds(text: str, suite: str) -> tuple[int, int]:
    begin, end = markers(suite)
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"README.md needs the line {begin} once and, after it, {end} once")
    return text.index(begin) + len(begin), text.index(end)
