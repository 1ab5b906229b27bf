"""One picture of a slice store: rows of slices by station and modality, with their organs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.anatomy.labels import NOT_STATED, organs_in, stations_in
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import modality_words
from anatomy_clip.stores.tiles import row, spread, tile, write_sheet

NO_STATION = "no station"


def contact_sheet(
    images: NDArray[np.uint8],
    records: Sequence[SliceRecord],
    taxonomy: Taxonomy,
    path: Path,
    *,
    columns: int = 12,
) -> None:
    """Write a PNG of a store.

    Args:
        images: (N, H, W) grey values.
        records: N records in the same order.
        taxonomy: gives each slice its organs and stations.
        path: where the PNG goes.
        columns: slices in a row, spread evenly over the row's slices.

    Raises:
        ValueError: images and records differ in number, or there are none, or the file can't be written.
    """
    if len(images) != len(records) or not len(records):
        raise ValueError(
            f"contact sheet: {len(images)} images for {len(records)} records; give one record for each image"
        )
    rows = []
    for (station, modality), members in sorted(group_rows(records, taxonomy).items()):
        tiles = [tile(images[k], _words(records[k], taxonomy)) for k in spread(members, columns)]
        rows.append(row((station, modality, f"n = {len(members)}"), tiles, columns))
    write_sheet(rows, path)


def group_rows(records: Sequence[SliceRecord], taxonomy: Taxonomy) -> dict[tuple[str, str], list[int]]:
    """Indices of records by (station, modality and protocol), by plane and then in order.

    A slice with two stations stands in two rows.
    """
    rows: dict[tuple[str, str], list[int]] = {}
    order = sorted(range(len(records)), key=lambda n: (records[n].orientation, n))
    for n in order:
        record = records[n]
        stations = stations_in(record, taxonomy)
        for station in (NOT_STATED,) if stations is None else stations or (NO_STATION,):
            rows.setdefault((station, modality_words(record.modality, record.protocol)), []).append(n)
    return rows


def _words(record: SliceRecord, taxonomy: Taxonomy) -> str:
    organs = organs_in(record, taxonomy)
    return record.caption or NOT_STATED if organs is None else ", ".join(organs) or record.caption or "-"
