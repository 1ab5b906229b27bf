"""Publication-style figures with captions: the kind of pair that figure collections hold, faults included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality
from anatomy_clip.imaging.slices import Slice
from anatomy_clip.sources.phantom.captions import write_caption

U8 = NDArray[np.uint8]
Pair = tuple[Slice, SliceRecord]

# Figures carry grey values. A CT figure stores them as HU of the soft-tissue window (level 40, width 400), so that
# the usual display of the slice shows the figure as it was printed.
WINDOW_LEVEL, WINDOW_WIDTH = 40.0, 400.0
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WINDOWS = ((40.0, 400.0), (50.0, 350.0), (-500.0, 1500.0), (300.0, 1600.0), (40.0, 100.0))
_WINDOW_SHARES = (0.55, 0.2, 0.1, 0.1, 0.05)
_MOST_PANELS = 4


def make_figures(pairs: Iterable[Pair], rng: np.random.Generator) -> Iterator[Pair]:
    """Turn a patient's slices into figures of one to four panels, each with its own caption.

    Args:
        pairs: slices with their records, all of one patient.
        rng: the patient's generator for figures.
    """
    waiting: list[Pair] = []
    wanted = _panels(rng)
    for pair in pairs:
        waiting.append(pair)
        if len(waiting) == wanted:
            yield make_figure(waiting, rng)
            waiting, wanted = [], _panels(rng)
    if waiting:
        yield make_figure(waiting, rng)


def make_figure(pairs: list[Pair], rng: np.random.Generator) -> Pair:
    """Join panels to one figure and write its caption.

    The record is the first panel's, with the structures of all panels and the caption.
    """
    size = max(max(shown.pixels.shape) for shown, _ in pairs)
    marks = [_draw_marks(rng) for _ in pairs]
    letters = len(pairs) > 1 or rng.uniform() < 0.08
    panels = [_panel(shown, size, mark, rng) for (shown, _), mark in zip(pairs, marks, strict=True)]
    if letters:
        style = str(rng.choice(["a", "A"]))
        panels = [_letter(panel, chr(ord(style) + k), rng) for k, panel in enumerate(panels)]
    image = _border(_join(panels, size, rng), rng)
    first, record = pairs[0]
    caption = write_caption([r for _, r in pairs], marks, rng)
    structures: dict[str, float] = {}
    for _, r in pairs:
        for name, area in r.structures.items():
            structures[name] = structures.get(name, 0.0) + area
    scaled = image.astype(np.float64)
    if first.modality is Modality.CT:
        scaled = scaled / 255 * WINDOW_WIDTH + WINDOW_LEVEL - WINDOW_WIDTH / 2
    return replace(first, pixels=scaled.astype(np.float32)), replace(record, structures=structures, caption=caption)


def display(shown: Slice, rng: np.random.Generator) -> U8:
    """Grey values (H, W) as an author would have exported the slice."""
    pixels = shown.pixels.astype(np.float64)
    if shown.modality is Modality.CT:
        level, width = _WINDOWS[int(rng.choice(len(_WINDOWS), p=_WINDOW_SHARES))]
        low, high = level - width / 2, level + width / 2
    else:
        low, high = (float(v) for v in np.quantile(pixels, (0.02, rng.uniform(0.985, 0.999))))
    share = np.clip((pixels - low) / max(high - low, 1e-6), 0, 1)
    grey = share ** rng.uniform(0.7, 1.35)
    if rng.uniform() < 0.03:
        grey = 1 - grey
    return np.asarray(grey * 255, dtype=np.uint8)


def _panels(rng: np.random.Generator) -> int:
    return int(rng.choice([1, 2, 3, _MOST_PANELS], p=[0.74, 0.15, 0.05, 0.06]))


def _draw_marks(rng: np.random.Generator) -> str:
    return str(
        rng.choice(["", "arrow", "arrows", "arrowhead", "asterisk", "circle"], p=[0.5, 0.24, 0.1, 0.06, 0.06, 0.04])
    )


def _panel(shown: Slice, size: int, mark: str, rng: np.random.Generator) -> U8:
    grey = display(shown, rng)
    if rng.uniform() < 0.5:  # authors crop to what they mean
        h, w = grey.shape
        share = rng.uniform(0.65, 0.97, 2)
        ch, cw = int(h * share[0]), int(w * share[1])
        top, left = int(rng.integers(0, h - ch + 1)), int(rng.integers(0, w - cw + 1))
        grey = grey[top : top + ch, left : left + cw]
    scale = size / max(grey.shape)
    grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    canvas = np.zeros((size, size), np.uint8)
    h, w = (min(n, size) for n in grey.shape)
    top, left = (size - h) // 2, (size - w) // 2
    canvas[top : top + h, left : left + w] = grey[:h, :w]
    _annotate(canvas, mark, rng)
    if rng.uniform() < 0.12:
        _overlay(canvas, rng)
    return canvas


def _annotate(canvas: U8, mark: str, rng: np.random.Generator) -> None:
    size = canvas.shape[0]
    colour = 255 if rng.uniform() < 0.85 else 0
    for _ in range(2 if mark == "arrows" else 1 if mark else 0):
        x, y = (int(v) for v in rng.integers(size // 4, 3 * size // 4, 2))
        if mark.startswith("arrow"):
            length = size * (0.07 if mark == "arrowhead" else rng.uniform(0.1, 0.22))
            angle = rng.uniform(0, 2 * np.pi)
            start = (int(x + length * np.cos(angle)), int(y + length * np.sin(angle)))
            tip = 0.9 if mark == "arrowhead" else 0.35
            cv2.arrowedLine(canvas, start, (x, y), colour, max(1, size // 96), cv2.LINE_AA, tipLength=tip)
        elif mark == "asterisk":
            cv2.putText(canvas, "*", (x, y), _FONT, size / 160, colour, max(1, size // 110), cv2.LINE_AA)
        else:
            cv2.circle(canvas, (x, y), int(size * rng.uniform(0.06, 0.14)), colour, 1, cv2.LINE_AA)


def _overlay(canvas: U8, rng: np.random.Generator) -> None:
    size = canvas.shape[0]
    words = [
        "R",
        "L",
        "A",
        "P",
        f"{rng.uniform(1, 9):.1f} cm",
        f"IM {rng.integers(1, 200)}",
        "10 cm",
        f"SE {rng.integers(1, 12)}",
    ]
    for _ in range(int(rng.integers(1, 4))):
        place = (
            int(rng.integers(1, int(size * 0.75))),
            int(rng.choice([size * 0.1, size * 0.5, size * 0.95])),
        )
        cv2.putText(canvas, str(rng.choice(words)), place, _FONT, size / 400, 255, 1, cv2.LINE_AA)


def _letter(panel: U8, letter: str, rng: np.random.Generator) -> U8:
    size = panel.shape[0]
    place = (int(size * 0.03), int(size * 0.97) if rng.uniform() < 0.5 else int(size * 0.17))
    if rng.uniform() < 0.3:
        cv2.rectangle(panel, (0, place[1] - size // 7), (size // 6, place[1] + size // 30), 255, -1)
        cv2.putText(panel, letter, place, _FONT, size / 220, 0, max(1, size // 96), cv2.LINE_AA)
    else:
        cv2.putText(panel, letter, place, _FONT, size / 220, 255, max(1, size // 96), cv2.LINE_AA)
    return panel


def _join(panels: list[U8], size: int, rng: np.random.Generator) -> U8:
    if len(panels) == 1:
        return panels[0]
    gap, paper = int(rng.integers(1, 5)), 255 if rng.uniform() < 0.7 else 0
    columns = 2 if len(panels) != 3 or rng.uniform() < 0.5 else 3
    rows = -(-len(panels) // columns)
    sheet = np.full((rows * size + (rows - 1) * gap, columns * size + (columns - 1) * gap), paper, np.uint8)
    for k, panel in enumerate(panels):
        top, left = (k // columns) * (size + gap), (k % columns) * (size + gap)
        sheet[top : top + size, left : left + size] = panel
    scale = size / max(sheet.shape)
    return np.asarray(cv2.resize(sheet, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _border(image: U8, rng: np.random.Generator) -> U8:
    if rng.uniform() < 0.25:
        top, bottom, left, right = (int(v) for v in rng.integers(0, max(2, image.shape[0] // 14), 4))
        colour = 255 if rng.uniform() < 0.7 else 0
        return np.asarray(
            cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=colour),
            dtype=np.uint8,
        )
    return image
