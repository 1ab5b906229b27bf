"""A volume in patient axes, and its planes as a radiologist sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.imaging.slices import Slice

Scalar = TypeVar("Scalar", bound=np.generic)

# Array axes of (rows, columns, normal) in a volume whose axes run to the patient's right, anterior and superior.
_AXES = {
    Orientation.AXIAL: (1, 0, 2),
    Orientation.CORONAL: (2, 0, 1),
    Orientation.SAGITTAL: (2, 1, 0),
}


@dataclass(frozen=True)
class Volume:
    """A volume in canonical RAS+ axes.

    Attributes:
        array: (X, Y, Z) float32; X grows to the patient's right, Y to anterior, Z to superior. HU for CT.
        spacing_mm: distance between voxels along X, Y, Z, mm.
        modality: CT or MR.
        protocol: MR protocol; `Protocol.NONE` for CT.
        notes: what a user should know of its header and its values.
    """

    array: NDArray[np.float32]
    spacing_mm: tuple[float, float, float]
    modality: Modality
    protocol: Protocol
    notes: tuple[str, ...] = ()

    def plane(self, orientation: Orientation, index: int) -> Slice:
        """The slice at a position along the plane's normal, in display convention.

        Args:
            orientation: which plane.
            index: position along the normal axis, counted to the right, to anterior or to superior.
        """
        rows, columns, normal = (self.spacing_mm[axis] for axis in _AXES[orientation])
        pixels = display_plane(self.array, orientation, index)
        return Slice(pixels, (rows, columns), normal, self.modality, self.protocol, orientation)


def display_plane(array: NDArray[Scalar], orientation: Orientation, index: int) -> NDArray[Scalar]:
    """Cut one plane out of an array of voxels or labels and turn it for display.

    The patient's right is on the image's left (axial, coronal), the head is up (coronal, sagittal), anterior is
    up (axial) or on the image's left (sagittal).

    Args:
        array: (X, Y, Z) in canonical RAS+ axes.
        orientation: which plane.
        index: position along the normal axis.

    Returns:
        (rows, columns), contiguous.
    """
    # A view first: np.take would copy the whole volume for each slice of a file stored in Fortran order.
    cut = np.moveaxis(array, normal_axis(orientation), 0)[index]
    # Rows run down and columns to the image's right: against superior, anterior and right alike.
    return np.ascontiguousarray(cut.T[::-1, ::-1])


def normal_axis(orientation: Orientation) -> int:
    """The array axis (0 to 2) that a plane's normal lies along."""
    return _AXES[orientation][2]
