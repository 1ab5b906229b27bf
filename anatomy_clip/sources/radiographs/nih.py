"""NIH ChestX-ray14 (Wang et al., CVPR 2017): frontal chest films, 14 findings mined from reports, some boxes.

Layout: `Data_Entry_2017.csv`, films in `images/` or `images_001/images/` and so on, and where they are there
`BBox_List_2017.csv`, `train_val_list.txt` and `test_list.txt`. A copy in small has `labels.csv` with the same columns
in place of all these, and boxes in a column `bbox` ("Mass:x,y,w,h;...").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anatomy_clip.core.radiographs import Box, Finding, RadiographRecord
from anatomy_clip.core.refusals import Refused
from anatomy_clip.core.terms import Projection, State
from anatomy_clip.imaging.radiographs import Radiograph
from anatomy_clip.imaging.views import projection_of
from anatomy_clip.sources.figures.selection import split_of
from anatomy_clip.sources.radiographs.base import Film, Listed, ListedFilms
from anatomy_clip.sources.radiographs.nih_tables import (
    BOXED_SIDE,
    COLUMNS,
    FINDINGS,
    boxes_of,
    extent_mm_of,
    findings_of,
    read_boxes,
)
from anatomy_clip.sources.radiographs.pictures import read_film
from anatomy_clip.sources.radiographs.texts import read_rows

_TABLES = ("labels.csv", "Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv")
_BOXES = "BBox_List_2017.csv"
_LISTS = {"test_list.txt": "test", "train_val_list.txt": "train_val"}
_POSITIVE, _NEGATIVE = Finding(State.POSITIVE), Finding(State.NEGATIVE)


@dataclass(frozen=True, slots=True)
class NihRow(Listed):
    """One film of the table.

    Attributes:
        findings: names of ours that are positive; all others of `FINDINGS` are negative.
        projection: PA or AP.
        extent_mm: height and width of what the film shows, at the detector, mm; None: not known.
        boxes: in pixels of a film of 1,024 x 1,024.
    """

    findings: tuple[str, ...]
    projection: Projection
    extent_mm: tuple[float, float] | None
    boxes: tuple[Box, ...]


class NihChestXray14(ListedFilms[NihRow]):
    """Films of NIH ChestX-ray14.

    Where the published lists are there, `test_list.txt` is the test set, and the others are split by `shares` without
    the one of `test`.

    Arguments are those of `ListedFilms`.
    """

    collection = "nih_chestxray14"

    def tables(self) -> Sequence[Path]:
        """Labels, boxes and lists of splits."""
        return [self._table(), *(self.root / name for name in (_BOXES, *_LISTS))]

    def rows(self) -> Iterator[NihRow]:
        """The table's films, with their boxes and splits."""
        table = self._table()
        boxes, lists, folders = read_boxes(self.root / _BOXES), self._lists(), _image_folders(self.root)
        listed: dict[str, str] = {}  # patient -> list
        for where, cells in read_rows(table, *COLUMNS):
            image = cells["Image Index"]
            patient = cells["Patient ID"]
            if not patient or not image:
                raise Refused("Image Index or Patient ID is empty", "correct the row", where)
            split = self._split(image, patient, lists, where)
            if lists and listed.setdefault(patient, lists[image]) != lists[image]:
                raise Refused("a patient is in both lists of splits", "remove the patient's films from one list", where)
            yield NihRow(
                image=f"{folders.get(image, 'images')}/{image}",
                patient=patient,
                split=split,
                volume=patient,
                findings=findings_of(cells["Finding Labels"], where),
                projection=projection_of(cells["View Position"]),
                extent_mm=extent_mm_of(cells),
                boxes=(*boxes[image], *boxes_of(cells.get("bbox", ""), where)),
            )

    def film(self, row: NihRow, split: str) -> Iterator[Film]:
        """Read one film; its boxes and spacing are those of its own pixels."""
        pixels = read_film(self.path(row.image))
        height, width = pixels.shape
        x, y = width / BOXED_SIDE, height / BOXED_SIDE
        boxes = [Box(one.finding, one.left * x, one.top * y, one.width * x, one.height * y) for one in row.boxes]
        image = Path(row.image).stem
        record = RadiographRecord(
            source=self.name,
            split=split,
            patient=row.patient,
            study=image,
            image=image,
            part="chest",
            projection=row.projection,
            spacing_mm=row.extent_mm and (row.extent_mm[0] / height, row.extent_mm[1] / width),
            licence=self.licence,
            findings={name: _POSITIVE if name in row.findings else _NEGATIVE for name in FINDINGS},
            boxes=tuple(boxes),
        )
        yield Radiograph(pixels), record

    def _table(self) -> Path:
        found = [self.root / name for name in _TABLES if (self.root / name).is_file()]
        if not found:
            raise Refused(
                f"has none of {', '.join(_TABLES)}", "unpack the collection there, or set source.root", self.root
            )
        return found[0]

    def _lists(self) -> dict[str, str]:
        """Image -> "test" or "train_val"; empty where the lists aren't there."""
        return {
            image: split
            for name, split in _LISTS.items()
            if (self.root / name).is_file()
            for image in (self.root / name).read_text(encoding="utf-8", errors="replace").split()
        }

    def _split(self, image: str, patient: str, lists: Mapping[str, str], where: str) -> str:
        if not lists:
            return ""
        if image not in lists:
            raise Refused("its Image Index is in neither list of splits", f"fetch {' and '.join(_LISTS)} again", where)
        if lists[image] == "test":
            return "test"
        rest = [(name, share) for name, share in self.shares if name != "test"]
        total = sum(share for _, share in rest)
        if not total:
            raise ValueError("source.shares: no split takes the films of train_val_list.txt; add train")
        return split_of(patient, [(name, share / total) for name, share in rest], self.seed)


def _image_folders(root: Path) -> dict[str, str]:
    """Film's file name -> the folder that holds it."""
    folders = [folder for pattern in ("images*", "images*/images") for folder in sorted(root.glob(pattern))]
    return {
        path.name: folder.relative_to(root).as_posix()
        for folder in folders
        if folder.is_dir()
        for path in folder.iterdir()
        if path.suffix == ".png"
    }
