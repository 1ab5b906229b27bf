"""One picture of a slice store: rows of slices by station and modality, with their organs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from anatomy_clip.anatomy.labels import NOT_STATED, organs_in, stations_in
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import modality_words

U8 = NDArray[np.uint8]

NO_STATION = "no station"
_TILE = 128
_TITLE = 116  # width of the row titles
_LINE = 11
_LABEL = 3 * _LINE + 4  # lines of text beneath a tile
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LETTERS = 24  # that fit beneath a tile


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
        raise ValueError(f"contact sheet: {len(images)} images for {len(records)} records; give one record an image")
    rows = []
    for (station, modality), members in sorted(group_rows(records, taxonomy).items()):
        picks = np.unique(np.linspace(0, len(members) - 1, columns).round().astype(int))
        chosen = [members[k] for k in picks]
        tiles = [_tile(images[k], records[k], taxonomy) for k in chosen]
        tiles += [np.zeros_like(tiles[0])] * (columns - len(tiles))
        rows.append(np.hstack([_title(station, modality, len(members)), *tiles]))
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), np.vstack(rows)):
        raise ValueError(f"contact sheet: {path} can't be written; is the folder writable?")


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


def _tile(image: U8, record: SliceRecord, taxonomy: Taxonomy) -> U8:
    tile = np.zeros((_TILE + _LABEL, _TILE), np.uint8)
    scale = (_TILE - 2) / max(image.shape)
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    tile[: small.shape[0], : small.shape[1]] = small
    organs = organs_in(record, taxonomy)
    text = record.caption or NOT_STATED if organs is None else ", ".join(organs) or record.caption or "-"
    for k, line in enumerate(_wrap(text, 3)):
        cv2.putText(tile, line, (1, _TILE + _LINE * (k + 1) - 2), _FONT, 0.3, 200, 1, cv2.LINE_AA)
    return tile


def _title(station: str, modality: str, count: int) -> U8:
    title = np.zeros((_TILE + _LABEL, _TITLE), np.uint8)
    for k, line in enumerate((station, modality, f"n = {count}")):
        cv2.putText(title, line, (6, 40 + 22 * k), _FONT, 0.45, 255, 1, cv2.LINE_AA)
    return title


def _wrap(text: str, lines: int) -> list[str]:
    out = [""]
    for word in text.split():
        if len(out[-1]) + len(word) + 1 > _LETTERS:
            out.append("")
        out[-1] = f"{out[-1]} {word}".strip()
    return out[:lines]
