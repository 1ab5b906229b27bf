"""The Visible Human Project's fresh CT of a man and a woman, labelled by anatomical level.

Layout, as the National Library of Medicine serves it: `<root>/Male-Images/radiological/normalCT/c_vm####.fre.Z` and
`<root>/Female-Images/radiological/normalCT/c_vf####.fre.Z`. The number in the name is the level: the project numbered
the slices from 1001 at the vertex, 1 mm each. Positions in the headers start anew in each examination, so they aren't
used to order slices.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.imaging.slices import Slice
from anatomy_clip.sources.scans.genesis import read_slice

LICENCE = "NLM Visible Human terms of 2019"


@dataclass(frozen=True)
class LevelRange:
    """What is stated of a range of levels.

    Attributes:
        first: first level.
        last: last level, included.
        stations: stations in view.
        organs: organs in view; empty where none is certain.
    """

    first: int
    last: int
    stations: tuple[str, ...]
    organs: tuple[str, ...]


@dataclass(frozen=True)
class Subject:
    """One donor: where the slices lie and what is stated of them.

    Attributes:
        folder: below the root.
        prefix: of the file names.
        patient: patient id, the one that Imaging Data Commons uses.
        gaps: (first, last) levels that weren't scanned.
        ranges: in order of level.
    """

    folder: str
    prefix: str
    patient: str
    gaps: tuple[tuple[int, int], ...]
    ranges: tuple[LevelRange, ...]

    def at(self, level: int) -> LevelRange | None:
        """What is stated of a level; None where nothing is, and inside a gap."""
        if any(first <= level <= last for first, last in self.gaps):
            return None
        return next((r for r in self.ranges if r.first <= level <= r.last), None)


class VisibleHuman:
    """Axial slices of the two donors at the levels that `visible_human.yaml` labels; each slice is a volume of its own.

    Args:
        root: folder that holds `Male-Images` and `Female-Images`.
        step_mm: least distance between two slices.
        subjects: donors, of male and female.

    Raises:
        ValueError: an unknown donor, or a step that isn't above 0.
    """

    name = "visible_human"

    def __init__(self, root: str | Path, step_mm: float, subjects: Sequence[str] = ("male", "female")) -> None:
        unknown = [name for name in subjects if name not in donors()]
        if unknown or not subjects:
            raise ValueError(f"source.subjects={list(subjects)}: give some of {', '.join(donors())}")
        if not step_mm > 0:
            raise ValueError(f"source.step_mm={step_mm}: give a distance above 0 mm")
        self.root = Path(root)
        self.step_mm = float(step_mm)
        self.subjects = tuple(subjects)

    def splits(self) -> Sequence[str]:
        """One split: the set is for tests."""
        return ["all"]

    def volumes(self, split: str) -> Sequence[str]:
        """Keys "male/1012" of the labelled slices, by donor and level.

        Raises:
            ValueError: a donor has no slice at all under the root.
        """
        return [f"{name}/{level}" for name in self.subjects for level in self._levels(name)]

    def slices(self, split: str, volume: str) -> Iterator[tuple[Slice, SliceRecord]]:
        """Yield one slice.

        Raises:
            ValueError: the file is missing, damaged or another format.
        """
        name, level = volume.split("/")
        donor, index = donors()[name], int(level)
        image = read_slice(self.root / donor.folder / f"{donor.prefix}{index}.fre.Z")
        found = donor.at(index)
        if found is None:
            raise ValueError(f"{volume}: visible_human.yaml has no labels for this level")
        record = SliceRecord(
            source=self.name,
            split=split,
            patient=donor.patient,
            study=donor.patient,
            series=f"{donor.patient}-fresh-ct",
            index=index,
            modality=Modality.CT,
            protocol=Protocol.NONE,
            orientation=Orientation.AXIAL,
            spacing_mm=image.spacing_mm,
            thickness_mm=image.thickness_mm,
            licence=LICENCE,
        )
        yield image, replace(record, organs=found.organs, stations=found.stations)

    def _levels(self, name: str) -> list[int]:
        donor = donors()[name]
        pattern = re.compile(rf"{donor.prefix}(\d{{4}})\.fre\.Z")
        folder = self.root / donor.folder
        names = [pattern.fullmatch(path.name) for path in folder.glob("*.fre.Z")]
        present = sorted(int(match.group(1)) for match in names if match)
        if not present:
            raise ValueError(
                f"{folder}: contains no {donor.prefix}####.fre.Z; download the set there, or set source.root"
            )
        taken: list[int] = []
        for level in present:
            if donor.at(level) and (not taken or level - taken[-1] >= self.step_mm):
                taken.append(level)
        return taken


@cache
def donors() -> Mapping[str, Subject]:
    """The donors, by name, as `visible_human.yaml` describes them."""
    import yaml

    text = files("anatomy_clip.sources.scans").joinpath("visible_human.yaml").read_text(encoding="utf-8")
    return {name: _subject(part) for name, part in yaml.safe_load(text).items()}


def _subject(part: Mapping[str, Any]) -> Subject:
    ranges = tuple(_range(r) for r in part["ranges"])
    gaps = tuple((first, last) for first, last in part["gaps"])
    return Subject(part["folder"], part["prefix"], part["patient"], gaps, ranges)


def _range(part: Mapping[str, Any]) -> LevelRange:
    first, last = part["levels"]
    return LevelRange(first, last, tuple(part["stations"]), tuple(part["organs"]))
