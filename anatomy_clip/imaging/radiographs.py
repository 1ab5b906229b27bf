"""A radiograph as it is read, and how it becomes a square image of a store, its masks and boxes with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.radiographs import RadiographRecord

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Radiograph:
    """One film as a radiologist sees it: dense tissue is bright; in frontal views the patient's right is on the left.

    Attributes:
        pixels: (H, W) float32 within [0, 1].
        masks: name -> (H, W), where a finding or a structure is.
    """

    pixels: F32
    masks: Mapping[str, Mask] = field(default_factory=dict)


def square(
    film: Radiograph, record: RadiographRecord, side: int
) -> tuple[NDArray[np.uint8], RadiographRecord, dict[str, Mask]]:
    """Pad a film with black to a square about its middle and bring it to a side.

    Args:
        film: the film.
        record: its record, whose boxes are in the film's pixels.
        side: of the image that comes out, pixels.

    Returns:
        (side, side) grey; the record with boxes and spacing of that image; the masks, (side, side), by nearest pixel.
    """
    h, w = film.pixels.shape
    longest = max(h, w)
    top, left = (longest - h) // 2, (longest - w) // 2
    scale = side / longest

    def padded(image: NDArray[Any]) -> NDArray[Any]:
        out = np.zeros((longest, longest), image.dtype)
        out[top : top + h, left : left + w] = image
        return out

    method = cv2.INTER_AREA if side < longest else cv2.INTER_LINEAR
    grey = padded(film.pixels)
    if side != longest:
        grey = cv2.resize(grey, (side, side), interpolation=method)
    image = np.round(255 * np.clip(grey, 0, 1)).astype(np.uint8)
    masks = {name: _nearest(padded(mask.astype(np.uint8)), side) for name, mask in film.masks.items()}
    boxes = tuple(
        replace(
            box,
            left=(box.left + left) * scale,
            top=(box.top + top) * scale,
            width=box.width * scale,
            height=box.height * scale,
        )
        for box in record.boxes
    )
    spacing = record.spacing_mm and (record.spacing_mm[0] / scale, record.spacing_mm[1] / scale)
    return image, replace(record, boxes=boxes, spacing_mm=spacing, masks=tuple(masks)), masks


def _nearest(mask: NDArray[Any], side: int) -> Mask:
    if len(mask) != side:
        mask = cv2.resize(mask, (side, side), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(mask > 0, dtype=np.bool_)
