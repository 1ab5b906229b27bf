"""Tables, JSON and XML of collections, read within limits: a damaged or hostile one is refused by name."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from anatomy_clip.core.refusals import FETCH_AGAIN, Refused

MAX_BYTES = 2**28  # of one file
MAX_DEPTH = 100  # of XML elements in each other; reports have 7
_PLACE = "unpack the collection there, or set source.root"


def read_rows(path: Path, *columns: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Read a CSV file with a header, row by row.

    Args:
        path: the file, UTF-8.
        columns: that it must have.

    Returns:
        ("file, line n", column -> cell) of each row that holds something; names and cells without blanks around them.

    Raises:
        Refused: the the file is missing, too large or no such table; names it and the columns that it lacks.
    """
    _check(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines, strict=True)
            names = [name.strip() for name in reader.fieldnames or ()]
            if missing := [column for column in columns if column not in names]:
                raise Refused(
                    f"has no column {' or '.join(missing)}",
                    "separate the columns by ',' and give their names in line 1",
                    path,
                )
            for row in reader:
                cells = {name.strip(): (value or "").strip() for name, value in row.items() if name}
                if any(cells.values()):
                    yield f"{path}, line {reader.line_num}", cells
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"can't be read as a table ({error})", "save it as CSV in UTF-8", path) from None


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        Refused: it is missing, too large, damaged, or nested too deeply.
    """
    _check(path)
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError:
        raise Refused(
            "is JSON nested too deeply", "leave it out: it may be meant to crash the program that reads it", path
        ) from None
    except (OSError, ValueError) as error:  # of UTF-8, of JSON, of a number with thousands of digits
        raise Refused(f"can't be read as JSON ({type(error).__name__})", FETCH_AGAIN, path) from None


def read_xml(path: Path) -> Element:
    """Read an XML file; entities that it declares itself are never expanded, files that it names never opened.

    Raises:
        Refused: it is missing, too large or damaged, declares entities, or is nested too deeply.
    """
    _check(path)
    tree, parser, depth = TreeBuilder(), expat.ParserCreate(), 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise Refused(f"is XML nested more than {MAX_DEPTH} deep", "leave it out", path)
        tree.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        tree.end(name)

    def entity(*declared: Any) -> None:
        raise Refused("it declares entities, which can grow without limit", "remove its DOCTYPE, or leave it out", path)

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.EntityDeclHandler = tree.data, entity
    parser.buffer_text = True
    try:
        parser.Parse(path.read_bytes(), True)
        return tree.close()
    except (OSError, ValueError, LookupError, expat.ExpatError, AssertionError) as error:
        if isinstance(error, Refused):
            raise
        raise Refused(f"can't be read as XML ({type(error).__name__})", FETCH_AGAIN, path) from None


def _check(path: Path) -> None:
    if not path.is_file():
        raise Refused("the file is missing", _PLACE, path)
    if path.stat().st_size > MAX_BYTES:
        raise Refused(f"is larger than {MAX_BYTES} bytes", "split it", path)
