"""One picture of films: a row a view."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from anatomy_clip.sources.phantom.xray.film import Film

_TITLE = 110  # width of the row titles
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def film_sheet(films: Sequence[Film], path: Path, *, tile: int = 160, outlines: bool = False) -> None:
    """Write a PNG with a row a view, in the order of the films.

    Args:
        films: films of any views and sizes.
        path: where the PNG goes.
        tile: size of each film, pixels.
        outlines: whether the masks' outlines are drawn.

    Raises:
        ValueError: there are no films, or the file can't be written.
    """
    if not films:
        raise ValueError("film sheet: no films; give at least one")
    rows: dict[str, list[np.ndarray[tuple[int, int], np.dtype[np.uint8]]]] = {}
    for film in films:
        picture = cv2.resize(
            film.image, (tile, tile), interpolation=cv2.INTER_AREA if tile < len(film.image) else cv2.INTER_CUBIC
        )
        for mask in film.masks.values() if outlines else ():
            big = cv2.resize(mask.astype(np.uint8), (tile, tile), interpolation=cv2.INTER_NEAREST)
            found, _ = cv2.findContours(big, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(picture, found, -1, 255, 1)
        cv2.putText(picture, film.side, (3, tile - 4), _FONT, 0.35, 200, 1, cv2.LINE_AA)
        rows.setdefault(film.view, []).append(picture)
    columns = max(map(len, rows.values()))
    lines = []
    for name, tiles in rows.items():
        title = np.zeros((tile, _TITLE), np.uint8)
        cv2.putText(title, name, (4, tile // 2), _FONT, 0.42, 255, 1, cv2.LINE_AA)
        lines.append(np.hstack([title, *tiles, *[np.zeros_like(tiles[0])] * (columns - len(tiles))]))
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), np.vstack(lines)):
        raise ValueError(f"film sheet: {path} can't be written; is the folder writable?")
