"""Saliency maps against masks: does a map point into the mask, does it cover it, is it like another map.

Scores are expected values over all orders of pixels of equal value. So a flat map gets the score of chance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def grown(masks: ArrayLike, tolerance: float) -> Bools:
    """Masks with a margin around them.

    Args:
        masks: (N, H, W) bool.
        tolerance: width of the margin, pixels, 0 or more.

    Returns:
        (N, H, W), true where the nearest pixel of the mask is at most that far; an empty mask stays empty.

    >>> grown([[[True, False, False, False]]], tolerance=1).tolist()
    [[[True, True, False, False]]]
    """
    from scipy.ndimage import distance_transform_edt

    shown = np.asarray(masks, np.bool_)
    far = [distance_transform_edt(~one) if one.any() else np.full(one.shape, np.inf) for one in shown]
    return np.reshape(far, shown.shape) <= tolerance


def pointing(maps: ArrayLike, masks: ArrayLike) -> Floats:
    """Whether a map's highest pixel lies in the mask: the pointing game (Zhang et al. 2016, arXiv 1608.00507).

    Args:
        maps: (N, H, W).
        masks: (N, H, W) bool; give `grown` ones for the game with a tolerance.

    Returns:
        (N,) 0 or 1; where several pixels are the highest, the share of them that lies in the mask.

    Raises:
        ValueError: shapes differ, or a map holds what is no number.

    >>> pointing([[[0.1, 0.9, 0.2]]], [[[False, True, True]]]).tolist()
    [1.0]
    """
    heights, shown = _flat(maps, masks)
    top = heights == heights.max(axis=1, keepdims=True)
    return np.asarray((top & shown).sum(axis=1) / top.sum(axis=1))


def equal_area_iou(maps: ArrayLike, masks: ArrayLike) -> Floats:
    """Intersection over union of a mask and as many of the map's highest pixels, so that no threshold is chosen.

    Args:
        maps: (N, H, W).
        masks: (N, H, W) bool.

    Returns:
        (N,) 0 to 1, of the expected intersection where pixels at the threshold are equal; NaN for an empty mask. A flat
        map of which the mask is the share p gets p / (2 - p).

    Raises:
        ValueError: as `pointing`.

    >>> equal_area_iou([[[0.1, 0.9, 0.2, 0.3]]], [[[False, True, True, False]]]).round(4).tolist()
    [0.3333]
    """
    heights, shown = _flat(maps, masks)
    area = shown.sum(axis=1)  # (N,)
    last = np.maximum(heights.shape[1] - area, 0).clip(max=heights.shape[1] - 1)
    threshold = np.take_along_axis(np.sort(heights, axis=1), last[:, None], axis=1)  # (N, 1) the area-th highest
    above, level = heights > threshold, heights == threshold
    room = (area - above.sum(axis=1)) / level.sum(axis=1)
    common = (above & shown).sum(axis=1) + room * (level & shown).sum(axis=1)
    return _ratio(common, 2 * area - common)


def rank_correlation(maps: ArrayLike, others: ArrayLike) -> Floats:
    """Spearman's correlation of two maps of the same image (Adebayo et al. 2018, arXiv 1810.03292, section 3).

    Args:
        maps: (N, H, W).
        others: (N, H, W).

    Returns:
        (N,) -1 to 1; NaN where a map is flat.

    >>> rank_correlation([[[0.1, 0.9, 0.2]]], [[[1.0, 7.0, 3.0]]]).round(6).tolist()
    [1.0]
    """
    from scipy.stats import rankdata

    x, y = (rankdata(np.reshape(each, (len(np.asarray(each)), -1)), axis=1) for each in (maps, others))
    x, y = (each - each.mean(axis=1, keepdims=True) for each in (x, y))
    spread = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return _ratio((x * y).sum(axis=1), spread)


def _ratio(over: Floats, under: Floats) -> Floats:
    """(N,) by (N,), NaN where the divisor is 0."""
    return np.asarray(np.divide(over, under, out=np.full(len(under), np.nan), where=under > 0))


def _flat(maps: ArrayLike, masks: ArrayLike) -> tuple[Floats, Bools]:
    heights, shown = np.asarray(maps, np.float64), np.asarray(masks, np.bool_)
    if heights.ndim != 3 or heights.shape != shown.shape:
        raise ValueError(f"maps {heights.shape} and masks {shown.shape} must both be (images, height, width)")
    if not np.isfinite(heights).all():
        raise ValueError("saliency: a map holds NaN or an infinite value; did the model diverge?")
    return heights.reshape(len(heights), -1), shown.reshape(len(shown), -1)
