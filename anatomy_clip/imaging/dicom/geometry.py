"""Where the slices of a stack lie, and how a stored slice is turned for display."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.terms import Orientation

Scalar = TypeVar("Scalar", bound=np.generic)
Vector = tuple[float, float, float]

SAME_POSITION_MM = 0.01
SAME_DIRECTION = 0.01  # direction cosines of one stack differ by less (0.6 degrees)
SPARSE = 1.5  # slices that lie this many times their thickness, or their usual distance, apart leave tissue out
_BESIDE_MM = 5.0  # a field of view may shift by less from slice to slice
# DICOM's axes run to the patient's left, posterior and head (LPS). What lies to the right of a displayed image and
# what lies down, as (axis, sign): left and posterior; left and feet; posterior and feet.
_DISPLAY = {
    Orientation.AXIAL: ((0, 1), (1, 1)),
    Orientation.CORONAL: ((0, 1), (2, -1)),
    Orientation.SAGITTAL: ((1, 1), (2, -1)),
}


@dataclass(frozen=True)
class Turn:
    """How a stored slice becomes a displayed one: transpose first, then flip.

    Attributes:
        transpose: rows become columns.
        down: reverse the order of rows.
        across: reverse the order of columns.
    """

    transpose: bool
    down: bool
    across: bool

    def pixels(self, stored: NDArray[Scalar]) -> NDArray[Scalar]:
        """Turn (rows, columns) for display; contiguous."""
        image = stored.T if self.transpose else stored
        return np.ascontiguousarray(image[:: -1 if self.down else 1, :: -1 if self.across else 1])

    def spacing(self, stored_mm: tuple[float, float]) -> tuple[float, float]:
        """Distance between rows and between columns as displayed, mm."""
        return (stored_mm[1], stored_mm[0]) if self.transpose else stored_mm


def turn(row: Vector, column: Vector, plane: Orientation) -> Turn:
    """Find how a slice is turned to the display convention of `Slice`.

    Args:
        row: unit direction along a row (of growing column index), LPS.
        column: unit direction down a column, LPS.
        plane: the slice's nearest plane.
    """
    (across, across_sign), (down, down_sign) = _DISPLAY[plane]
    transpose = abs(row[down]) + abs(column[across]) > abs(row[across]) + abs(column[down])
    along_row, along_column = (column, row) if transpose else (row, column)
    return Turn(transpose, along_column[down] * down_sign < 0, along_row[across] * across_sign < 0)


def normal(row: Vector, column: Vector) -> NDArray[np.float64]:
    """The unit normal, row x column: (3,) LPS."""
    vector = np.cross(row, column)
    unit: NDArray[np.float64] = vector / np.linalg.norm(vector)
    return unit


def positions(origins: Sequence[Vector], along: NDArray[np.float64]) -> tuple[float, ...]:
    """Distances of slices along a direction, mm."""
    return tuple(float(np.dot(origin, along)) for origin in origins)


def holes(places_mm: Sequence[float], thickness_mm: Sequence[float | None]) -> dict[int, float]:
    """Where slices of a stack are missing: the number of the slice before each hole -> the width to the next, mm.

    A hole is more than 1.5 times as wide as usual; where slices have several thicknesses, as a share of these.

    Args:
        places_mm: (N,) places along the normal, ascending.
        thickness_mm: (N,) slice thickness; None where not stated.
    """
    steps = [after - before for before, after in pairwise(places_mm)]
    if len(steps) < 2:
        return {}
    known = [mm or 0.0 for mm in thickness_mm]
    if 0 < min(known) < max(known) / SPARSE:
        widths = [step / max(pair) for step, pair in zip(steps, pairwise(known), strict=True)]
    else:
        widths = steps
    usual = _lower_quartile(widths)
    return {n: step for n, (step, width) in enumerate(zip(steps, widths, strict=True)) if width > SPARSE * usual}


def usual_step(places_mm: Sequence[float]) -> float:
    """The lower quartile of the distances between two or more slices, mm; it stands where half of them are missing."""
    return _lower_quartile([after - before for before, after in pairwise(places_mm)])


def _lower_quartile(values: Sequence[float]) -> float:
    return sorted(values)[(len(values) - 1) // 4]


def lie_side_by_side(origins: Sequence[Vector], along: NDArray[np.float64]) -> bool:
    """Whether slices lie beside each other, rather than one behind the other as slices of a stack do.

    Args:
        origins: first pixel of each slice, mm.
        along: (3,) unit normal.
    """
    points = np.asarray(origins, dtype=np.float64)  # (N, 3)
    heights = points @ along
    across = float(np.linalg.norm(np.ptp(points - heights[:, None] * along, axis=0)))
    return across > max(_BESIDE_MM, 2 * float(np.ptp(heights)))


def largest_difference(a: Sequence[float], b: Sequence[float]) -> float:
    """Largest difference between two lists of numbers."""
    return max(abs(x - y) for x, y in zip(a, b, strict=True))
