"""One picture of many films: a row a view, or two rows a finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from anatomy_clip.sources.phantom.xray.film import Film
from anatomy_clip.sources.phantom.xray.findings.effects import Mask
from anatomy_clip.sources.phantom.xray.geometry import U8 as Picture

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
    rows: dict[str, list[Picture]] = {}
    for film in films:
        masks = film.masks if outlines else ()
        rows.setdefault(film.view, []).append(_tile(film, tile, masks, film.side))
    _write(rows, path, tile)


def finding_sheet(pairs: Mapping[str, Sequence[tuple[Film, Film]]], path: Path, *, tile: int = 160) -> None:
    """Write a PNG with two rows a finding: films without it, with its outline, and the same films with it.

    Args:
        pairs: finding, and after a comma what more its row is called -> films of the same body, view and nuisances,
            (without it, with it).
        path: where the PNG goes.
        tile: size of each film, pixels.

    Raises:
        ValueError: there are no films, or the file can't be written.
    """
    rows: dict[str, list[Picture]] = {}
    for name, films in pairs.items():
        for without, film in films:
            finding = name.split(",")[0]
            found = film.findings.get(finding)
            words = f"{found.severity} {found.visibility or found.state}" if found else ""
            outlined = _tile(without, tile, (), "")
            mask = film.masks.get(finding)
            if mask is not None:
                _outline(outlined, mask)
            rows.setdefault(name, []).append(outlined)
            rows.setdefault(f"{name} ", []).append(_tile(film, tile, (), words))
    _write(rows, path, tile)


def _tile(film: Film, tile: int, masks: Iterable[str], words: str) -> Picture:
    method = cv2.INTER_AREA if tile < len(film.image) else cv2.INTER_CUBIC
    picture: Picture = cv2.resize(film.image, (tile, tile), interpolation=method)
    for name in masks:
        _outline(picture, film.masks[name])
    cv2.putText(picture, words, (3, tile - 4), _FONT, 0.35, 200, 1, cv2.LINE_AA)
    return picture


def _outline(picture: Picture, mask: Mask) -> None:
    big = cv2.resize(mask.astype(np.uint8), picture.shape[::-1], interpolation=cv2.INTER_NEAREST)
    found, _ = cv2.findContours(big, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, found, -1, 255, 1)


def _write(rows: dict[str, list[Picture]], path: Path, tile: int) -> None:
    if not rows:
        raise ValueError("film sheet: no films; give at least one")
    columns = max(map(len, rows.values()))
    lines = []
    for name, tiles in rows.items():
        title = np.zeros((tile, _TITLE), np.uint8)
        cv2.putText(title, name, (4, tile // 2), _FONT, 0.42, 255, 1, cv2.LINE_AA)
        lines.append(np.hstack([title, *tiles, *[np.zeros_like(tiles[0])] * (columns - len(tiles))]))
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), np.vstack(lines)):
        raise ValueError(f"film sheet: {path} can't be written; is the folder writable?")
