"""NIfTI files to volumes and label arrays in canonical RAS+ axes."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.anatomy.terms import Modality, Protocol
from anatomy_clip.imaging.orientation import MAX_TILT_DEGREES, tilt_degrees
from anatomy_clip.imaging.volume import Volume

# One entry of the label table that TotalSegmentator writes into a multi-label file (a header extension).
_LABEL = re.compile(rb'<Label\s+Key="(\d{1,5})"[^>]*>\s*<!\[CDATA\[([^\]]{1,100})\]\]>')
_SAME_GRID_MM = 0.5  # a mask is on its image's grid if no corner differs by more
_DAMAGED = (OSError, EOFError, ValueError, zlib.error)


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
    image = _open(path)
    array = _data(image, path).astype(np.float32, copy=False)
    if not np.isfinite(array).all():
        raise ValueError(f"{path}: holds NaN or infinite values; mend or leave out this volume")
    return Volume(array, _spacing(image), modality, protocol)


def read_labels(path: Path, like: Path | None = None) -> NDArray[np.uint8]:
    """Read a mask or a multi-label volume.

    Args:
        path: a .nii or .nii.gz file of whole numbers from 0 to 255.
        like: the image that the labels belong to; the two must share a grid.

    Returns:
        (X, Y, Z) in canonical RAS+ axes.

    Raises:
        ValueError: as `read_volume`; also labels outside 0 to 255, fractions, or another grid than the image's.
    """
    image = _open(path)
    if like is not None:
        _check_grid(image, path, _open(like), like)
    array = _data(image, path)
    if array.dtype == np.uint8:  # as masks are published: nothing to check or convert
        return array
    if array.size and not (array.min() >= 0 and array.max() <= 255):  # also refuses NaN
        raise ValueError(f"{path}: labels must be whole numbers from 0 to 255")
    labels = array.astype(np.uint8)
    if not np.array_equal(labels, array):
        raise ValueError(f"{path}: labels must be whole numbers from 0 to 255")
    return labels


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


def _raw(extension: Any) -> bytes:
    content = extension.get_content()
    return content if isinstance(content, bytes) else str(content).encode()


def _load(path: Path) -> Any:
    import nibabel  # takes half a second: only where a file is read
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    if not path.is_file():
        raise ValueError(f"{path}: file is missing")
    try:
        image: Any = nibabel.load(path)
    except (ImageFileError, HeaderDataError, *_DAMAGED) as error:
        raise ValueError(f"{path}: can't be read as NIfTI ({error}); fetch the file again") from error
    if not hasattr(image.header, "extensions"):
        raise ValueError(f"{path}: is no NIfTI file")
    return image


def _open(path: Path) -> Any:
    """Load a header, check it, and turn the image to its closest canonical axes."""
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
    try:
        return nibabel.as_closest_canonical(image)  # reads the voxels where axes have to be turned
    except _DAMAGED as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ValueError:
    return ValueError(f"{path}: its voxels can't be read ({error}); fetch the file again")


def _data(image: Any, path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.asanyarray(image.dataobj)
    except _DAMAGED as error:
        raise _unreadable(path, error) from error
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{path}: holds {array.dtype} values, expected plain numbers")
    return array


def _spacing(image: Any) -> tuple[float, float, float]:
    x, y, z = (float(length) for length in np.linalg.norm(image.affine[:3, :3], axis=0))
    return x, y, z


def _check_grid(labels: Any, path: Path, image: Any, image_path: Path) -> None:
    if labels.shape != image.shape:
        raise ValueError(f"{path}: has shape {labels.shape}, but {image_path.name} has {image.shape}")
    # Every corner of the box, in mm: shift, turn and spacing in one number.
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in image.shape], [1], indexing="ij")).reshape(4, -1)
    off = float(np.abs((labels.affine - image.affine) @ corners)[:3].max())
    if off > _SAME_GRID_MM:
        raise ValueError(f"{path}: lies up to {off:.1f} mm off {image_path.name}; resample it to the image's grid")
