"""The anatomical plane nearest to a slice, from its direction cosines."""

from __future__ import annotations

from collections.abc import Sequence
from math import acos, degrees

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.terms import Orientation

MAX_TILT_DEGREES = 30.0  # beyond it a slice is no fair example of its nearest plane
# A slice whose normal lies along x (left to right) is sagittal, along y coronal, along z axial.
_PLANES = (Orientation.SAGITTAL, Orientation.CORONAL, Orientation.AXIAL)
_PARALLEL = 1e-6


def nearest_plane(row: Sequence[float], column: Sequence[float]) -> tuple[Orientation, float]:
    """Name the anatomical plane of a slice.

    Args:
        row: (3,) direction along a row, in patient axes; signs and length don't matter.
        column: (3,) direction down a column.

    Returns:
        The nearest plane, and the angle between the slice's normal and that plane's, in degrees (0 to 54.7).

    Raises:
        ValueError: the directions are parallel, zero or not finite.
    """
    normal = np.cross(np.asarray(row, dtype=float), np.asarray(column, dtype=float))
    length = float(np.linalg.norm(normal))
    scale = float(np.linalg.norm(row) * np.linalg.norm(column))
    if not np.isfinite(length) or length <= _PARALLEL * scale or scale == 0.0:
        raise ValueError(f"directions {list(row)} and {list(column)} do not span a plane: check the image's geometry")
    along = np.abs(normal) / length
    axis = int(np.argmax(along))
    return _PLANES[axis], degrees(acos(min(1.0, float(along[axis]))))


def tilt_degrees(affine: NDArray[np.floating]) -> float:
    """How far a volume's axes lie off the patient's axes.

    Args:
        affine: (4, 4) from voxel indices to mm.

    Returns:
        The largest of the three angles, degrees.
    """
    columns = np.asarray(affine, dtype=float)[:3, :3].T
    pairs = ((0, 1), (2, 0), (1, 2))
    return max(nearest_plane(columns[a], columns[b])[1] for a, b in pairs)
