"""One picture of a store of radiographs: rows by what was examined, then by finding with its mask and boxes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.radiographs import Finding, RadiographRecord
from anatomy_clip.stores.store import Store
from anatomy_clip.stores.tiles import row, spread, tile, write_sheet

_SCALE = 3  # outlines are drawn on larger pixels, so that they hide less


def film_sheet(store: Store, path: Path, *, columns: int = 12) -> None:
    """Write a PNG of a store of radiographs.

    Args:
        store: the store.
        path: where the PNG goes.
        columns: films in a row, spread evenly over the row's films.

    Raises:
        ValueError: the file can't be written.
    """
    views: dict[tuple[str, str], list[int]] = {}
    findings: dict[str, list[int]] = {}
    for n, record in enumerate(store.manifest):
        views.setdefault((record.part, str(record.projection)), []).append(n)
        for name in (name for name, one in record.findings.items() if one.shown):
            findings.setdefault(name, []).append(n)
    rows = []
    for (part, projection), members in sorted(views.items()):
        tiles = [tile(store.images[n], _sides(store.manifest[n])) for n in spread(members, columns)]
        rows.append(row((part, projection, f"n = {len(members)}"), tiles, columns))
    for name, members in sorted(findings.items()):
        tiles = [tile(outlined(store, n, name), _words(store.manifest[n], name)) for n in spread(members, columns)]
        rows.append(row((*name.split("_"), f"n = {len(members)}"), tiles, columns))
    write_sheet(rows, path)


def outlined(store: Store, n: int, finding: str) -> NDArray[np.uint8]:
    """A film, enlarged, with the outline of a finding's mask and its boxes in white."""
    picture = cv2.resize(store.images[n], None, fx=_SCALE, fy=_SCALE, interpolation=cv2.INTER_LINEAR)
    mask = store.masks(n).get(finding)
    if mask is not None:
        large = cv2.resize(mask.astype(np.uint8), None, fx=_SCALE, fy=_SCALE, interpolation=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, 255, 1)
    for left, top, right, bottom in _corners(store.manifest[n], finding):
        cv2.rectangle(picture, (left, top), (right, bottom), 255, 1)
    return np.asarray(picture, dtype=np.uint8)


def _corners(record: RadiographRecord, finding: str) -> Iterator[tuple[int, int, int, int]]:
    for box in record.boxes:
        if box.finding == finding:
            ends = (box.left, box.top, box.left + box.width, box.top + box.height)
            left, top, right, bottom = (round(_SCALE * end) for end in ends)
            yield left, top, right - 1, bottom - 1


def _sides(record: RadiographRecord) -> str:
    shown = [name for name, one in record.findings.items() if one.shown]
    return f"{record.side or ''} {', '.join(shown) or '-'}"


def _words(record: RadiographRecord, finding: str) -> str:
    one: Finding = record.findings[finding]
    return " ".join(filter(None, (str(one.side or ""), one.zone, one.severity, str(one.visibility or ""))))
