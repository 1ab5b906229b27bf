"""Geometry of one image: resize, and rotation with translation in a single interpolation."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


def resize(image: Image, size: int) -> Image:
    """Resize a grey image to (size, size): area average to smaller, linear to larger."""
    if image.shape == (size, size):
        return image.copy()
    method = cv2.INTER_AREA if size < max(image.shape) else cv2.INTER_LINEAR
    out: Image = cv2.resize(image, (size, size), interpolation=method)
    return out


def warp(image: Image, degrees: float, right: int, down: int) -> Image:
    """Rotate a grey image about its centre, then shift it; borders get the image's minimum.

    Args:
        image: (S, S) uint8.
        degrees: rotation, counter-clockwise as seen.
        right: shift to the right, pixels.
        down: shift down, pixels.

    Returns:
        (S, S) uint8. Without rotation no pixel is interpolated.
    """
    if not (degrees or right or down):
        return image
    side = image.shape[0]
    middle = (side - 1) / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), degrees, 1.0)  # (2, 3)
    matrix[:, 2] += (right, down)
    border = (float(image.min()),)
    out: Image = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderValue=border)
    return out
