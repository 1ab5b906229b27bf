"""Files below a folder as stacks: slices along the axis in which they are stored, numbered from 0."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from anatomy_clip.anatomy.terms import Modality, Orientation, Protocol
from anatomy_clip.imaging.dicom.refusal import FETCH_AGAIN, Rejected
from anatomy_clip.imaging.nifti import read_volume
from anatomy_clip.imaging.slices import Slice
from anatomy_clip.imaging.volume import normal_axis

_MAX_INFLATION = 1032  # of deflate, as gzip uses it


@dataclass(frozen=True)
class Stack:
    """Slices of one orientation.

    Attributes:
        modality: CT or MR.
        protocol: MR protocol as the file tells it; `Protocol.NONE` for CT.
        orientation: plane of the slices.
        count: number of slices.
        patient, study, series: raw ids, to be hashed; kept out of `repr`.
        read: yields (index, slice), and what had to be set aside.
    """

    modality: Modality
    protocol: Protocol
    orientation: Orientation
    count: int
    patient: str = field(repr=False)
    study: str = field(repr=False)
    series: tuple[str, ...] = field(repr=False)
    read: Callable[[], Iterator[tuple[int, Slice] | Rejected]] = field(repr=False)


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
        ValueError: as `read_volume`; also for a header that claims more than the file can hold.
    """
    try:
        axis, direction = _third_axis(path)
        volume = read_volume(path, modality, protocol)
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # whatever a damaged file raises
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        remedy = "raise limits.memory_gb, or leave it out" if isinstance(error, MemoryError) else FETCH_AGAIN
        words = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: can't be read ({type(error).__name__}: {words}); {remedy}") from None
    orientation = next(plane for plane in Orientation if normal_axis(plane) == axis)
    count = int(volume.array.shape[axis])

    def read() -> Iterator[tuple[int, Slice]]:
        for index in range(count):
            yield index, volume.plane(orientation, index if direction > 0 else count - 1 - index)

    folder = str(PurePosixPath(key).parent)
    patient = folder if folder != "." else key
    return Stack(modality, protocol, orientation, count, patient, patient, (key,), read)


def _third_axis(path: Path) -> tuple[int, int]:
    """The patient axis (0 to 2) that the third array axis lies along, and its direction; reads the header only."""
    import nibabel  # takes half a second: only where a file is read

    if not path.is_file():
        raise ValueError(f"{path}: file is missing, or no regular file; check the path")
    image = nibabel.load(path)
    stored = image.dataobj
    needed = stored.offset + math.prod(image.shape) * stored.dtype.itemsize
    room = path.stat().st_size * (_MAX_INFLATION if path.name.lower().endswith(".gz") else 1)
    if needed > room:
        raise ValueError(f"{path}: claims {image.shape} voxels, more than a file of its size can hold; {FETCH_AGAIN}")
    axis, direction = nibabel.io_orientation(image.affine)[2]
    return int(axis), int(direction)
