"""Pieces of contact sheets: small images with words beneath, in rows with titles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]

_TILE = 128
_TITLE = 116  # width of the row titles
_LINE = 11
_LABEL = 3 * _LINE + 4  # lines of text beneath a tile
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LETTERS = 24  # that fit beneath a tile


def spread(members: Sequence[int], columns: int) -> list[int]:
    """At most as many members as columns, evenly spread."""
    return [members[k] for k in np.unique(np.linspace(0, len(members) - 1, columns).round().astype(int))]


def tile(image: U8, text: str) -> U8:
    """An image (H, W), made as large as a tile, with up to three lines of text beneath."""
    out = np.zeros((_TILE + _LABEL, _TILE), np.uint8)
    scale = (_TILE - 2) / max(image.shape)
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    out[: small.shape[0], : small.shape[1]] = small
    for k, line in enumerate(_wrap(text, 3)):
        cv2.putText(out, line, (1, _TILE + _LINE * (k + 1) - 2), _FONT, 0.3, 200, 1, cv2.LINE_AA)
    return out


def row(title: Sequence[str], tiles: Sequence[U8], columns: int) -> U8:
    """Tiles side by side, behind a title of up to three lines; empty ones fill the row."""
    head = np.zeros((_TILE + _LABEL, _TITLE), np.uint8)
    for k, line in enumerate(title):
        cv2.putText(head, line, (6, 40 + 22 * k), _FONT, 0.45, 255, 1, cv2.LINE_AA)
    return np.hstack([head, *tiles, *[np.zeros_like(tiles[0])] * (columns - len(tiles))])


def write_sheet(rows: Sequence[U8], path: Path) -> None:
    """Write rows below each other as a PNG.

    Raises:
        ValueError: the file can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), np.vstack(rows)):
        raise ValueError(f"contact sheet: {path} can't be written; is the folder writable?")


def _wrap(text: str, lines: int) -> list[str]:
    out = [""]
    for word in text.split():
        if len(out[-1]) + len(word) + 1 > _LETTERS:
            out.append("")
        out[-1] = f"{out[-1]} {word}".strip()
    return out[:lines]
