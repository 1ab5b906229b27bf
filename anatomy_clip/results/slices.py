"""Slices of the report's gallery: what each was named, what it shows, and its picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.results.errors import slice_hits
from anatomy_clip.results.gallery import choose, verdict
from anatomy_clip.results.read import TASKS, Run
from anatomy_clip.text.captions import WAYS

# A slot of a caption's verdict, and what people call it.
_SLOTS = {"modality": "modality", "orientation": "plane", "station": "station", "organ_exact": "organs"}


@dataclass(frozen=True)
class Card:
    """One slice of the gallery.

    Attributes:
        test_set, modality, protocol, plane: what is known of it.
        image: data URI of its picture.
        organ, station: what it was named, with the softmax share in percent.
        organs, stations: the right answers.
        organ_right, station_right: whether the name is among them.
        caption: the one of all captions of training slices that fits best; empty where captions weren't searched.
        caption_faults: what is wrong in it.
    """

    test_set: str
    modality: str
    protocol: str
    plane: str
    image: str
    organ: str
    station: str
    organs: tuple[str, ...]
    stations: tuple[str, ...]
    organ_right: bool
    station_right: bool
    caption: str
    caption_faults: tuple[str, ...]


def cards(run: Run, images: Mapping[str, NDArray[np.uint8]], count: int) -> list[Card]:
    """Choose slices of every test set that has images, by the gallery's rule: half among all, half among wrong ones."""
    found: list[Card] = []
    for name, stack in images.items():
        frame = run.predictions[run.predictions["set"] == name]
        if frame.empty:
            continue
        wrong = np.logical_or.reduce([slice_hits(run, task, name) == 0 for task in TASKS])
        chosen = {*choose(frame, [name], count // 2).index, *choose(frame[wrong], [name], count - count // 2).index}
        captions = _captions(run, name)
        found += [_card(run, row, stack, captions) for row in frame.loc[sorted(chosen)].to_dict("records")]
    return found


def _captions(run: Run, test_set: str) -> dict[int, tuple[str, tuple[str, ...]]]:
    """Row -> the best caption of training slices, and what is wrong in it."""
    if run.captions is None:
        return {}
    table = run.captions[(run.captions["set"] == test_set) & (run.captions["way"] == WAYS[0])]
    wrong = {word: table[f"{slot}_right"] == 0 for slot, word in _SLOTS.items()}
    return {
        int(row): (str(caption), tuple(word for word in wrong if wrong[word][n]))
        for n, row, caption in zip(table.index, table["row"], table["caption"], strict=True)
    }


def _card(
    run: Run, row: Mapping[Any, Any], stack: NDArray[np.uint8], captions: Mapping[int, tuple[str, tuple[str, ...]]]
) -> Card:
    caption, faults = captions.get(row["row"], ("", ()))
    organ, station = verdict(run, row, "organ", 1), verdict(run, row, "station", 1)
    return Card(
        test_set=row["set"],
        modality=row["modality"],
        protocol=row["protocol"],
        plane=row["orientation"],
        image=picture(np.asarray(stack[row["row"]])),
        organ=organ.names[0],
        station=station.names[0],
        organs=organ.truth,
        stations=station.truth,
        organ_right=organ.is_right(),
        station_right=station.is_right(),
        caption=caption,
        caption_faults=faults,
    )


def picture(grey: NDArray[np.uint8]) -> str:
    """A grey image (H, W) as the data URI of a PNG."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(grey).save(out, format="PNG", optimize=True)
    return uri(out.getvalue())


def uri(png: bytes) -> str:
    """A PNG as a data URI, which needs no file beside the page."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
