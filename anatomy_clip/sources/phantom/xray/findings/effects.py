"""What findings do to the rays of a film, and how several of them add up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.terms import Side
from anatomy_clip.sources.phantom.xray.findings.lungs import Lungs
from anatomy_clip.sources.phantom.xray.geometry import F32, F64, Beam

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Effect:
    """One finding of one film.

    Attributes:
        name: of the finding.
        parts: masks (H, W) of its parts; each has a box of its own.
        side: the patient's side.
        zone: where.
        severity: "mild", "moderate" or "severe".
        measure: how large, in the finding's own unit.
        weight: (N,) share of each lung sample that it takes; None: none.
        density: (N,) or one number: water equivalents of what it takes its place with.
        added: (2, H, W) mm of water and cortical bone on each ray besides; None: none.
        congestion: factor on the cross-section of vessels, less 1.
    """

    name: str
    parts: tuple[Mask, ...]
    side: Side | None = None
    zone: str = ""
    severity: str = ""
    measure: float | None = None
    weight: F32 | None = None
    density: F32 | float = 0.0
    added: F32 | None = None
    congestion: float = 0.0
    mask: Mask = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", np.any(self.parts, axis=0))


def path_at(pixel: NDArray[np.int64], length: F32 | F64, shape: tuple[int, int]) -> F32:
    """Sum of lengths (N,) on each ray (H, W), given the pixel (N,) of each."""
    return np.bincount(pixel, length, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float32)


def path_of(lungs: Lungs, weight: F32, shape: tuple[int, int]) -> F32:
    """Length of each ray (H, W) through the lungs in mm, each mm times its weight (N,)."""
    return path_at(lungs.pixel, weight * lungs.length, shape)


def tidy(mask: Mask) -> Mask:
    """A mask (H, W) without its crumbs: parts smaller than a tenth of the largest."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    area = stats[:, cv2.CC_STAT_AREA]
    kept = area >= 0.1 * area[1:].max(initial=0)
    kept[0] = False
    return np.asarray(kept[labels])


def lung_change(effects: Sequence[Effect], lungs: Lungs, shape: tuple[int, int]) -> tuple[F32, F32]:
    """What findings do to the lungs: mm of water that each ray (H, W) gains, and the share (V,) left of each vessel."""
    density, vessels = lungs.density, np.ones(len(lungs.points) - lungs.samples, np.float32)
    for effect in effects:
        if effect.weight is not None:
            density = density + effect.weight * (effect.density - density)
            vessels = vessels * (1 - effect.weight[lungs.samples :]) * (1 + effect.congestion)
    return path_of(lungs, density - lungs.density, shape), vessels


def pieces(mask: Mask) -> tuple[Mask, ...]:
    """The connected parts of a mask (H, W); the mask itself where it is empty."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return tuple(labels == k for k in range(1, count)) or (mask,)


def splat(at: F64, amounts: F64, shape: tuple[int, int]) -> F32:
    """Add amounts to the four pixels about each position, by their nearness.

    Args:
        at: (N, 2) row and column, pixels.
        amounts: (N,) what is added.
        shape: (H, W).
    """
    corner = np.floor(at).astype(np.int64)
    part = at - corner
    out = np.zeros(shape[0] * shape[1])
    for di, dj in ((0, 0), (0, 1), (1, 0), (1, 1)):
        i, j = corner[:, 0] + di, corner[:, 1] + dj
        share = np.abs(1 - di - part[:, 0]) * np.abs(1 - dj - part[:, 1])
        seen = (i >= 0) & (i < shape[0]) & (j >= 0) & (j < shape[1])
        out += np.bincount(i[seen] * shape[1] + j[seen], (share * amounts)[seen], minlength=len(out))
    return np.asarray(out.reshape(shape), dtype=np.float32)


def sphere_path(centre: F64, radius: float, beam: Beam, fine: int = 3) -> F32:
    """Length of each ray (H, W) within a sphere, mm, as the mean over `fine` x `fine` rays a pixel."""
    offsets = (np.arange(fine) + 0.5) / fine - 0.5
    h, w = beam.shape
    v = ((np.arange(h)[:, None] + offsets).ravel() - (h - 1) / 2) * beam.pixel_mm
    u = ((np.arange(w)[:, None] + offsets).ravel() - (w - 1) / 2) * beam.pixel_mm
    down, right, along = (centre - beam.source) @ beam.axes.T
    length2 = v[:, None] ** 2 + u[None, :] ** 2 + beam.detector_mm**2
    nearest = (v[:, None] * down + u[None, :] * right + beam.detector_mm * along) ** 2 / length2
    miss2 = down**2 + right**2 + along**2 - nearest
    chord = 2 * np.sqrt(np.clip(radius**2 - miss2, 0, None))
    return np.asarray(chord.reshape(h, fine, w, fine).mean(axis=(1, 3)), dtype=np.float32)
