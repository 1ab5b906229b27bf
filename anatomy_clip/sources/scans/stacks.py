"""Files below a folder as stacks: slices along the axis in which they are stored, numbered from 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from anatomy_clip.core.refusals import Refusal
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.imaging.nifti import read_volume, third_axis
from anatomy_clip.imaging.slices import Slice
from anatomy_clip.imaging.volume import normal_axis


@dataclass(frozen=True)
class Stack:
    """Slices of one series and orientation, in the order that they are counted in.

    Attributes:
        modality: CT or MR.
        protocol: MR protocol as the file tells it; `Protocol.NONE` for CT.
        orientation: plane of the slices.
        count: number of slices.
        patient, study, series: raw ids, to be hashed; kept out of `repr`.
        read: yields (index, slice), and refusals.
        notes: what a user should know of it, from its headers.
    """

    modality: Modality
    protocol: Protocol
    orientation: Orientation
    count: int
    patient: str = field(repr=False)
    study: str = field(repr=False)
    series: tuple[str, ...] = field(repr=False)
    read: Callable[[], Iterator[tuple[int, Slice] | Refusal]] = field(repr=False)
    notes: tuple[str, ...] = ()


def is_nifti(name: str) -> bool:
    """Whether a path is a NIfTI file's, by its ending."""
    return name.lower().endswith((".nii", ".nii.gz"))


def nifti_stack(path: Path, key: str, modality: Modality, protocol: Protocol) -> Stack:
    """A NIfTI file as a stack along its third array axis as stored, whichever way that runs through the patient.

    Args:
        path: the file.
        key: its path from the root, which stands for its ids: files of one folder count as one patient's.
        modality: CT or MR.
        protocol: MR protocol.

    Raises:
        ValueError: as `read_volume`.
    """
    axis, direction = third_axis(path)
    volume = read_volume(path, modality, protocol)
    orientation = next(plane for plane in Orientation if normal_axis(plane) == axis)
    count = int(volume.array.shape[axis])

    def read() -> Iterator[tuple[int, Slice]]:
        for index in range(count):
            yield index, volume.plane(orientation, index if direction > 0 else count - 1 - index)

    folder = str(PurePosixPath(key).parent)
    patient = folder if folder != "." else key
    return Stack(modality, protocol, orientation, count, patient, patient, (key,), read)
