"""Pixels to grey values: CT window, MR percentile scaling, and squares of a fixed side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.terms import Modality
from anatomy_clip.imaging.slices import Slice

Grey = NDArray[np.uint8]


@dataclass(frozen=True)
class Display:
    """How slices become grey values.

    Attributes:
        level: centre of the CT window, HU.
        width: width of the CT window, HU.
        low: percentile of an MR slice that becomes black.
        high: percentile of an MR slice that becomes white.

    Raises:
        ValueError: the window has no width, or the percentiles are not 0 <= low < high <= 100.
    """

    level: float = 40.0
    width: float = 400.0
    low: float = 0.5
    high: float = 99.5

    def __post_init__(self) -> None:
        if self.width <= 0:
            raise ValueError(f"ct.width={self.width:g}: a CT window needs a width above 0 HU")
        if not 0 <= self.low < self.high <= 100:
            raise ValueError(f"mr.low={self.low:g}, mr.high={self.high:g}: give percentiles, 0 <= low < high <= 100")

    def grey(self, image: Slice) -> Grey:
        """Make a slice grey, (H, W) uint8, by its modality.

        Raises:
            ValueError: the slice has no pixels, or holds NaN or infinite values.
        """
        if not image.pixels.size or not np.isfinite(image.pixels).all():
            raise ValueError("a slice has no pixels, or it has NaN or infinite values: check its source")
        if image.modality is Modality.CT:
            return ct_window(image.pixels, self.level, self.width)
        return percentile_scale(image.pixels, self.low, self.high)

    def square(self, image: Slice, side: int) -> Grey:
        """Make a slice grey, then square: (side, side) uint8."""
        return to_square(self.grey(image), image.spacing_mm, side)


class SeveralDisplays:
    """One of several displays for each slice, as if by lot: the slice's own pixels decide, so that it stays the same.

    Args:
        ct: windows (level, width) of CT, HU, each as likely as the others.
        mr: percentiles (low, high) of an MR slice that become black and white, each pair as likely as the others.

    Raises:
        ValueError: no window, no percentiles, or as `Display`.
    """

    def __init__(self, ct: Sequence[tuple[float, float]], mr: Sequence[tuple[float, float]]) -> None:
        if not ct or not mr:
            raise ValueError("display.ct and display.mr: give at least one window and one pair of percentiles")
        self._displays = {
            Modality.CT: [Display(level=level, width=width) for level, width in ct],
            Modality.MR: [Display(low=low, high=high) for low, high in mr],
        }

    def square(self, image: Slice, side: int) -> Grey:
        """Make a slice grey, then square: (side, side) uint8; errors as `Display.grey`."""
        displays = self._displays[image.modality]
        return displays[crc32(image.pixels.tobytes()) % len(displays)].square(image, side)


def ct_window(hu: NDArray[np.float32], level: float, width: float) -> Grey:
    """Map a window of HU linearly to 0..255 and clip what lies outside.

    Args:
        hu: (H, W) HU.
        level: centre of the window, HU.
        width: width of the window, HU.
    """
    return _ramp(hu, level - width / 2, level + width / 2)


def of_grey(grey: Grey, modality: Modality, level: float, width: float) -> NDArray[np.float32]:
    """Undo a display: pixels of a picture that was windowed when it was made.

    Args:
        grey: (H, W).
        modality: of the slice.
        level: centre of the CT window that is to turn the result into these grey values again, HU.
        width: width of that window, HU.

    Returns:
        (H, W): HU within the window of CT; of MR, the grey values.
    """
    pixels = grey.astype(np.float32)
    return pixels * (width / 255) + (level - width / 2) if modality is Modality.CT else pixels


def percentile_scale(pixels: NDArray[np.float32], low: float, high: float) -> Grey:
    """Map the values between two percentiles linearly to 0..255; an even image becomes black.

    Args:
        pixels: (H, W), arbitrary units.
        low: percentile that becomes 0.
        high: percentile that becomes 255.
    """
    black, white = np.percentile(pixels, (low, high))
    if white <= black:  # most of the slice is one value: take all there is
        black, white = float(pixels.min()), float(pixels.max())
    return _ramp(pixels, float(black), float(white)) if white > black else np.zeros(pixels.shape, np.uint8)


def to_square(image: Grey, spacing_mm: tuple[float, float], side: int, background: int = 0) -> Grey:
    """Make pixels isotropic and pad to a square, in one step from the source's pixels.

    Args:
        image: (H, W) uint8.
        spacing_mm: distance between rows and between columns, mm.
        side: side of the result, px; the longer extent in mm fills it.
        background: grey value of the padding.

    Returns:
        (side, side) uint8.

    Raises:
        ValueError: an extent or the spacing is not above 0.
    """
    if min(image.shape) < 1 or not all(mm > 0 for mm in spacing_mm):
        raise ValueError(f"a slice of {image.shape} pixels with spacing {spacing_mm} mm has no extent")
    extent = [n * mm for n, mm in zip(image.shape, spacing_mm, strict=True)]
    height, width = (max(1, round(side * length / max(extent))) for length in extent)
    square = np.full((side, side), background, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = _resize(image, height, width)
    return square


def _ramp(pixels: NDArray[np.float32], black: float, white: float) -> Grey:
    scaled = np.asarray(pixels, dtype=np.float32) - black
    scaled *= 255.0 / (white - black)
    np.clip(np.rint(scaled, out=scaled), 0, 255, out=scaled)
    return scaled.astype(np.uint8)


def _resize(image: Grey, height: int, width: int) -> Grey:
    """Resize each axis by its own method: OpenCV averages areas only where both axes shrink."""
    import cv2

    out: Any = image
    for new_height, new_width in ((image.shape[0], width), (height, width)):
        if (new_height, new_width) != out.shape:
            shrinks = new_height <= out.shape[0] and new_width <= out.shape[1]
            method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            out = cv2.resize(out, (new_width, new_height), interpolation=method)
    return np.asarray(out, dtype=np.uint8)
