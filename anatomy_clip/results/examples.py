"""Slices to look at, chosen by a rule: what each was named, what it shows, and its picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.anatomy.labels import NOT_STATED
from anatomy_clip.results.breakdown import slice_hits
from anatomy_clip.results.read import TASKS, Run
from anatomy_clip.text.captions import WAYS

if TYPE_CHECKING:
    import pandas as pd

RULE = (
    "One slice of each volume and plane in turn, at positions that advance by the golden ratio; "
    "no slice was chosen by hand."
)
_GOLDEN = (5**0.5 - 1) / 2
_PLANES = ("axial", "coronal", "sagittal")
# A slot of a caption's verdict, and what people call it.
_SLOTS = {"modality": "modality", "orientation": "plane", "station": "station", "organ_exact": "organs"}


@dataclass(frozen=True)
class Verdict:
    """What a run says of one slice about one task.

    Attributes:
        names: labels, best first, without those that the slice leaves open.
        share: softmax share of each, 0 to 1 (eq. 2).
        truth: the labels that are right; empty where the slice has none, None where they are unknown.
    """

    names: tuple[str, ...]
    share: tuple[float, ...]
    truth: tuple[str, ...] | None

    @property
    def is_right(self) -> bool | None:
        """Whether the best label is one of the right ones; None where they are unknown."""
        return None if self.truth is None else self.names[0] in self.truth

    @property
    def shown(self) -> str:
        """The right labels in words."""
        return NOT_STATED if self.truth is None else ", ".join(self.truth)


@dataclass(frozen=True)
class Card:
    """One slice of the gallery.

    Attributes:
        test_set, modality, protocol, plane: what is known of it.
        image: data URI of its picture.
        organ, station: what it was named, with the softmax share in percent.
        organs, stations: the right answers; none where they are unknown.
        organ_right, station_right: whether the name is among them; None where they are unknown.
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
    organ_right: bool | None
    station_right: bool | None
    caption: str
    caption_faults: tuple[str, ...]


def choose(predictions: pd.DataFrame, sets: Sequence[str], count: int) -> pd.DataFrame:
    """Choose slices by `RULE`, among those that have a right organ and a right station, as far as they are known.

    Args:
        predictions: one row a slice, as `ZERO_SHOT`.
        sets: test sets to draw from, in this order.
        count: slices wanted.

    Returns:
        At most `count` rows, ordered by set, plane and volume; the same for the same predictions.
    """
    keys = ["source", "patient", "series", "orientation"]
    targets = [predictions[f"{task}_targets"] for task in TASKS]
    empty = [each.map(lambda names: names is not None and not len(names)).astype(bool) for each in targets]
    known = [each.notna() for each in targets]
    scored: pd.DataFrame = predictions[np.logical_or.reduce(known) & ~np.logical_or.reduce(empty)]
    groups = []
    for name in sets:
        of_set = scored[scored["set"] == name].sort_values([*keys, "index", "row"], kind="stable")
        found = [group for _, group in of_set.groupby(keys, sort=True)]
        groups += sorted(found, key=lambda g: _PLANES.index(str(g["orientation"].iloc[0])))
    if not groups:
        return scored.iloc[:0]
    picked: dict[int, list[int]] = {g: [] for g in range(len(groups))}
    # More volumes than places: every k-th volume. Fewer: round after round, until the places are filled.
    step = max(1.0, len(groups) / count)
    for place in range(min(count, sum(len(g) for g in groups))):
        g = int(place * step) % len(groups)
        labels = groups[g].index
        at = int((0.5 + place * _GOLDEN) % 1.0 * len(labels))
        free = [int(labels[(at + k) % len(labels)]) for k in range(len(labels))]
        picked[g] += [i for i in free if i not in picked[g]][:1]
    return predictions.loc[[i for g in sorted(picked) for i in picked[g]]]


def verdict(run: Run, row: Mapping[str, Any], task: str, top: int) -> Verdict:
    """Name the best labels of a slice.

    Args:
        run: the run.
        row: a row of its predictions, as `ZERO_SHOT`; scores are cosines.
        task: organ or station.
        top: labels wanted.
    """
    names, unsure = run.labels[task], row.get(f"{task}_unsure", ())
    scores = np.where([name in unsure for name in names], -np.inf, np.asarray(row[f"{task}_scores"], dtype=np.float64))
    # (K,) eq. 2: softmax of 100 x cosine, the temperature of zero-shot CLIP
    share = np.exp(100.0 * (scores - scores.max()))
    share /= share.sum()
    best = np.argsort(-scores, kind="stable")[:top]
    targets = row[f"{task}_targets"]
    truth = None if targets is None else tuple(str(t) for t in targets)
    return Verdict(tuple(names[k] for k in best), tuple(float(share[k]) for k in best), truth)


def choose_half_wrong(run: Run, sets: Iterable[str], count: int) -> list[dict[str, Any]]:
    """Choose rows of a run's predictions by `RULE`, at most `count` of each test set, half of them among wrong ones."""
    found: list[dict[str, Any]] = []
    for name in sets:
        frame = run.tables["zero_shot"][run.tables["zero_shot"]["set"] == name]
        if not frame.empty:
            wrong = np.logical_or.reduce([slice_hits(run, task, name) == 0 for task in TASKS])
            parts = ((frame, count // 2), (frame[wrong], count - count // 2))
            chosen = {place for part, most in parts for place in choose(part, [name], most).index}
            found += [{str(k): v for k, v in row.items()} for row in frame.loc[sorted(chosen)].to_dict("records")]
    return found


def cards(run: Run, images: Mapping[str, NDArray[np.uint8]], count: int) -> list[Card]:
    """Choose slices of every test set that has images, as `choose_half_wrong`, and say what they were named."""
    captions = _captions(run)
    return [_card(run, row, images[row["set"]], captions) for row in choose_half_wrong(run, images, count)]


def _captions(run: Run) -> dict[tuple[str, int], tuple[str, tuple[str, ...]]]:
    """(Test set, row) -> the best caption of training slices, and what is wrong in it."""
    table = run.tables.get("captions")
    if table is None:
        return {}
    return {
        (str(row["set"]), int(row["row"])): (
            str(row["caption"]),
            tuple(word for slot, word in _SLOTS.items() if row[f"{slot}_right"] == 0),
        )
        for row in table[table["way"] == WAYS[0]].to_dict("records")
    }


def _card(
    run: Run,
    row: Mapping[str, Any],
    stack: NDArray[np.uint8],
    captions: Mapping[tuple[str, int], tuple[str, tuple[str, ...]]],
) -> Card:
    caption, faults = captions.get((row["set"], row["row"]), ("", ()))
    organ, station = verdict(run, row, "organ", 1), verdict(run, row, "station", 1)
    return Card(
        test_set=row["set"],
        modality=row["modality"],
        protocol=row["protocol"],
        plane=row["orientation"],
        image=picture(np.asarray(stack[row["row"]])),
        organ=organ.names[0],
        station=station.names[0],
        organs=organ.truth or (),
        stations=station.truth or (),
        organ_right=organ.is_right,
        station_right=station.is_right,
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
