"""Files below a folder as stacks: slices along the axis in which they are stored, numbered from 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from anatomy_clip.core.refusals import Doubt, Refusal
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.imaging.nifti import volume_of
from anatomy_clip.imaging.nifti_header import Header, read_header
from anatomy_clip.imaging.slices import Slice


@dataclass(frozen=True)
class Stack:
    """Slices of one series and orientation, in the order that they are counted in.

    Attributes:
        modality: CT or MR.
        protocol: MR protocol as the file tells it; `Protocol.NONE` for CT.
        orientation: plane of the slices.
        count: number of slices.
        patient, study, series: raw ids, to be hashed; kept out of `repr`.
        read: yields (index, slice), refusals, and doubts about values.
        notes: what a user should know of it, from its headers.
    """

    modality: Modality
    protocol: Protocol
    orientation: Orientation
    count: int
    patient: str = field(repr=False)
    study: str = field(repr=False)
    series: tuple[str, ...] = field(repr=False)
    read: Callable[[], Iterator[tuple[int, Slice] | Refusal | Doubt]] = field(repr=False)
    notes: tuple[str, ...] = ()


def is_nifti(name: str) -> bool:
    """Whether a path is a NIfTI file's, by its ending."""
    return name.lower().endswith((".nii", ".nii.gz"))


def nifti_stacks(path: Path, key: str, modality: Modality, protocol: Protocol) -> Iterator[Stack]:
    """A NIfTI file as stacks, one a volume (time point, echo, direction), in the order in which slices are stored.

    Args:
        path: the file.
        key: its path from the root, which stands for its ids: files of one folder count as one patient's.
        modality: CT or MR.
        protocol: MR protocol.

    Raises:
        ValueError: as `read_header` and `volume_of`; also no usable affine, or axes that lie more than 30 degrees off
            the patient's.
    """
    header = read_header(path)
    header.check_axes()
    folder = str(PurePosixPath(key).parent)
    patient = folder if folder != "." else key
    for number in range(header.volumes):
        series = (key, str(number)) if number else (key,)
        read = partial(_read, header, number, modality, protocol, key)
        yield Stack(modality, protocol, header.orientation, len(header.indices()), patient, patient, series, read)


def _read(
    header: Header, number: int, modality: Modality, protocol: Protocol, key: str
) -> Iterator[tuple[int, Slice] | Doubt]:
    volume = volume_of(header, modality, protocol, number)
    yield from (Doubt(note, key) for note in volume.notes)
    for index, place in enumerate(header.indices()):
        yield index, volume.plane(header.orientation, place)
