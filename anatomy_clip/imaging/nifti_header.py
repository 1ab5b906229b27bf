"""The header of a NIfTI file: its grid in the patient's axes, and which way its slices run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.refusals import FETCH_AGAIN
from anatomy_clip.core.terms import Orientation
from anatomy_clip.imaging.orientation import MAX_TILT_DEGREES, nearest_plane
from anatomy_clip.imaging.volume import normal_axis

Affine = NDArray[np.float64]
_MAX_INFLATION = 1032  # of deflate, as gzip uses it
_MM = {1: 1000.0, 3: 0.001}  # xyzt_units: metre, micron; all else is mm
_THICK = 1.5  # slices lie this many times farther apart than pixels
_FLAT = 1e-6  # volume of a voxel, by that of a box of its edges
_BODY_MM = (10.0, 4000.0)  # a field of view is no smaller than a finger, and no larger than a body


@dataclass(frozen=True)
class Header:
    """A file of which only the header has been read.

    Attributes:
        path: the file.
        image: nibabel's image, its voxels still in the file.
        stored: voxels along the three axes as stored.
        volumes: how many volumes it holds (time points, echoes, directions).
        slice_axis: the stored axis (0 to 2) that slices follow each other along.
        turn: (3, 2) axis and direction in the patient of every stored axis, as `nibabel.io_orientation` gives it.
        shape: voxels along the canonical RAS+ axes.
        affine: (4, 4) canonical voxel to mm.
        off_axis: degrees between the slices' normal and that of the nearest plane.
        placed: whether it says how it lies in the patient; if not, axes run to left, anterior and superior.
        notes: what a user should know.
    """

    path: Path
    image: Any
    stored: tuple[int, int, int]
    volumes: int
    slice_axis: int
    turn: NDArray[np.float64]
    shape: tuple[int, ...]
    affine: Affine
    off_axis: float
    placed: bool
    notes: tuple[str, ...]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Size of a voxel along the canonical axes, mm."""
        x, y, z = (float(length) for length in np.linalg.norm(self.affine[:3, :3], axis=0))
        return x, y, z

    @property
    def orientation(self) -> Orientation:
        """The plane nearest to the slices."""
        return next(plane for plane in Orientation if normal_axis(plane) == self.turn[self.slice_axis, 0])

    @property
    def step_mm(self) -> float:
        """Distance between slices along their normal, mm; a tilted gantry's slices lie farther apart than that."""
        along = np.delete(self.affine[:3, :3].T, int(self.turn[self.slice_axis, 0]), axis=0)
        normal = np.cross(*along)
        return float(abs(np.linalg.det(self.affine[:3, :3])) / np.linalg.norm(normal))

    def indices(self) -> range:
        """Places of the slices along their canonical axis, in stored order."""
        axis, direction = self.turn[self.slice_axis]
        return range(self.shape[int(axis)])[:: int(direction)]

    def check_axes(self) -> None:
        """Refuse what is no fair example of a plane.

        Raises:
            ValueError: it doesn't say how it lies in the patient, or lies more than 30 degrees off its axes.
        """
        if not self.placed:
            raise ValueError(f"{self.path}: gives no orientation (no usable sform or qform); set its affine")
        worst = max(nearest_plane(*np.delete(self.affine[:3, :3].T, n, axis=0))[1] for n in range(3))
        if worst > MAX_TILT_DEGREES:
            raise ValueError(
                f"{self.path}: is tilted by {worst:.0f} degrees from the patient's axes (at most "
                f"{MAX_TILT_DEGREES:.0f}); resample it first"
            )


def read_header(path: Path) -> Header:
    """Read a header, and find its closest canonical axes; no voxel is read.

    Raises:
        ValueError: the file is missing or damaged, holds no slices, or its voxels have no size; names the file.
    """
    from nibabel.orientations import inv_ornt_aff

    image = load(path)
    stored, volumes = _shape(path, image.shape)
    affine, placed = _affine(path, image.header, stored)
    axis = _slice_axis(image.header, stored, affine)
    off_axis = nearest_plane(*np.delete(affine[:3, :3].T, axis, axis=0))[1]
    turn = _turn(affine, axis)
    notes = tuple(_notes(affine, stored, off_axis, placed))
    shape = tuple(stored[n] for n in np.argsort(turn[:, 0]))
    canonical = affine @ inv_ornt_aff(turn, stored)
    return Header(path, image, stored, volumes, axis, turn, shape, canonical, off_axis, placed, notes)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """One clear message for whatever a damaged file raises."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        remedy = "increase limits.memory_gb, or leave it out" if isinstance(error, MemoryError) else FETCH_AGAIN
        words = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: can't be read as NIfTI ({type(error).__name__}: {words}); {remedy}") from error


def load(path: Path) -> Any:
    """Read a header as nibabel's image; refuse one that claims more voxels than a file of its size can hold.

    Raises:
        ValueError: as `read_header`.
    """
    import nibabel  # takes half a second: only where a file is read

    if not path.is_file():
        raise ValueError(f"{path}: the file is missing, or it is not a regular file; check the path")
    with reading(path):
        image: Any = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image):  # NIfTI-2 is one too
            raise ValueError(f"{path}: is not a NIfTI file; convert it to .nii.gz")
        stored = image.dataobj
        size = int(stored.offset + math.prod(image.shape) * stored.dtype.itemsize)
        if size > path.stat().st_size * (_MAX_INFLATION if is_gzip(path) else 1):
            claim = f"its header states {image.shape} voxels, more than a file of its size can contain"
            raise ValueError(f"{path}: {claim}; {FETCH_AGAIN}")
        return image


def is_gzip(path: Path) -> bool:
    """Whether a file is compressed, by its ending."""
    return path.name.lower().endswith(".gz")


def _shape(path: Path, shape: tuple[int, ...]) -> tuple[tuple[int, int, int], int]:
    """Voxels along three axes, and the number of volumes; further axes of length 1 say nothing."""
    x, y, z, volumes, *more = (*shape, *[1] * (4 - len(shape)))
    if min(x, y, z, volumes) < 1 or sorted((x, y, z))[1] == 1:
        raise ValueError(f"{path}: has shape {shape}, which contains no slice; leave it out")
    if max(more, default=1) != 1:
        raise ValueError(
            f"{path}: has shape {shape}, so each voxel has several values; save one of them as a separate file"
        )
    return (x, y, z), volumes


def _affine(path: Path, header: Any, stored: tuple[int, int, int]) -> tuple[Affine, bool]:
    """Stored voxel to mm, and whether the file says it: by sform, else by qform, else only sizes are known."""
    unit = np.diag([*[_MM.get(int(header["xyzt_units"]) & 7, 1.0)] * 3, 1.0])
    for code, read in (("sform_code", header.get_sform), ("qform_code", header.get_qform)):
        with suppress(Exception):  # a quaternion may be none
            if header[code] > 0 and _is_usable(affine := unit @ np.asarray(read(), np.float64)):
                return affine, True
    sizes = np.abs(np.asarray(header["pixdim"][1:4], np.float64))
    sizes[(np.array(stored) == 1) & ~(sizes > 0)] = 1.0
    affine = unit @ np.diag([-sizes[0], sizes[1], sizes[2], 1.0])  # as nibabel takes it
    if not _is_usable(affine):
        raise ValueError(f"{path}: it gives no voxel size (pixdim, sform and qform); set its affine")
    return affine, False


def _is_usable(affine: Affine) -> bool:
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > _FLAT * edges.prod() > 0)


def _slice_axis(header: Any, stored: tuple[int, int, int], affine: Affine) -> int:
    """An axis of length 1, else one along which voxels are thick, else what the header says, else the third."""
    if 1 in stored:
        return stored.index(1)
    edges = np.linalg.norm(affine[:3, :3], axis=0)
    thickest = int(edges.argmax())
    if edges[thickest] > _THICK * np.delete(edges, thickest).max():
        return thickest
    said = header.get_dim_info()[2]
    return 2 if said is None else int(said)


def _turn(affine: Affine, slice_axis: int) -> NDArray[np.float64]:
    """Axis and direction in the patient of each stored axis: the slices' normal decides, as it does in DICOM."""
    edges = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    a, b = (n for n in range(3) if n != slice_axis)
    normal = int(np.abs(np.cross(edges[:, a], edges[:, b])).argmax())
    first, second = (n for n in range(3) if n != normal)
    if abs(edges[first, a]) + abs(edges[second, b]) < abs(edges[first, b]) + abs(edges[second, a]):
        first, second = second, first
    turn = np.zeros((3, 2))
    for stored, axis in ((slice_axis, normal), (a, first), (b, second)):
        turn[stored] = axis, -1.0 if edges[axis, stored] < 0 else 1.0
    return turn


def _notes(affine: Affine, stored: tuple[int, int, int], off_axis: float, placed: bool) -> Iterator[str]:
    if not placed:
        yield "the file gives no orientation (no usable sform or qform): the plane was estimated from the image"
    if off_axis > MAX_TILT_DEGREES:
        yield f"slices are tilted by {off_axis:.0f} degrees from the nearest plane"
    widest = float((np.linalg.norm(affine[:3, :3], axis=0) * stored).max())
    if not _BODY_MM[0] <= widest <= _BODY_MM[1]:
        yield f"its field of view is {widest:.3g} mm wide: are its voxel sizes and their unit (xyzt_units) right?"
