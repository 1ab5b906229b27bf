"""NIfTI files to volumes and label arrays in canonical RAS+ axes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from isal import isal_zlib  # unpacks several times quicker than zlib
from numpy.typing import NDArray

from anatomy_clip.core.refusals import FETCH_AGAIN
from anatomy_clip.core.terms import Modality, Protocol
from anatomy_clip.imaging.orientation import MAX_TILT_DEGREES, tilt_degrees
from anatomy_clip.imaging.volume import Volume

# One entry of the label table that TotalSegmentator writes into a multi-label file (a header extension).
_LABEL = re.compile(rb'<Label\s+Key="(\d{1,5})"[^>]*>\s*<!\[CDATA\[([^\]]{1,100})\]\]>')
_SAME_GRID_MM = 0.5  # a mask is on its image's grid if no corner differs by more
T = TypeVar("T", bound=np.generic)
_MAX_INFLATION = 1032  # of deflate, as gzip uses it
_GZIP = 16 + 15  # a gzip header, and the largest window


@dataclass(frozen=True)
class Header:
    """A file of which only the header has been read.

    Attributes:
        path: the file.
        image: nibabel's image, its voxels still in the file.
        turn: (3, 2) axis and direction in the patient of every stored axis, as `nibabel.io_orientation` gives it.
        shape: voxels along the canonical RAS+ axes.
        affine: (4, 4) canonical voxel to mm.
    """

    path: Path
    image: Any
    turn: NDArray[np.float64]
    shape: tuple[int, ...]
    affine: NDArray[np.float64]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Size of a voxel along the canonical axes, mm."""
        x, y, z = (float(length) for length in np.linalg.norm(self.affine[:3, :3], axis=0))
        return x, y, z


def read_header(path: Path) -> Header:
    """Read a header, check it, and find its closest canonical axes; no voxel is read.

    Raises:
        ValueError: as `read_volume`, but for what the voxels may be.
    """
    import nibabel

    image = _load(path)
    if len(image.shape) != 3 or min(image.shape) < 1:
        raise ValueError(f"{path}: has shape {image.shape}, expected a 3D volume")
    if image.header["sform_code"] == 0 and image.header["qform_code"] == 0:
        raise ValueError(f"{path}: has no affine (sform and qform are unset), so its orientation is unknown")
    if not np.isfinite(image.affine).all() or abs(float(np.linalg.det(image.affine[:3, :3]))) < 1e-9:
        raise ValueError(f"{path}: its affine is flat or not finite, so its orientation is unknown")
    tilt = tilt_degrees(image.affine)
    if tilt > MAX_TILT_DEGREES:
        raise ValueError(
            f"{path}: lies {tilt:.0f} degrees off the patient's axes (at most {MAX_TILT_DEGREES:.0f}); "
            "resample it first"
        )
    turn = nibabel.io_orientation(image.affine)
    shape = tuple(image.shape[n] for n in np.argsort(turn[:, 0]))
    affine = image.affine @ nibabel.orientations.inv_ornt_aff(turn, image.shape)
    return Header(path, image, turn, shape, affine)


def read_volume(path: Path, modality: Modality, protocol: Protocol = Protocol.NONE) -> Volume:
    """Read a volume of voxels.

    Args:
        path: a .nii or .nii.gz file.
        modality: CT (values are HU) or MR.
        protocol: MR protocol.

    Raises:
        ValueError: the file is missing or damaged, not a 3D volume, has no usable affine, lies more than 30
            degrees off the patient's axes, or holds values that are not finite; the message names the file.
    """
    header = read_header(path)
    array = _turned(_voxels(header), header.turn).astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        raise ValueError(f"{path}: holds NaN or infinite values; mend or leave out this volume")
    return Volume(array, header.spacing_mm, modality, protocol)


def read_labels(path: Path, like: Header | None = None) -> NDArray[np.uint8]:
    """Read a mask or a multi-label volume.

    Args:
        path: a .nii or .nii.gz file of whole numbers from 0 to 255.
        like: header of the image that the labels belong to; the two must share a grid.

    Returns:
        (X, Y, Z) in canonical RAS+ axes.

    Raises:
        ValueError: as `read_volume`; also labels outside 0 to 255, fractions, or another grid than the image's.
    """
    header = read_header(path)
    if like is not None:
        _check_grid(header, like)
    return _turned(_labels(header), header.turn)


def join_masks(paths: Sequence[Path], like: Header) -> NDArray[np.uint8]:
    """Join masks to one label volume; one mask is in memory at a time.

    Args:
        paths: at most 255 files, the first's voxels become label 1; where masks overlap, the later one wins.
        like: header of the image that they belong to.

    Returns:
        (X, Y, Z) in canonical RAS+ axes.

    Raises:
        ValueError: as `read_labels`.
    """
    # In the image's own axes, and only where a mask has anything: most show a small part of the body.
    labels = np.zeros(like.image.shape, np.uint8, order="F")
    for value, path in enumerate(paths, start=1):
        header = read_header(path)
        _check_grid(header, like)
        mask = _turned(_labels(header), _between(header.turn, like.turn))
        shown = np.flatnonzero(mask.reshape(-1, mask.shape[2], order="A").max(axis=0))
        if len(shown):
            part = slice(int(shown[0]), int(shown[-1]) + 1)
            here = np.multiply(mask[:, :, part] > 0, np.uint8(value))
            np.maximum(labels[:, :, part], here, out=labels[:, :, part])  # values rise, so this is the later one
    return _turned(labels, like.turn)


def label_names(path: Path) -> dict[int, str]:
    """Read the label table that a TotalSegmentator multi-label file carries in its header.

    Returns:
        Label value -> structure name.

    Raises:
        ValueError: the file is missing or damaged, or has no label table.
    """
    content = b"".join(_raw(extension) for extension in _load(path).header.extensions)
    names = {int(key): name.decode("utf-8", "replace") for key, name in _LABEL.findall(content)}
    if not names:
        raise ValueError(f"{path}: has no label table in its header; give a class table")
    return names


def third_axis(path: Path) -> tuple[int, int]:
    """The patient axis (0 to 2) that the third array axis as stored lies along, and its direction (1 or -1).

    Raises:
        ValueError: as `read_volume`.
    """
    axis, direction = read_header(path).turn[2]
    return int(axis), int(direction)


def _raw(extension: Any) -> bytes:
    content = extension.get_content()
    return content if isinstance(content, bytes) else str(content).encode()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """One clear message for whatever a damaged file raises."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        remedy = "raise limits.memory_gb, or leave it out" if isinstance(error, MemoryError) else FETCH_AGAIN
        words = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: can't be read as NIfTI ({type(error).__name__}: {words}); {remedy}") from error


def _load(path: Path) -> Any:
    """Read a header; refuse one that claims more voxels than a file of its size can hold."""
    import nibabel  # takes half a second: only where a file is read

    if not path.is_file():
        raise ValueError(f"{path}: file is missing, or no regular file; check the path")
    with _reading(path):
        image: Any = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Image):  # NIfTI-2 is one too
            raise ValueError(f"{path}: is no NIfTI file")
        room = path.stat().st_size * (_MAX_INFLATION if _is_gzip(path) else 1)
        if _bytes(image) > room:
            claim = f"claims {image.shape} voxels, more than a file of its size can hold"
            raise ValueError(f"{path}: {claim}; {FETCH_AGAIN}")
        return image


def _bytes(image: Any) -> int:
    """Bytes of header and voxels that a header promises."""
    stored = image.dataobj
    return int(stored.offset + math.prod(image.shape) * stored.dtype.itemsize)


def _is_gzip(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _voxels(header: Header) -> NDArray[Any]:
    """Read the voxels, scaled, in stored axes."""
    from nibabel.volumeutils import apply_read_scaling

    path, image = header.path, header.image
    with _reading(path):
        if _is_gzip(path):  # in one go: nibabel's small steps take several times longer
            stored, unpacked = image.dataobj, _unpack(path, _bytes(image))
            raw: NDArray[Any] = np.ndarray(stored.shape, stored.dtype, unpacked, stored.offset, order="F")
            array: NDArray[Any] = apply_read_scaling(raw, stored.slope, stored.inter)
        else:
            array = np.asanyarray(image.dataobj)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{path}: holds {array.dtype} values, expected plain numbers")
    return array


def _labels(header: Header) -> NDArray[np.uint8]:
    """Read whole numbers from 0 to 255, in stored axes."""
    array = _voxels(header)
    if array.dtype == np.uint8:  # as masks are published: nothing to check or convert
        return array
    if array.size and not (array.min() >= 0 and array.max() <= 255):  # also refuses NaN
        raise ValueError(f"{header.path}: labels must be whole numbers from 0 to 255")
    labels = array.astype(np.uint8)
    if not np.array_equal(labels, array):
        raise ValueError(f"{header.path}: labels must be whole numbers from 0 to 255")
    return labels


def _turned(array: NDArray[T], turn: NDArray[np.float64]) -> NDArray[T]:
    """A view of an array with its axes turned."""
    import nibabel

    view: NDArray[T] = nibabel.orientations.apply_orientation(array, turn)
    return view


def _unpack(path: Path, size: int) -> bytes:
    """Unpack the first `size` bytes of a gzip file; its checksum is verified if it ends there, as it should."""
    content, unpacked = path.read_bytes(), b""
    while len(unpacked) < size and content:  # a file may be made of several gzip members
        member = isal_zlib.decompressobj(_GZIP)
        part = member.decompress(content, size - len(unpacked) + 1)
        unpacked, content = unpacked + part if unpacked else part, member.unused_data
        if not member.eof:
            break
    if len(unpacked) < size:
        raise EOFError(f"ends after {len(unpacked)} of {size} bytes")
    return unpacked


def _check_grid(labels: Header, image: Header) -> None:
    if labels.shape != image.shape:
        raise ValueError(f"{labels.path}: has shape {labels.shape}, but {image.path.name} has {image.shape}")
    # Every corner of the box, in mm: shift, turn and spacing in one number.
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in image.shape], [1], indexing="ij")).reshape(4, -1)
    off = float(np.abs((labels.affine - image.affine) @ corners)[:3].max())
    if off > _SAME_GRID_MM:
        raise ValueError(
            f"{labels.path}: lies up to {off:.1f} mm off {image.path.name}; resample it to the image's grid"
        )


def _between(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """The turn from one file's stored axes to another's."""
    import nibabel

    turn: NDArray[np.float64] = nibabel.orientations.ornt_transform(start, end)
    return turn
