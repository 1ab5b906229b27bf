"""Chest films with drawn masks: the COVID-19 chest X-ray segmentations of General Blockchain, of films of Cohen et al.

Layout: films in `images/`, `metadata.csv` with a row a film, and `structure.csv` with a row a mask: its film, class,
file, and the place of its upper left corner, since a mask's file holds its own rectangle only. A copy in small may have
`masks.csv` (filename, class, mask) in place of that; then only masks as large as their film can be placed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from anatomy_clip.core.pseudonyms import walk_files
from anatomy_clip.core.radiographs import Finding, RadiographRecord
from anatomy_clip.core.refusals import Doubt, Refused
from anatomy_clip.core.terms import State
from anatomy_clip.imaging.radiographs import Mask, Radiograph
from anatomy_clip.imaging.views import projection_of
from anatomy_clip.sources.radiographs.base import Film, Listed, ListedFilms
from anatomy_clip.sources.radiographs.pictures import read_film, read_mask
from anatomy_clip.sources.radiographs.texts import read_rows

# Class of a mask -> finding; the other classes are structures.
FINDINGS = {
    "ground_glass_opacities": "covid_pattern", "consolidation": "consolidation", "pleural_effusion": "pleural_effusion",
    "pneumothorax": "pneumothorax", "monitoring_probes": "support_devices", "tubings": "support_devices",
    "nosogastric_tube": "support_devices", "nasogastric_tube": "support_devices", "chest_tube": "support_devices",
    "endotracheal_tube": "support_devices", "central_venous_line": "support_devices",
}  # fmt: skip
_UNKNOWN = ("", "todo", "unknown", "no_finding")  # diagnoses that are none


@dataclass(frozen=True, slots=True)
class DrawnMask:
    """A mask's file, and where it lies.

    Attributes:
        name: of the finding or structure.
        path: from the root.
        place: row and column of its upper left pixel in the film; None: not stated.
    """

    name: str
    path: str
    place: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class MaskedRow(Listed):
    """One film: its cells of `metadata.csv`, none where it has no row there, and its masks."""

    cells: Mapping[str, str]
    masks: tuple[DrawnMask, ...]


class CovidSegm(ListedFilms[MaskedRow]):
    """Chest films with masks.

    Arguments are those of `ListedFilms`.
    """

    collection = "covid_segm"

    @cached_property
    def masks(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the masks in the table; ValueError where it can't be read."""
        return tuple(sorted({mask.name for masks in self._masks().values() for mask in masks}))

    def tables(self) -> Sequence[Path]:
        """Films and masks."""
        return [self.root / name for name in ("metadata.csv", "structure.csv", "masks.csv")]

    def rows(self) -> Iterator[MaskedRow]:
        """Every file in `images/`."""
        metadata = {
            cells["filename"]: cells for _, cells in read_rows(self.root / "metadata.csv", "filename", "patientid")
        }
        masks = self._masks()
        for name in walk_files(self.root / "images"):
            cells = metadata.get(name, {})
            patient = cells.get("patientid") or name
            yield MaskedRow(f"images/{name}", patient, "", patient, cells, tuple(masks[name]))

    def film(self, row: MaskedRow, split: str) -> Iterator[Film | Doubt]:
        """Read one film with its masks, and doubts about masks that can't be placed."""
        if not row.cells.get("patientid"):
            raise Refused("no row of metadata.csv with a patientid lists it", "add a row, or leave it out")
        if (modality := row.cells.get("modality") or "X-ray") != "X-ray":
            raise Refused(
                f"modality in metadata.csv is {modality[:20]}, no X-ray", "leave it out: it is not a radiograph"
            )
        pixels = read_film(self.path(row.image))
        masks: dict[str, Mask] = {}
        for mask in row.masks:
            try:
                placed = self._placed(mask, pixels.shape)
            except Refused as error:
                yield Doubt(f"its mask of {mask.name} is left out: {error.refusal.reason}", str(self.root / mask.path))
                continue
            masks[mask.name] = masks[mask.name] | placed if mask.name in masks else placed
        yield Radiograph(pixels, masks), self._record(row, split, tuple(masks))

    def _record(self, row: MaskedRow, split: str, masks: tuple[str, ...]) -> RadiographRecord:
        cells, image = row.cells, Path(row.image).name
        stated = [name for name in map(_snake, re.split("[,/]", cells.get("finding", ""))) if name not in _UNKNOWN]
        drawn = [mask.name for mask in row.masks if mask.name in FINDINGS.values()]
        return RadiographRecord(
            source=self.name,
            split=split,
            patient=row.patient,
            study=image,
            image=image,
            part="chest",
            projection=projection_of(cells.get("view", "")),
            licence=cells.get("license") or self.licence,
            findings={name: Finding(State.POSITIVE) for name in dict.fromkeys([*stated, *drawn])},
            masks=masks,
            report={"notes": cells["clinical_notes"]} if cells.get("clinical_notes") else {},
        )

    def _masks(self) -> defaultdict[str, list[DrawnMask]]:
        """Film's file name -> its masks."""
        masks: defaultdict[str, list[DrawnMask]] = defaultdict(list)
        if (self.root / "structure.csv").is_file():
            for where, cells in read_rows(self.root / "structure.csv", "Filename", "Class", "Mask", "Top", "Left"):
                place = (_pixels(cells["Top"], where), _pixels(cells["Left"], where))
                masks[cells["Filename"]].append(DrawnMask(_named(cells["Class"]), cells["Mask"], place))
        else:
            for _, cells in read_rows(self.root / "masks.csv", "filename", "class", "mask"):
                masks[cells["filename"]].append(DrawnMask(_named(cells["class"]), cells["mask"], None))
        return masks

    def _placed(self, mask: DrawnMask, shape: tuple[int, ...]) -> Mask:
        drawn = read_mask(self.path(mask.path))
        height, width = drawn.shape
        top, left = mask.place or (0, 0)
        if mask.place is None and drawn.shape != shape:
            raise Refused("it is smaller than its film, and no structure.csv gives its position")
        if top + height > shape[0] or left + width > shape[1]:
            raise Refused("it extends beyond its film")
        whole = np.zeros(shape, np.bool_)
        whole[top : top + height, left : left + width] = drawn
        return whole


def _named(words: str) -> str:
    """Our name of a class, as "covid_pattern" for "COVID-19 Ground Glass Opacities"."""
    plain = _snake(words).removeprefix("covid_19_")
    return FINDINGS.get(plain, plain)


def _snake(words: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


def _pixels(cell: str, where: str) -> int:
    if not (cell.isascii() and cell.isdigit() and len(cell) < 6):
        raise Refused(f"Top or Left is {cell[:20]!r}, no whole number", "correct the row", where)
    return int(cell)
