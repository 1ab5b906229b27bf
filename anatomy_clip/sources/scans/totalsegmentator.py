"""The TotalSegmentator data sets (CT and MR): a folder a subject, a mask file a class.

Layout: `<root>/meta.csv` (separated by `;`, columns `image_id` and `split`), `<root>/<image_id>/ct.nii.gz` or
`mri.nii.gz`, and `<root>/<image_id>/segmentations/<class>.nii.gz`. A class without a file is absent.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.refusals import Doubt
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.imaging.nifti import join_masks, label_names, read_labels, read_volume
from anatomy_clip.imaging.nifti_header import read_header
from anatomy_clip.imaging.slices import Slice
from anatomy_clip.sources.cards import cards
from anatomy_clip.sources.scans.slicing import LabelledVolume, Labels, Sampling, cut_slices, orientations

SPLITS = {"train": "train", "val": "validation", "test": "test"}  # word in meta.csv -> our name of the split
_IMAGE = {Modality.CT: "ct.nii.gz", Modality.MR: "mri.nii.gz"}
_MAX_CLASSES = 255  # that one uint8 label volume can hold


class TotalSegmentator:
    """Slices of a TotalSegmentator data set.

    Args:
        root: folder that holds meta.csv and the subjects.
        modality: "CT" or "MR".
        step_mm: plane -> distance between slices, mm.
        min_body_share: share of a slice's pixels that must show body.
        licence: licence of the data set.
        known_bad: take subjects too whose labels somebody showed to be wrong (`cards.yaml` lists them).

    Raises:
        ValueError: an unknown modality or plane.
    """

    def __init__(
        self,
        root: str | Path,
        modality: str,
        step_mm: Mapping[str, float],
        min_body_share: float = 0.1,
        licence: str = "CC-BY-4.0",
        known_bad: bool = False,
    ) -> None:
        if modality not in tuple(Modality):
            raise ValueError(f"source.modality={modality!r}: give one of {', '.join(Modality)}")
        self.root = Path(root)
        self.modality = Modality(modality)
        self.name = f"totalsegmentator_{self.modality.lower()}"
        self.sampling = Sampling(orientations(step_mm), min_body_share)
        self.licence = licence
        self.left_out = frozenset() if known_bad else frozenset(cards()[self.name].bad_subjects())

    def splits(self) -> Sequence[str]:
        """The splits that meta.csv names, in the order train, validation, test."""
        used = {split for _, split in self._subjects()}
        return [name for name in SPLITS.values() if name in used]

    def volumes(self, split: str) -> Sequence[str]:
        """Ids of the subjects of a split, in the order of meta.csv, without known bad ones."""
        return [subject for subject, name in self._subjects() if name == split and subject not in self.left_out]

    def slices(self, split: str, volume: str) -> Iterator[tuple[Slice, SliceRecord] | Doubt]:
        """Stream the slices of one subject.

        Raises:
            ValueError: an image or mask is missing, damaged or off the image's grid.
        """
        image = self.root / volume / _IMAGE[self.modality]
        # The public MR set names no sequence.
        protocol = Protocol.NONE if self.modality is Modality.CT else Protocol.OTHER
        voxels = read_volume(image, self.modality, protocol)
        labels, names = read_masks(self.root / volume / "segmentations", image)
        record = SliceRecord(
            source=self.name,
            split=split,
            patient=volume,
            study=volume,
            series=volume,
            index=0,
            modality=self.modality,
            protocol=protocol,
            orientation=Orientation.AXIAL,
            licence=self.licence,
        )
        yield from cut_slices(LabelledVolume(voxels, labels, names), record, self.sampling)

    def _subjects(self) -> list[tuple[str, str]]:
        """(Subject, split) in the order of meta.csv."""
        path = self.root / "meta.csv"
        if not path.is_file():
            raise ValueError(f"{path}: the file is missing; unpack the data set there, or set source.root")
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines, delimiter=";"))
        missing = {"image_id", "split"} - set(rows[0] if rows else ())
        if missing:
            wanted = " or ".join(sorted(missing))
            raise ValueError(f"{path}: has no column {wanted} (columns are separated by ';') or no row")
        for number, row in enumerate(rows, start=2):
            if row["split"] not in SPLITS:
                raise ValueError(f"{path}, line {number}: split {row['split']!r} is not one of {', '.join(SPLITS)}")
            if not row["image_id"] or Path(row["image_id"]).name != row["image_id"]:
                raise ValueError(f"{path}, line {number}: image_id {row['image_id']!r} is not a folder name")
        return [(row["image_id"], SPLITS[row["split"]]) for row in rows]


def read_masks(folder: Path, image: Path) -> tuple[Labels, dict[int, str]]:
    """Join a folder of masks, one file a class, to one label volume; one mask is in memory at a time.

    Args:
        folder: holds `<class>.nii.gz`.
        image: the image that the masks belong to.

    Returns:
        (X, Y, Z) uint8 labels in canonical axes, and label value -> class. Where masks overlap, the later class
        in alphabetical order wins.

    Raises:
        ValueError: there is no mask, there are more than 255, or one is damaged or on another grid.
    """
    files = sorted(folder.glob("*.nii.gz"))
    if not files:
        raise ValueError(f"{folder}: contains no masks (*.nii.gz); unpack the volume again")
    if len(files) > _MAX_CLASSES:
        raise ValueError(f"{folder}: holds {len(files)} masks, but one label volume can have at most {_MAX_CLASSES}")
    labels = join_masks(files, like=read_header(image))
    return labels, {value: path.name.removesuffix(".nii.gz") for value, path in enumerate(files, start=1)}


def read_multilabel(path: Path, image: Path, names: Mapping[int, str] | None = None) -> tuple[Labels, dict[int, str]]:
    """Read one file that holds all classes.

    Args:
        path: a label volume.
        image: the image that it belongs to.
        names: label value -> class; the table in the file's own header otherwise.

    Raises:
        ValueError: the file is damaged or on another grid, or holds a value that has no name.
    """
    labels = read_labels(path, like=read_header(image))
    table = dict(names) if names is not None else label_names(path)
    nameless = sorted(set(np.unique(labels).tolist()) - {0} - set(table))
    if nameless:
        raise ValueError(f"{path}: label(s) {', '.join(map(str, nameless[:5]))} have no name in its class table")
    return labels, table
