"""What a body shows level by level: the labels of axial series, for somebody who knows anatomy to look over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.table import Table

from anatomy_clip.anatomy.labels import NOT_STATED, organs_in, stations_in
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Orientation


@dataclass(frozen=True)
class Level:
    """Neighbouring slices of one series with the same labels.

    Attributes:
        first: lowest position in the series.
        last: highest position.
        slices: number of slices.
        stations: their stations; None where not stated.
        organs: their organs; None where not stated.
    """

    first: int
    last: int
    slices: int
    stations: tuple[str, ...] | None
    organs: tuple[str, ...] | None


def axial_series(records: Sequence[SliceRecord]) -> dict[str, list[SliceRecord]]:
    """Series id -> its axial slices in the order of their positions; series of one slice are left out."""
    series: dict[str, list[SliceRecord]] = defaultdict(list)
    for record in records:
        if record.orientation is Orientation.AXIAL:
            series[record.series].append(record)
    return {name: sorted(rows, key=lambda r: r.index) for name, rows in series.items() if len(rows) > 1}


def levels(rows: Sequence[SliceRecord], taxonomy: Taxonomy) -> list[Level]:
    """Join neighbours with the same labels, highest position first: in sources made of volumes, from head to foot."""
    labelled = [(r.index, stations_in(r, taxonomy), organs_in(r, taxonomy)) for r in reversed(rows)]
    found = []
    for (stations, organs), group in groupby(labelled, key=lambda row: row[1:]):
        positions = [index for index, _, _ in group]
        found.append(Level(min(positions), max(positions), len(positions), stations, organs))
    return found


def table(name: str, rows: Sequence[SliceRecord], taxonomy: Taxonomy) -> Table:
    """Make the table of one series."""
    made = Table("positions", "slices", "stations", "organs", title=f"{name}: labels by level, highest position first")
    for level in levels(rows, taxonomy):
        positions = f"{level.last}-{level.first}" if level.slices > 1 else str(level.first)
        named = (NOT_STATED if names is None else ", ".join(names) for names in (level.stations, level.organs))
        made.add_row(positions, str(level.slices), *named)
    return made
