"""NIfTI files to volumes and label arrays in canonical RAS+ axes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from isal import isal_zlib  # unpacks several times quicker than zlib
from numpy.typing import NDArray

from anatomy_clip.core.terms import Modality, Protocol
from anatomy_clip.imaging.nifti_header import Header, is_gzip, load, read_header, reading
from anatomy_clip.imaging.volume import Volume

# One entry of the label table that TotalSegmentator writes into a multi-label file (a header extension).
_LABEL = re.compile(rb'<Label\s+Key="(\d{1,5})"[^>]*>\s*<!\[CDATA\[([^\]]{1,100})\]\]>')
_SAME_GRID_MM = 0.5  # a mask is on its image's grid if no corner differs by more
T = TypeVar("T", bound=np.generic)
_GZIP = 16 + 15  # a gzip header, and the largest window


def read_volume(path: Path, modality: Modality, protocol: Protocol = Protocol.NONE) -> Volume:
    """Read a volume of voxels.

    Args:
        path: a .nii or .nii.gz file.
        modality: CT (values are HU) or MR.
        protocol: MR protocol.

    Raises:
        ValueError: as `read_header` and `volume_of`; also several volumes, no usable affine, or axes that lie more
            than 30 degrees off the patient's; the message names the file.
    """
    header = read_header(path)
    header.check_axes()
    _check_single(header)
    return volume_of(header, modality, protocol)


def volume_of(header: Header, modality: Modality, protocol: Protocol = Protocol.NONE, number: int = 0) -> Volume:
    """Read one of a file's volumes, however it lies; voxels that hold no number become background.

    Args:
        header: from `read_header`.
        modality: CT (values are HU) or MR.
        protocol: MR protocol.
        number: which volume, from 0.

    Raises:
        ValueError: the file is damaged, or its voxels are colours, infinite, or no numbers at all.
    """
    notes = [*header.notes]
    array = _turned(_voxels(header, number), header.turn)
    if array.dtype.kind == "c":
        notes.append("its values are complex numbers: the magnitude is shown")
        array = np.abs(array)
    array = array.astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        empty = np.isnan(array)
        if empty.all() or np.isinf(array).any():
            raise ValueError(
                f"{header.path}: has infinite values, or no valid number at all; correct this volume, or leave it out"
            )
        notes.append(f"{_percent(empty)} of its voxels are not numbers (NaN): they are shown as background")
        array = np.where(empty, array[~empty].min(), array)
    return Volume(array, header.spacing_mm, modality, protocol, tuple(notes))


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
    labels = np.zeros(like.stored, np.uint8, order="F")
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
    content = b"".join(_raw(extension) for extension in load(path).header.extensions)
    names = {int(key): name.decode("utf-8", "replace") for key, name in _LABEL.findall(content)}
    if not names:
        raise ValueError(f"{path}: has no label table in its header; give a class table")
    return names


def _raw(extension: Any) -> bytes:
    content = extension.get_content()
    return content if isinstance(content, bytes) else str(content).encode()


def _voxels(header: Header, number: int = 0) -> NDArray[Any]:
    """Read the voxels of one volume, scaled, in stored axes."""
    from nibabel.volumeutils import apply_read_scaling

    path, proxy = header.path, header.image.dataobj
    if proxy.dtype.kind not in "iufc":
        raise ValueError(f"{path}: its voxels are colours, not values of CT or MR; leave it out")
    size = math.prod(header.stored) * proxy.dtype.itemsize
    start = int(proxy.offset) + number * size
    with reading(path):
        # Unpacked in one go: nibabel's small steps take several times longer.
        held = _unpack(path, start + size) if is_gzip(path) else np.memmap(path, np.uint8, "r")
        raw: NDArray[Any] = np.ndarray(header.stored, proxy.dtype, held, start, order="F")
        array: NDArray[Any] = apply_read_scaling(raw, proxy.slope, proxy.inter)
    return array


def _percent(chosen: NDArray[np.bool_]) -> str:
    return f"{100 * chosen.mean():.2g} %"


def _labels(header: Header) -> NDArray[np.uint8]:
    """Read whole numbers from 0 to 255, in stored axes."""
    _check_single(header)
    array = _voxels(header)
    if array.dtype == np.uint8:  # as masks are published: nothing to check or convert
        return array
    if array.dtype.kind == "c" or not (array.min() >= 0 and array.max() <= 255):  # also refuses NaN
        raise ValueError(f"{header.path}: labels must be whole numbers from 0 to 255; correct the file")
    labels = array.astype(np.uint8)
    if not np.array_equal(labels, array):
        raise ValueError(f"{header.path}: labels must be whole numbers from 0 to 255; correct the file")
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


def _check_single(header: Header) -> None:
    if header.volumes > 1:
        raise ValueError(f"{header.path}: has {header.volumes} volumes; extract one of them")


def _check_grid(labels: Header, image: Header) -> None:
    if labels.shape != image.shape:
        raise ValueError(
            f"{labels.path}: has shape {labels.shape}, but {image.path.name} has {image.shape}; "
            "resample it to the image's grid"
        )
    # Every corner of the box, in mm: shift, turn and spacing in one number.
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in image.shape], [1], indexing="ij")).reshape(4, -1)
    off = float(np.abs((labels.affine - image.affine) @ corners)[:3].max())
    if off > _SAME_GRID_MM:
        raise ValueError(
            f"{labels.path}: its position differs by up to {off:.1f} mm from {image.path.name}; resample it to the "
            "image's grid"
        )


def _between(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """The turn from one file's stored axes to another's."""
    import nibabel

    turn: NDArray[np.float64] = nibabel.orientations.ornt_transform(start, end)
    return turn
