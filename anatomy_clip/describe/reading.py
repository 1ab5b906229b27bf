"""What worker processes do: headers, series, and slices made grey squares. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.refusals import Refusal, Refused
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.describe.bundle.preprocessing import Preprocessing
from anatomy_clip.imaging.densities import Densities, densities
from anatomy_clip.imaging.dicom.decode import FrameReader
from anatomy_clip.imaging.dicom.dicomdir import referenced_files
from anatomy_clip.imaging.dicom.grouping import Group
from anatomy_clip.imaging.dicom.headers import FrameHeader, read_headers
from anatomy_clip.imaging.dicom.pixels import load
from anatomy_clip.imaging.dicom.series import DicomSeries, series_of
from anatomy_clip.imaging.nifti import volume_of
from anatomy_clip.imaging.nifti_header import read_header

_FAT_HU = -100.0  # any body in HU has values below; a file without such is no CT, or its values are no HU
Squares = NDArray[np.uint8]  # (N, side, side)


@dataclass(frozen=True)
class Start:
    """Nothing to do: the worker is there."""


@dataclass(frozen=True)
class Headers:
    """Read the frames that a file holds: `FrameHeader`s."""

    path: Path


@dataclass(frozen=True)
class Directory:
    """Read which files a DICOMDIR names."""

    path: Path


@dataclass(frozen=True)
class FrameGroup:
    """Part frames that are alike into series: (`DicomSeries`, `Refusal`)."""

    group: Group = field(repr=False)


@dataclass(frozen=True)
class Frames:
    """Make some slices of a series squares: `Rendered`.

    Attributes:
        series: the series, with these slices only.
        number: which series of this reading it is.
        first: where its first slice stands in the whole series.
    """

    series: DicomSeries
    number: int
    first: int


@dataclass(frozen=True)
class Nifti:
    """Make the slices of one volume of a NIfTI file squares: `NiftiSlices`."""

    path: Path
    modality: Modality | None
    number: int = 0


@dataclass(frozen=True)
class Picture:
    """Make a PNG or JPEG a square: (1, side, side)."""

    path: Path


Task = Start | Headers | Directory | FrameGroup | Frames | Nifti | Picture


@dataclass(frozen=True)
class Rendered:
    """Slices of a DICOM series.

    Attributes:
        kept: (N,) places of the slices in their task.
        squares: (N, side, side).
        refusals: of slices that can't be read.
        densities: what the values of CT slices are; empty for MR.
    """

    kept: tuple[int, ...]
    squares: Squares
    refusals: tuple[Refusal, ...]
    densities: Densities


@dataclass(frozen=True)
class NiftiSlices:
    """Slices of one volume of a NIfTI file, in stored order.

    Attributes:
        volumes: how many volumes the file holds.
        orientation: plane of the slices; None where the file says none.
        spacing_mm: distance between slices, mm.
        headwards: whether axial slices run towards the head; None where unknown, or for another plane.
        squares: modality -> (N, side, side), as slices of that modality are shown.
        densities: what the values are, taken for HU.
        notes: what a user should know.
    """

    volumes: int
    orientation: Orientation | None
    spacing_mm: float
    headwards: bool | None
    squares: dict[Modality, Squares]
    densities: Densities
    notes: tuple[str, ...]


Outcome = None | Sequence[FrameHeader] | Sequence[Path] | tuple[list[DicomSeries], list[Refusal]] | Rendered | (
    NiftiSlices
) | Squares  # fmt: skip


class Work:
    """Does one task; keeps the last DICOM file in memory for its next frames.

    Args:
        preprocessing: how slices become squares.
    """

    def __init__(self, preprocessing: Preprocessing) -> None:
        self.preprocessing = preprocessing
        self._reader = FrameReader()

    def __call__(self, task: Task) -> Outcome:
        """Do it.

        Raises:
            ValueError: the file can't be used; says why and what to do.
        """
        match task:
            case Start():
                return None
            case Headers(path):
                return read_headers(path)
            case Directory(path):
                return referenced_files(path)
            case FrameGroup(group):
                return series_of(group, self._reader)
            case Frames():
                return self._frames(task.series)
            case Nifti(path, modality, number):
                return self._nifti(path, number, (modality,) if modality else tuple(Modality))
            case Picture(path):
                return self._picture(path)

    def _frames(self, series: DicomSeries) -> Rendered:
        kept, squares, refusals, counts = [], [], [], Densities()
        for index in range(len(series.frames)):
            try:
                image = load(series, index, self._reader, blank=True)
                squares.append(self.preprocessing.square(image))
                kept.append(index)
                if series.modality is Modality.CT:
                    counts += densities(image.pixels)
            except Refused as error:
                refusals.append(error.refusal)
        return Rendered(tuple(kept), _stacked(squares, self.preprocessing.side), tuple(refusals), counts)

    def _nifti(self, path: Path, number: int, modalities: Sequence[Modality]) -> NiftiSlices:
        header = read_header(path)
        volume = volume_of(header, modalities[0], number=number)
        if len(modalities) > 1 and volume.array.min() > _FAT_HU:
            modalities = (Modality.MR,)
        squares: dict[Modality, list[NDArray[np.uint8]]] = {modality: [] for modality in modalities}
        counts = Densities()
        for index in header.indices():
            image = volume.plane(header.orientation, index)
            counts += densities(image.pixels)
            for modality in modalities:
                protocol = Protocol.NONE if modality is Modality.CT else Protocol.OTHER
                shown = replace(image, modality=modality, protocol=protocol)
                squares[modality].append(self.preprocessing.square(shown))
        side = self.preprocessing.side
        shown_as = {modality: _stacked(made, side) for modality, made in squares.items()}
        orientation = header.orientation if header.placed else None
        headwards = header.indices().step > 0 if orientation is Orientation.AXIAL else None
        return NiftiSlices(header.volumes, orientation, header.step_mm, headwards, shown_as, counts, volume.notes)

    def _picture(self, path: Path) -> Squares:
        from PIL import Image, ImageOps

        try:
            with Image.open(path, formats=("PNG", "JPEG")) as opened:
                opened.load()
                upright: Image.Image = opened
                with suppress(Exception):  # what is damaged beside the pixels doesn't matter
                    upright = ImageOps.exif_transpose(opened)
                plain = upright if upright.mode.startswith(("I", "F")) else upright.convert("L")
                pixels = np.asarray(plain)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            words = str(error).replace(str(path), "the file")
            raise ValueError(f"can't be read as a picture ({type(error).__name__}: {words}); fetch it again") from error
        return self.preprocessing.picture(pixels)[None]


def _stacked(squares: Sequence[NDArray[np.uint8]], side: int) -> Squares:
    return np.stack(squares) if squares else np.zeros((0, side, side), np.uint8)
