"""The cells of NIH ChestX-ray14's tables: findings, extent and boxes, in this project's words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from anatomy_clip.core.names import did_you_mean
from anatomy_clip.core.radiographs import Box
from anatomy_clip.core.refusals import Refused
from anatomy_clip.sources.radiographs.texts import read_rows

# NIH's name -> ours. Reports call one shadow a consolidation, an infiltrate or a pneumonia, as findings.yaml says too.
NAMES = {
    "Atelectasis": "atelectasis", "Cardiomegaly": "cardiomegaly", "Consolidation": "consolidation", "Edema": "edema",
    "Effusion": "pleural_effusion", "Emphysema": "emphysema", "Fibrosis": "fibrosis", "Hernia": "hernia",
    "Infiltrate": "consolidation", "Infiltration": "consolidation", "Mass": "nodule", "Nodule": "nodule",
    "Pleural_Thickening": "pleural_thickening", "Pneumonia": "consolidation", "Pneumothorax": "pneumothorax",
}  # fmt: skip
FINDINGS = tuple(sorted(set(NAMES.values())))
_NONE = "No Finding"
BOXED_SIDE = 1024  # pixels of the films that boxes were drawn on
COLUMNS = ("Image Index", "Finding Labels", "Patient ID", "View Position", "OriginalImage[Width", "Height]",
            "OriginalImagePixelSpacing[x", "y]")  # fmt: skip
_BOXES = ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]")


def findings_of(cell: str, where: str) -> tuple[str, ...]:
    """Names of ours for "Effusion|Mass"; none for "No Finding"; Refused where a name is unknown."""
    labels = [label.strip() for label in cell.split("|")]
    return () if labels == [_NONE] else tuple(dict.fromkeys(_named(label, where) for label in labels))


def _named(label: str, where: str) -> str:
    if label not in NAMES:
        hint = did_you_mean(label, [*NAMES, _NONE])
        raise Refused(f"finding {label[:40]!r} is not one of the collection's{hint}", "correct the row", where)
    return NAMES[label]


def extent_mm_of(cells: Mapping[str, str]) -> tuple[float, float] | None:
    """Height and width of what a film shows, mm: pixels of the original film x their spacing; None: not stated."""
    try:
        width, height, x, y = (float(cells[name]) for name in COLUMNS[4:])
    except ValueError:
        return None
    known = all(0 < number < 1e5 for number in (width, height, x, y))
    return (height * y, width * x) if known else None


def boxes_of(cell: str, where: str) -> Iterator[Box]:
    """The boxes of a cell "Mass:x,y,w,h;..."; Refused where one is none."""
    for part in filter(None, cell.split(";")):
        label, _, numbers = part.partition(":")
        yield _box(label.strip(), numbers.split(","), where)


def read_boxes(path: Path) -> defaultdict[str, list[Box]]:
    """Film's file name -> its boxes; none where there is no such table.

    Raises:
        Refused: the table is damaged, or a row is no box.
    """
    boxes: defaultdict[str, list[Box]] = defaultdict(list)
    for where, cells in read_rows(path, *_BOXES) if path.is_file() else ():
        box = _box(cells["Finding Label"], [cells[name] for name in _BOXES[2:]], where)
        boxes[cells["Image Index"]].append(box)
    return boxes


def _box(label: str, numbers: Sequence[str], where: str) -> Box:
    try:
        left, top, width, height = (float(number) for number in numbers)
        inside = 0 <= left < left + width <= BOXED_SIDE + 1 and 0 <= top < top + height <= BOXED_SIDE + 1
    except ValueError:
        inside = False
    if not inside:
        raise Refused(
            f"a box of {_named(label, where)} is not x,y,w,h within {BOXED_SIDE} pixels", "correct the row", where
        )
    return Box(_named(label, where), left, top, width, height)
