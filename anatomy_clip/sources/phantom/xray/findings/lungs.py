"""The lungs of a film: where its rays run through them, and how far their surface is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from anatomy_clip.core.terms import Side
from anatomy_clip.sources.phantom.structures import label_id
from anatomy_clip.sources.phantom.xray.attenuation import label_mixtures
from anatomy_clip.sources.phantom.xray.geometry import F32, F64, Stack
from anatomy_clip.sources.phantom.xray.vessels import LUNG

VEIN = label_id("pulmonary_vein")
_CELL_MM = 8.0
_SMOOTH_CELLS = 1.0
_LEAST = 100  # samples of a lung
_HILUM_MM = 45.0  # veins nearer to the midline than this lie in the mediastinum


@dataclass(frozen=True)
class Lungs:
    """Samples of both lungs along the rays of a film, and after them points of vessels, which take no room.

    Attributes:
        points: (N, 3) mm.
        sign: (N,) 1 in the patient's right lung, -1 in the left.
        lobe: (N,) label of the lobe; that of a vein in a vein.
        pixel: (N,) index of the pixel, row by row.
        length: (N,) mm of the ray.
        volume: (N,) mm3.
        density: (N,) water equivalents.
        samples: how many of the points are samples: the rest are vessels.
        carina: (3,) mm.
        span: side's sign -> lowest and highest point of that lung, mm.
    """

    points: F32
    sign: F32
    lobe: NDArray[np.uint8]
    pixel: NDArray[np.int64]
    length: F32
    volume: F32
    density: F32
    samples: int
    carina: F64
    span: dict[int, tuple[float, float]]
    _depths: dict[str, F32] = field(default_factory=dict, init=False, repr=False)

    def on(self, side: Side | None) -> NDArray[np.bool_]:
        """Which points (N,) are on a side."""
        return np.asarray(self.sign == (1 if side is Side.RIGHT else -1))

    def height(self) -> F32:
        """Each point's height (N,) in its lung: 0 at the lowest point, 1 at the apex."""
        low, high = (np.where(self.sign > 0, self.span[1][k], self.span[-1][k]) for k in (0, 1))
        return np.asarray((self.points[:, 2] - low) / (high - low), dtype=np.float32)

    def wall(self) -> F32:
        """Each point's distance (N,) from the chest wall: outwards, to the back or to the front, mm."""
        return np.minimum(np.minimum(self.depth("outer"), self.depth("back")), self.depth("front"))

    def depth(self, name: str) -> F32:
        """Each point's distance (N,) in mm from its lung's surface along one axis, computed once.

        Args:
            name: "outer", "back", "front", "top" or "bottom"; or "side": from the outermost point at the same height.
        """
        if name not in self._depths:
            x, y, z = self.points.T
            far, u, v = {
                "outer": (self.sign * x, y, z),
                "back": (-y, x, z),
                "front": (y, x, z),
                "top": (z, x, y),
                "bottom": (-z, x, y),
                "side": (self.sign * x, z, np.zeros_like(z)),
            }[name]
            out = np.zeros(len(x), np.float32)
            for s in (1, -1):
                own = np.nonzero(self.sign == s)[0]
                out[own] = _surface(far[own], u[own], v[own], int((own < self.samples).sum())) - far[own]
            self._depths[name] = out
        return self._depths[name]


def gather_lungs(stack: Stack, carina: F64, floor: float, vessels: F64) -> Lungs | None:
    """The lungs that a film's rays meet; None where they meet next to nothing of one of them.

    Args:
        stack: labels along the rays.
        carina: (3,) mm, between the lungs.
        floor: height, mm; what is below belongs to no lung.
        vessels: (V, 3) points of the vessels, mm.
    """
    beam, labels = stack.beam, stack.labels
    k, i, j = np.nonzero(LUNG[labels] | (labels == VEIN))
    planes = stack.planes[k]
    points = planes[:, 0] + i[:, None] * planes[:, 1] + j[:, None] * planes[:, 2]
    lobe = labels[k, i, j]
    kept = ((lobe != VEIN) | (np.abs(points[:, 0] - carina[0]) > _HILUM_MM)) & (points[:, 2] > floor)
    k, i, j, points, lobe = k[kept], i[kept], j[kept], points[kept], lobe[kept]
    if min(np.sum(points[:, 0] > carina[0]), np.sum(points[:, 0] <= carina[0])) < _LEAST:
        return None
    pixel = i * beam.shape[1] + j
    area = np.linalg.norm(np.cross(stack.planes[:, 1], stack.planes[:, 2]), axis=1)[k]
    none = np.zeros(len(vessels))
    every = np.concatenate([points, vessels]).astype(np.float32)
    sign = np.where(every[:, 0] > carina[0], 1, -1).astype(np.float32)
    span = {s: tuple(np.percentile(points[sign[: len(points)] == s, 2], (1, 99.8))) for s in (1, -1)}
    return Lungs(
        points=every,
        sign=sign,
        lobe=np.concatenate([lobe, np.full(len(vessels), VEIN, np.uint8)]),
        pixel=np.concatenate([pixel, none.astype(np.int64)]),
        length=np.concatenate([stack.step_mm * beam.obliquity().ravel()[pixel], none]).astype(np.float32),
        volume=np.concatenate([area * stack.step_mm, none]).astype(np.float32),
        density=label_mixtures()[0, np.concatenate([lobe, np.full(len(vessels), VEIN, np.uint8)])],
        samples=len(points),
        carina=carina,
        span={s: (float(low), float(high)) for s, (low, high) in span.items()},
    )


def _surface(far: F32, u: F32, v: F32, count: int) -> F32:
    """How far the lung reaches at (u, v) of each point, mm: the largest `far` nearby among the first `count` points.

    Args:
        far: (M,) coordinate along which the surface lies, mm.
        u: (M,) mm, across.
        v: (M,) mm, across.
        count: points that make up the surface.
    """
    low = np.array([u.min(), v.min()]) - 2 * _CELL_MM
    at = (np.stack([u, v]) - low[:, None]) / _CELL_MM
    shape = tuple(int(n) + 4 for n in at.max(axis=1))
    cell = np.round(at[:, :count]).astype(np.int64)
    best = np.full(shape, -np.inf, np.float32)
    np.maximum.at(best, (cell[0], cell[1]), far[:count])
    known = np.isfinite(best)
    weight = gaussian_filter(known.astype(np.float32), _SMOOTH_CELLS)
    smooth = gaussian_filter(np.where(known, best, 0), _SMOOTH_CELLS) / np.maximum(weight, 1e-6)
    return np.asarray(map_coordinates(smooth, at, order=1, mode="nearest"), dtype=np.float32)


def noise(seed: int, scale_mm: float) -> Callable[[F32], F32]:
    """A smooth random field: a function from points (N, 3) mm to values (N,) of about unit variance.

    Args:
        seed: of the field.
        scale_mm: mean wavelength.
    """
    rng = np.random.default_rng(seed)
    count = 14
    ways = rng.normal(size=(count, 3))
    waves = (
        ways
        / np.linalg.norm(ways, axis=1, keepdims=True)
        * (2 * np.pi / (scale_mm * rng.uniform(0.6, 1.5, (count, 1))))
    )
    phase = rng.uniform(0, 2 * np.pi, count)

    def field(points: F32) -> F32:
        turn = points @ waves.T.astype(np.float32) + phase.astype(np.float32)
        return np.asarray(np.sqrt(2 / count) * np.sin(turn).sum(axis=1), dtype=np.float32)

    return field
