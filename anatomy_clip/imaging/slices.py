"""A single slice in display orientation, before it is made uint8."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.terms import Modality, Orientation, Protocol


@dataclass(frozen=True)
class Slice:
    """One slice as a radiologist sees it.

    Display convention: the patient's right is on the image's left (axial, coronal), the head is up (coronal,
    sagittal), anterior is up (axial) or on the image's left (sagittal).

    Attributes:
        pixels: (H, W) float32; HU for CT, arbitrary units for MR.
        spacing_mm: distance between rows and between columns, mm.
        thickness_mm: slice thickness, mm.
        modality: CT or MR.
        protocol: MR protocol; `Protocol.NONE` for CT.
        orientation: nearest anatomical plane.
    """

    pixels: NDArray[np.float32]
    spacing_mm: tuple[float, float]
    thickness_mm: float
    modality: Modality
    protocol: Protocol
    orientation: Orientation
