"""Geometry of one image: resize, rotation with translation in a single interpolation, and the same for masks and boxes.

A motion is a (2, 3) matrix of pixel coordinates (x, y, 1), in which a pixel's left edge is at its own index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from anatomy_clip.core.radiographs import Box

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Motion = npt.NDArray[np.float64]

_LEAST_BOX = 1.0  # pixels that a box must keep within the image, across and down


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


def rotation(side: int, degrees: float, right: int, down: int) -> Motion:
    """The motion of `warp` in an image of a side."""
    matrix = np.array(cv2.getRotationMatrix2D((side / 2, side / 2), degrees, 1.0), dtype=np.float64)
    matrix[:, 2] += (right, down)
    return matrix


def window(left: float, top: float, right: float, bottom: float, size: int) -> Motion:
    """The motion that makes a rectangle of an image the whole of one of a size."""
    across, down = size / (right - left), size / (bottom - top)
    return np.array([[across, 0, -left * across], [0, down, -top * down]])


def flip(side: int, *, horizontal: bool) -> Motion:
    """The motion that mirrors an image of a side, left to right or upside down."""
    return np.array([[-1.0, 0, side], [0, 1, 0]] if horizontal else [[1.0, 0, 0], [0, -1, side]])


def after(second: Motion, first: Motion) -> Motion:
    """One motion after another."""
    return np.asarray(second @ np.vstack([first, [0, 0, 1]]))


def move_mask(mask: Mask, motion: Motion, size: int) -> Mask:
    """Move a mask, (S, S), by nearest pixels; what comes in from outside is empty.

    Returns:
        (size, size).
    """
    to_edges, to_middles = np.array([[1, 0, 0.5], [0, 1, 0.5]]), np.array([[1, 0, -0.5], [0, 1, -0.5]])
    middles = after(to_middles, after(motion, to_edges))  # OpenCV counts from the pixels' middles
    return np.asarray(cv2.warpAffine(mask.astype(np.uint8), middles, (size, size), flags=cv2.INTER_NEAREST) > 0)


def move_boxes(boxes: Sequence[Box], motion: Motion, size: int) -> tuple[Box, ...]:
    """Move boxes: each becomes what encloses its moved corners within the image; one left outside is dropped."""
    moved = []
    for box in boxes:
        x, y = np.array([box.left, box.left + box.width]), np.array([box.top, box.top + box.height])
        corners = motion @ np.stack([x[[0, 1, 0, 1]], y[[0, 0, 1, 1]], np.ones(4)])  # (2, 4)
        low, high = np.clip(corners.min(axis=1), 0, size), np.clip(corners.max(axis=1), 0, size)
        if (high - low).min() >= _LEAST_BOX:
            (left, top), (width, height) = low.tolist(), (high - low).tolist()
            moved.append(replace(box, left=left, top=top, width=width, height=height))
    return tuple(moved)
