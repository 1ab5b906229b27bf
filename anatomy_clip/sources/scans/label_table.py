"""Label tables: what a person stated of ranges of slices, one row a range, or of pictures, one row a file.

A table has the columns of `COLUMNS`, one of pictures those of `PICTURE_COLUMNS`. It may have two more: `organs_unsure`,
organs that may be in the slices and aren't plain (neither right nor wrong there), and `source`, the collection that a
volume comes from. A volume without one is of the collection that the source's settings name.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.terms import Modality, Orientation, Protocol

COLUMNS = ("path", "patient", "modality", "protocol", "orientation", "first_slice", "last_slice", "stations", "organs")
PICTURE_COLUMNS = ("file", "patient", "modality", "protocol", "orientation", "stations", "organs")
Term = TypeVar("Term", Modality, Protocol, Orientation)


@dataclass(frozen=True)
class LabelRow:
    """One row of a label table.

    Attributes:
        where: the table and line, for messages.
        path: file or folder of one series, below the table's root, with `/`.
        patient: patient id as the table gives it.
        modality: CT or MR.
        protocol: MR protocol; `Protocol.NONE` for CT and where it isn't stated.
        orientation: plane of the stored slices; None where a table of pictures doesn't state it.
        first: first slice, from 0, in stored order.
        last: last slice, included.
        stations: stated stations; None where not stated.
        organs: stated organs; None where not stated.
        unsure: organs that may be there, neither right nor wrong (column `organs_unsure`).
        source: collection that the volume comes from (column `source`); "" where the table doesn't say.
    """

    where: str
    path: str
    patient: str
    modality: Modality
    protocol: Protocol
    orientation: Orientation | None
    first: int
    last: int
    stations: tuple[str, ...] | None
    organs: tuple[str, ...] | None
    unsure: tuple[str, ...] = ()
    source: str = ""


def read_table(path: Path, taxonomy: Taxonomy) -> dict[str, list[LabelRow]]:
    """Read a label table; columns that it has beside ours are ignored.

    Args:
        path: a CSV file.
        taxonomy: knows the names of stations and organs.

    Returns:
        Path in the table -> its rows by orientation and first slice; paths in the table's order.

    Raises:
        ValueError: the file is missing or no table, or a row holds an unknown word or an impossible range, or
            contradicts itself or another row; the message names the line.
    """
    rows: dict[str, list[LabelRow]] = {}
    for number, cells in _cells(path, COLUMNS):
        where = f"{path}, line {number}"
        first, last = (_whole(cells[name], f"{where}: {name}") for name in ("first_slice", "last_slice"))
        if last < first:
            raise ValueError(f"{where}: last_slice={last} is smaller than first_slice={first}; correct the row")
        row = _row(cells, "path", first, last, where, taxonomy)
        rows.setdefault(row.path, []).append(row)
    return {name: _agreeing(group) for name, group in rows.items()}


def read_pictures(path: Path, taxonomy: Taxonomy) -> dict[str, LabelRow]:
    """Read a label table of pictures, each a file that holds one slice; columns that it has beside ours are ignored.

    Args:
        path: a CSV file.
        taxonomy: knows the names of stations and organs.

    Returns:
        File in the table -> its row; files in the table's order.

    Raises:
        ValueError: the table is missing or none, or a row holds an unknown word, or two rows name one file; the message
            names the line.
    """
    rows: dict[str, LabelRow] = {}
    for number, cells in _cells(path, PICTURE_COLUMNS):
        row = _row(cells, "file", 0, 0, f"{path}, line {number}", taxonomy)
        if first := rows.get(row.path):
            raise ValueError(f"{row.where}: file {row.path!r} is also in {first.where}; remove one of the rows")
        rows[row.path] = row
    return rows


def check_rows(rows: Sequence[LabelRow], counts: Mapping[Orientation, int], modalities: Collection[Modality]) -> None:
    """Refuse rows that don't fit the files that they speak of.

    Args:
        rows: the rows of one path.
        counts: orientation -> number of slices that are stored so.
        modalities: what the files are.

    Raises:
        ValueError: a row's orientation or modality isn't there, or it reaches past the last slice; names the row.
    """
    for row in rows:
        if set(modalities) != {row.modality}:
            found = " and ".join(sorted(modalities)) or "no image"
            raise ValueError(f"{row.where}: modality is {row.modality}, but {row.path} holds {found}; correct the row")
        count = counts.get(row.orientation) if row.orientation else None
        if count is None:
            found = " and ".join(sorted(counts))
            raise ValueError(
                f"{row.where}: orientation is {row.orientation}, but {row.path} holds {found} slices; correct the row"
            )
        if row.last >= count:
            raise ValueError(
                f"{row.where}: last_slice={row.last}, but {row.path} has {count} {row.orientation} slice(s), counted "
                "from 0; correct the row"
            )


def _cells(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """(Line number, column -> cell) of each row."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines, strict=True)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(f"{path}: has no column {', '.join(missing)}; columns are separated by ','")
            rows = [(reader.line_num, {k: (v or "").strip() for k, v in row.items() if k}) for row in reader]
            return [(number, row) for number, row in rows if any(row.values())]  # spreadsheets leave empty rows
    except FileNotFoundError:
        raise ValueError(f"{path}: the label table is missing; put it there, or set source.labels") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: can't be read as a table ({error}); save it as CSV in UTF-8") from error


def _row(cells: Mapping[str, str], path: str, first: int, last: int, where: str, taxonomy: Taxonomy) -> LabelRow:
    """A row, whose path stands in the column `path`."""
    for name in (path, "patient"):
        if not cells[name]:
            raise ValueError(f"{where}: {name} is empty; fill it in")
    plane = cells["orientation"]
    unstated = path == "file" and not plane  # such a picture is refused by itself
    modality = _term(Modality, cells["modality"], f"{where}: modality")
    protocol = _term(Protocol, cells["protocol"], f"{where}: protocol")
    if modality is Modality.CT and protocol:
        raise ValueError(f"{where}: protocol is {protocol}, but CT has none; leave it empty")
    organs = _names(cells["organs"], taxonomy.organ, where)
    unsure = _names(cells.get("organs_unsure", ""), taxonomy.organ, where) or ()
    if both := sorted(set(unsure) & set(organs or ())):
        raise ValueError(f"{where}: {', '.join(both)} in organs and in organs_unsure; remove it from one of them")
    return LabelRow(
        where=where,
        path=cells[path].replace("\\", "/").rstrip("/"),  # as Windows writes it
        patient=cells["patient"],
        modality=modality,
        protocol=protocol,
        orientation=None if unstated else _term(Orientation, plane, f"{where}: orientation"),
        first=first,
        last=last,
        stations=_names(cells["stations"], taxonomy.station, where),
        organs=organs,
        unsure=unsure,
        source=cells.get("source", ""),
    )


def _term(kind: type[Term], word: str, where: str) -> Term:
    same = {term.value.casefold(): term for term in kind}  # ct, Axial: a spreadsheet's spelling
    try:
        return same[word.casefold()]
    except KeyError:
        known = ", ".join(repr(term.value) for term in kind)
        raise ValueError(f"{where} {word!r} is unknown; known: {known}") from None


def _names(text: str, check: Callable[[str], Any], where: str) -> tuple[str, ...] | None:
    names = tuple(name.strip() for name in text.split(";")) if text else ()
    for name in names:
        try:
            check(name)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    return names or None  # an empty cell says nothing, least of all "none"


def _whole(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"{where}={text!r} is not a whole number of at least 0; correct the row")
    return int(text)


def _agreeing(rows: Sequence[LabelRow]) -> list[LabelRow]:
    """Rows of one path in order, checked against each other."""
    rows = sorted(rows, key=lambda row: (row.orientation or "", row.first))
    for a, b in pairwise(rows):
        for name in ("patient", "source", "modality", "protocol"):
            if getattr(a, name) != getattr(b, name):
                raise ValueError(
                    f"{b.where}: {name} differs from that of {a.where} for the same path; correct one of them"
                )
        if a.orientation == b.orientation and b.first <= a.last:
            raise ValueError(f"{b.where}: slices {b.first} to {b.last} overlap those of {a.where}; correct one of them")
    return rows
