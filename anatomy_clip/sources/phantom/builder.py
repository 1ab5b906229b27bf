"""Collects primitives and groups while the parts of a body are laid out, then freezes them into a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from anatomy_clip.sources.phantom.shapes import (
    CONE,
    CYLINDER,
    ELLIPSOID,
    F64,
    Group,
    Layer,
    Loft,
    Primitives,
    Ripple,
    Scene,
)
from anatomy_clip.sources.phantom.structures import STRUCTURES, label_id

# painting levels, outside to inside
SKIN, FAT, FASCIA, MUSCLE, DEEP, CAVITY, LUNG, DOME, ORGAN, INNER, VESSEL, DISC, BONE, CANAL, TOP = range(15)
_MARROW = ("trabecular_bone", "marrow_fat")

Plane = tuple[float, float, float, float]


def layer(level: int, name: str, tissue: str = "", inset: float = 0.0, *planes: Plane) -> Layer:
    """A `Layer` by structure name and tissue; see `shapes.Layer`."""
    return Layer(level, label_id(name, tissue), inset, planes)


def bone(name: str, cortex: float, marrow: str = "trabecular_bone", level: int = BONE) -> tuple[Layer, Layer]:
    """A cortical shell of `cortex` mm around marrow."""
    return layer(level, name, "cortical_bone"), layer(level, name, marrow, cortex)


def belly(name: str, halo: float = 2.0) -> tuple[Layer, Layer]:
    """A muscle with a thin coat of fat that parts it from its neighbours."""
    return layer(MUSCLE, "intermuscular_fat", "", -halo), layer(DEEP, name)


def rotation(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> F64:
    """Rotation matrix (3, 3) of turns about x, then y, then z, in degrees."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.deg2rad([x, y, z])), np.sin(np.deg2rad([x, y, z]))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


class Builder:
    """Adds shapes to the open group; `paint` closes it. All lengths in mm."""

    def __init__(self) -> None:
        """Starts with an empty scene."""
        self._groups: list[Group] = []
        self._kind: list[int] = []
        self._rows: list[list[float]] = []
        self._matrices: dict[int, tuple[F64, F64]] = {}
        self._open = 0
        self.landmarks: dict[str, F64] = {}

    def mark(self, **points: F64) -> None:
        """Remembers landmarks (3,) mm by name."""
        self.landmarks.update({name: np.asarray(p, dtype=np.float64) for name, p in points.items()})

    def ellipsoid(self, centre: ArrayLike, radii: ArrayLike, turn: F64 | None = None) -> Builder:
        """An ellipsoid; `turn` (3, 3) holds its axes in columns."""
        c, r = np.asarray(centre, dtype=np.float64), np.asarray(radii, dtype=np.float64)
        axes = np.eye(3) if turn is None else turn
        self._matrices[len(self._kind)] = (axes, r)
        return self._add(ELLIPSOID, [*c, *r, 0, 0, 0, 0, 0, 0])

    def cone(
        self,
        start: ArrayLike,
        end: ArrayLike,
        radius: float,
        end_radius: float | None = None,
        thin: Sequence[float] = (0, 1, 0),
        flat: float = 1.0,
    ) -> Builder:
        """A round cone between two points, `flat` times thinner along the direction `thin`."""
        a, b = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
        last = radius if end_radius is None else end_radius
        return self._add(CONE, [*a, *b, radius, last, *thin, flat])

    def rod(
        self,
        ends: F64,
        radius: float,
        end_radius: float | None = None,
        thin: Sequence[float] = (0, 1, 0),
        flat: float = 1.0,
    ) -> Builder:
        """As `cone`, between the two rows of `ends` (2, 3)."""
        return self.cone(ends[0], ends[1], radius, end_radius, thin, flat)

    def drum(self, ends: F64, radius: float, thin: Sequence[float] = (0, 1, 0), flat: float = 1.0) -> Builder:
        """As `cylinder`, between the two rows of `ends` (2, 3)."""
        return self.cylinder(ends[0], ends[1], radius, thin, flat)

    def tube(
        self,
        points: ArrayLike,
        radii: float | Sequence[float] | F64,
        thin: Sequence[float] = (0, 1, 0),
        flat: float = 1.0,
    ) -> Builder:
        """Round cones along a polyline (N, 3) with a radius a point."""
        pts = np.asarray(points, dtype=np.float64)
        rr = np.broadcast_to(np.asarray(radii, dtype=np.float64), (len(pts),))
        for i in range(len(pts) - 1):
            self._add(CONE, [*pts[i], *pts[i + 1], rr[i], rr[i + 1], *thin, flat])
        return self

    def cylinder(
        self,
        start: ArrayLike,
        end: ArrayLike,
        radius: float,
        thin: Sequence[float] = (0, 1, 0),
        flat: float = 1.0,
    ) -> Builder:
        """A cylinder with flat ends, `flat` times thinner along `thin`."""
        a, b = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
        return self._add(CYLINDER, [*a, *b, radius, radius, *thin, flat])

    def paint(self, *layers: Layer, clips: Sequence[Plane] = (), ripple: Ripple | None = None) -> None:
        """Closes the open group: its union, cut to the positive side of `clips`, gets these layers."""
        self._groups.append(Group(layers, self._open, len(self._kind), None, tuple(clips), ripple))
        self._open = len(self._kind)

    def loft(self, z: ArrayLike, rows: ArrayLike, *layers: Layer, smooth: int = 7) -> None:
        """A group of its own: sections (N, 6) cx, cy, a, f, b, w at rising heights z, resampled and smoothed."""
        heights = np.asarray(z, dtype=np.float64)
        table = np.asarray(rows, dtype=np.float64)
        grid = np.linspace(heights[0], heights[-1], max(8, int((heights[-1] - heights[0]) / 4)))
        fine = np.stack([np.interp(grid, heights, column) for column in table.T])
        if smooth > 1:
            pad = np.pad(fine, ((0, 0), (smooth // 2, smooth // 2)), mode="edge")
            kernel = np.hanning(smooth + 2)[1:-1]
            fine = np.stack([np.convolve(c, kernel / kernel.sum(), mode="valid") for c in pad])
        loft = Loft(grid.astype(np.float32), fine.astype(np.float32))
        self._groups.append(Group(layers, self._open, self._open, loft))

    def scene(self, *, marrow_last: bool = False) -> Scene:
        """Freezes what was added.

        Args:
            marrow_last: paint marrow over all cortex, so that the parts of a bone that overlap leave no wall inside.

        Raises:
            ValueError: when shapes were added and never painted.
        """
        if self._open != len(self._kind):
            raise ValueError("phantom builder: shapes were added after the last paint(); paint or remove them")
        kind = np.array(self._kind, dtype=np.int64)
        rows = np.array(self._rows, dtype=np.float64)
        matrix, shape, lo, hi = _cones(rows, kind == CYLINDER)
        for i, (axes, radii) in self._matrices.items():
            centre = rows[i, :3]
            linear = axes.T / radii[:, None]
            matrix[i, :, :3], matrix[i, :, 3] = linear, -linear @ centre
            shape[i] = 1 / radii
            half = np.sqrt(((axes * radii) ** 2).sum(axis=1))
            lo[i], hi[i] = centre - half, centre + half
        f = np.float32
        return Scene(
            [_marrow_last(group) for group in self._groups] if marrow_last else self._groups,
            Primitives(kind, matrix.astype(f), shape.astype(f), lo.astype(f), hi.astype(f)),
        )

    def _add(self, kind: int, row: list[float]) -> Builder:
        self._kind.append(kind)
        self._rows.append(row)
        return self


def _marrow_last(group: Group) -> Group:
    layers = (
        replace(one, level=CANAL) if one.level == BONE and STRUCTURES[one.label].tissue in _MARROW else one
        for one in group.layers
    )
    return replace(group, layers=tuple(layers))


def _cones(rows: F64, cylinder: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> tuple[F64, F64, F64, F64]:
    """Frames, shape numbers and boxes of rows (N, 12): start, end, two radii, thin direction, flatness."""
    rows = rows.reshape(-1, 12)
    a, b, thin, flat = rows[:, :3], rows[:, 3:6], rows[:, 8:11], np.maximum(rows[:, 11:12], 1e-3)
    along = b - a
    length = np.linalg.norm(along, axis=1, keepdims=True) + 1e-6
    s = along / length
    v = thin - (thin * s).sum(axis=1, keepdims=True) * s
    weak = np.linalg.norm(v, axis=1) < 1e-3
    v[weak] = np.cross(s[weak], np.where(np.abs(s[weak, :1]) < 0.9, [[1.0, 0, 0]], [[0, 0, 1.0]]))
    v /= np.linalg.norm(v, axis=1, keepdims=True) + 1e-9
    u = np.cross(v, s)
    matrix = np.zeros((len(rows), 3, 4))
    origin = np.where(cylinder[:, None], (a + b) / 2, a)
    for k, axis in enumerate((s, u, v * flat)):
        matrix[:, k, :3] = axis
        matrix[:, k, 3] = -(axis * origin).sum(axis=1)
    shape = np.stack([length[:, 0], rows[:, 6], (rows[:, 7] - rows[:, 6]) / length[:, 0]], axis=1)
    shape[cylinder, 0] /= 2
    ra, rb = rows[:, 6:7], rows[:, 7:8]
    lo: F64 = np.minimum(a - ra, b - rb)
    hi: F64 = np.maximum(a + ra, b + rb)
    return matrix, shape, lo, hi
