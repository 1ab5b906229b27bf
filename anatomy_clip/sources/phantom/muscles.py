"""Muscles that fill their compartments, as they do in most people: thin fat planes in place of wide ones."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from anatomy_clip.sources.phantom.structures import STRUCTURES

_REACH_MM = 35.0  # a muscle grows no further than this


def fill_compartments(
    labels: NDArray[np.uint8], spacing_mm: tuple[float, float], septum_mm: float
) -> NDArray[np.uint8]:
    """Let each muscle grow into the fat between muscles, until it meets the next one.

    Args:
        labels: (h, w) label ids of a cut; not changed.
        spacing_mm: distance between rows and between columns, mm.
        septum_mm: width of the fat that stays between two muscles, mm; 0: none.

    Returns:
        (h, w) label ids. Only fat between muscles (`intermuscular_fat`) becomes muscle.
    """
    muscle, fat = _ids()
    is_muscle, is_fat = np.isin(labels, muscle), labels == fat
    if not is_muscle.any() or not is_fat.any():
        return labels
    distance, nearest = cv2.distanceTransformWithLabels(
        (~is_muscle).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP
    )
    label_of = np.zeros(int(nearest.max()) + 1, np.uint8)  # nearest numbers the bellies anew
    label_of[nearest[is_muscle]] = labels[is_muscle]
    grown = np.where(is_fat & (distance * min(spacing_mm) <= _REACH_MM), label_of[nearest], labels)
    if septum_mm > 0:
        width = max(1, round(septum_mm / min(spacing_mm)))
        kernel = np.ones((width + 1, width + 1), np.uint8)
        number = nearest.astype(np.float32)
        between = cv2.dilate(number, kernel) != cv2.erode(number, kernel)
        grown[between & is_fat & (grown != fat)] = fat
    return np.asarray(grown, dtype=np.uint8)


@cache
def _ids() -> tuple[tuple[int, ...], int]:
    """Labels of muscle, and the one of fat between muscles."""
    fat = next(n for n, one in enumerate(STRUCTURES) if one.name == "intermuscular_fat")
    return tuple(n for n, one in enumerate(STRUCTURES) if one.tissue == "muscle"), fat
