"""Image planes in the patient, and what they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomy_clip.core.terms import Orientation

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


class LabelSource(Protocol):
    """Anything with landmarks that can be cut by a plane: a `Body`."""

    @property
    def landmarks(self) -> dict[str, F64]:
        """Points (3,) mm by name."""
        ...

    def label_plane(
        self, origin: ArrayLike, row_axis: ArrayLike, col_axis: ArrayLike, shape: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """Labels (H, W) on a plane."""
        ...


@dataclass(frozen=True)
class Plane:
    """The pixel grid of one slice.

    Attributes:
        origin: (3,) centre of pixel (0, 0), mm RAS.
        row_axis: (3,) step from one row to the next, mm.
        col_axis: (3,) step from one column to the next, mm.
        shape: (H, W).
        orientation: nearest anatomical plane.
        thickness_mm: slice thickness, mm.
    """

    origin: F64
    row_axis: F64
    col_axis: F64
    shape: tuple[int, int]
    orientation: Orientation
    thickness_mm: float

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Distance between rows and between columns, mm."""
        return float(np.linalg.norm(self.row_axis)), float(np.linalg.norm(self.col_axis))

    def finer(self, factor: float) -> Plane:
        """The same field of view with `factor` times as many rows and columns."""
        shape = (round(self.shape[0] * factor), round(self.shape[1] * factor))
        row, col = self.row_axis * (self.shape[0] / shape[0]), self.col_axis * (self.shape[1] / shape[1])
        corner = self.origin - (self.row_axis + self.col_axis) / 2
        return Plane(corner + (row + col) / 2, row, col, shape, self.orientation, self.thickness_mm)

    def coordinate(self, axis: int) -> F32:
        """Coordinate `axis` (0 right, 1 anterior, 2 superior) of every pixel: (H, W) mm."""
        i = np.arange(self.shape[0], dtype=np.float32)[:, None] * np.float32(self.row_axis[axis])
        j = np.arange(self.shape[1], dtype=np.float32)[None, :] * np.float32(self.col_axis[axis])
        return np.asarray(np.float32(self.origin[axis]) + i + j, dtype=np.float32)

    def cut(self, body: LabelSource) -> NDArray[np.uint8]:
        """Labels (H, W) that the plane shows."""
        return body.label_plane(self.origin, self.row_axis, self.col_axis, self.shape)


# Unit vectors of image rows (downwards) and columns (to the right) in the patient's axes (right, anterior, superior):
# the patient's right on the image's left; sagittal: anterior on the image's left.
_ROWS = {
    Orientation.AXIAL: (0.0, -1.0, 0.0),
    Orientation.CORONAL: (0.0, 0.0, -1.0),
    Orientation.SAGITTAL: (0.0, 0.0, -1.0),
}
_COLUMNS = {
    Orientation.AXIAL: (-1.0, 0.0, 0.0),
    Orientation.CORONAL: (-1.0, 0.0, 0.0),
    Orientation.SAGITTAL: (0.0, -1.0, 0.0),
}
NORMAL_AXIS = {Orientation.AXIAL: 2, Orientation.CORONAL: 1, Orientation.SAGITTAL: 0}
IN_PLANE_AXES = {Orientation.AXIAL: (1, 0), Orientation.CORONAL: (2, 0), Orientation.SAGITTAL: (2, 1)}


def make_plane(
    centre: ArrayLike,
    frame: F64,
    orientation: Orientation,
    fov_mm: tuple[float, float],
    size: int,
    thickness_mm: float,
) -> Plane:
    """A plane with square pixels about a centre.

    Args:
        centre: (3,) centre of the image, mm.
        frame: (3, 3) columns are the local right, anterior and superior axes.
        orientation: which two local axes lie in the image.
        fov_mm: height and width of the field of view, mm.
        size: pixels on the longer side.
        thickness_mm: slice thickness, mm.
    """
    pixel = max(fov_mm) / size
    shape = (max(16, round(fov_mm[0] / pixel)), max(16, round(fov_mm[1] / pixel)))
    row = frame @ np.array(_ROWS[orientation]) * pixel
    col = frame @ np.array(_COLUMNS[orientation]) * pixel
    origin = np.asarray(centre, dtype=np.float64) - row * (shape[0] - 1) / 2 - col * (shape[1] - 1) / 2
    return Plane(origin, row, col, shape, orientation, thickness_mm)


def rotation(degrees: ArrayLike) -> F64:
    """Rotation matrix (3, 3) from angles (3,) about right, anterior and superior, in degrees."""
    a, b, c = np.deg2rad(np.asarray(degrees, dtype=np.float64))
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(rz @ ry @ rx, dtype=np.float64)
