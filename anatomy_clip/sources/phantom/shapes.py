"""Parametric shapes, and the painter that turns them into labels on a plane or at points.

A *scene* is a list of groups. A group is a union of primitives (ellipsoid, round cone, cylinder) or one loft,
seen as a signed distance in mm (negative inside). Its layers paint labels wherever the distance is below an
inset, from the lowest level to the highest: skin first, bone last. Everything works on a homogeneous point
array (4, ..., H, W) float32, so that one matrix product takes points into a primitive's own frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.sources.phantom.boxes import Boxes

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Rect = tuple[int, int, int, int]

ELLIPSOID, CONE, CYLINDER = 0, 1, 2
FAR = 1e4
_CALL_IN_PIXELS = 1500  # what the calls for one primitive cost, in pixels of its formula


@dataclass(frozen=True)
class Layer:
    """A label painted where a group's distance is below `-inset` and every plane's value is positive.

    Args:
        level: painting order; a later level covers an earlier one.
        label: the label id.
        inset: mm inside the group's surface (negative: outside it).
        planes: half-spaces (n_x, n_y, n_z, offset), kept where n.p + offset > 0, in mm.
    """

    level: int
    label: int
    inset: float = 0.0
    planes: tuple[tuple[float, float, float, float], ...] = ()


@dataclass(frozen=True)
class Ripple:
    """A wavy surface: adds amplitude * (sum of sines of the point) to the distance, in mm."""

    amplitude: float
    wavelength: float
    phase: float

    def __call__(self, p: F32) -> F32:
        """The offset at points p (4, ...) mm."""
        k = np.float32(2 * np.pi / self.wavelength)
        x, y, z = p[0] * k, p[1] * k, p[2] * k
        phase = np.float32(self.phase)
        wave = np.sin(x + 1.7 * np.sin(0.6 * y + phase)) * np.cos(y + 1.3 * np.sin(0.7 * z)) + np.sin(
            z + np.sin(0.8 * x + phase)
        )
        return np.asarray(np.float32(self.amplitude) * wave, dtype=np.float32)


@dataclass(frozen=True)
class Loft:
    """A stack of squircle cross-sections along z.

    The section at height z is centred at (cx, cy) with half-width a, depth f to the front and b to the back,
    and squareness w in [0, 1): u^2 + v^2 - w u^2 v^2 = 1 (Fernandez-Guasti 1992).

    Args:
        z: (N,) heights in mm, evenly spaced and rising.
        table: (6, N) rows cx, cy, a, f, b (mm), w.
    """

    z: F32
    table: F32

    def distance(self, p: F32) -> F32:
        """Signed distance in mm at points p (4, ..., H, W); flat ends at the first and last height."""
        zz = p[2]
        if zz.shape[-1] > 1 and (zz[..., [0, -1], 0] == zz[..., [0, -1], -1]).all():
            zz = zz[..., :1]  # height changes with the row only: sections are looked up once a row
        if zz.shape[-2] > 1 and (zz[..., 0, [0, -1]] == zz[..., -1, [0, -1]]).all():
            zz = zz[..., :1, :]
        step = (self.z[-1] - self.z[0]) / (len(self.z) - 1)
        t = np.clip((zz - self.z[0]) / step, 0, len(self.z) - 1.001)
        k = t.astype(np.intp)
        w = (t - k).astype(np.float32)
        # row by row is a third of the time of one look-up
        cx, cy, a, f, b, s = (row.take(k) * (1 - w) + row.take(k + 1) * w for row in self.table)
        dx, dy = p[0] - cx, p[1] - cy
        g = np.where(dy > 0, 1 / f, 1 / b)
        u, v = (dx / a) ** 2, (dy * g) ** 2
        r2 = u + v - s * np.minimum(u * v, 1)
        slope = np.sqrt(u / (a * a) + v * (g * g)) + np.float32(1e-6)
        d = (r2 - np.sqrt(r2)) / slope
        ends = np.maximum(self.z[0] - zz, zz - self.z[-1])
        return np.asarray(np.maximum(d, ends), dtype=np.float32)

    def bounds(self) -> tuple[F64, F64]:
        """Lowest and highest corner in mm."""
        cx, cy, a, f, b, _ = self.table.astype(np.float64)
        lo = np.array([(cx - a).min(), (cy - b).min(), self.z[0]])
        return lo, np.array([(cx + a).max(), (cy + f).max(), self.z[-1]])


@dataclass(frozen=True)
class Group:
    """Primitives `first:last` of the scene (or a loft) painted as one union, with its layers."""

    layers: tuple[Layer, ...]
    first: int
    last: int
    loft: Loft | None = None
    clips: tuple[tuple[float, float, float, float], ...] = ()
    ripple: Ripple | None = None


@dataclass(frozen=True)
class Primitives:
    """All primitives of a scene as arrays.

    Args:
        kind: (N,) ELLIPSOID, CONE or CYLINDER.
        matrix: (N, 3, 4) from homogeneous mm to the primitive's frame.
        shape: (N, 3): ellipsoid 1/radii; cone length, radius, slope; cylinder half length, radius, 0.
        lo: (N, 3) lowest corner in mm.
        hi: (N, 3) highest corner in mm.
    """

    kind: NDArray[np.int64]
    matrix: F32
    shape: F32
    lo: F32
    hi: F32


def primitive_distance(kind: int, matrix: F32, shape: F32, p: F32) -> F32:
    """Signed distance in mm (first-order for ellipsoids) at points p (4, ..., h, w) -> (..., h, w)."""
    q = matrix @ p.reshape(4, -1)
    if kind == ELLIPSOID:
        # Quilez' bound: |q| (|q| - 1) / |q / r|, good enough for shells of a few mm on flat discs
        q *= q
        n2 = q[0] + q[1]
        n2 += q[2]
        slope = (shape * shape) @ q
        slope += np.float32(1e-9)
        d = n2 - np.sqrt(n2)
        d /= np.sqrt(slope)
    elif kind == CONE:
        s = q[0]
        t = np.minimum(np.maximum(s, 0), shape[0])
        s = s - t
        s *= s
        s += q[1] * q[1]
        s += q[2] * q[2]
        d = np.sqrt(s)
        t *= shape[2]
        d -= t
        d -= shape[1]
    else:
        d = np.sqrt(q[1] * q[1] + q[2] * q[2])
        d -= shape[1]
        np.maximum(d, np.abs(q[0]) - shape[0], out=d)
    return np.asarray(d, dtype=np.float32).reshape(p.shape[1:])


def cones_distance(matrix: F32, shape: F32, p: F32) -> F32:
    """Signed distance in mm to the union of K round cones at points p (4, ..., h, w) -> (..., h, w)."""
    # (K, 3, h w): few large products beat many small ones
    q = (matrix.reshape(-1, 4) @ p.reshape(4, -1)).reshape(len(matrix), 3, -1)
    s = q[:, 0]
    t = np.minimum(np.maximum(s, 0), shape[:, :1])
    s -= t
    q *= q
    d = np.sqrt(q[:, 0] + q[:, 1] + q[:, 2])
    t *= shape[:, 2:]
    d -= t
    d -= shape[:, 1:2]
    return np.asarray(d.min(axis=0), dtype=np.float32).reshape(p.shape[1:])


def side_of(plane: tuple[float, float, float, float], p: F32) -> F32:
    """Value of a plane (n_x, n_y, n_z, offset) at points p (4, ...), mm; axes with a zero are skipped."""
    terms = [np.float32(n) * p[k] for k, n in enumerate(plane[:3]) if n != 0]
    return np.asarray(sum(terms[1:], terms[0]) + np.float32(plane[3]), dtype=np.float32)


def _worth_batching(boxes: list[Rect], area: int, planes: int) -> bool:
    """Whether one product over the common rectangle costs less than a call a primitive."""
    own = sum((b[1] - b[0]) * (b[3] - b[2]) for b in boxes)
    return planes * area * len(boxes) < 2 * planes * own + _CALL_IN_PIXELS * len(boxes)


class Scene:
    """Groups ready to paint; see the module's description."""

    def __init__(self, groups: Sequence[Group], primitives: Primitives) -> None:
        """Sorts the layers of all groups into painting order (stable within a level)."""
        self.groups = tuple(groups)
        self.primitives = primitives
        events = [(y.level, g, i) for g, group in enumerate(self.groups) for i, y in enumerate(group.layers)]
        self.events = [(g, self.groups[g].layers[i]) for _, g, i in sorted(events)]
        lofts = [(g, x.loft.bounds()) for g, x in enumerate(self.groups) if x.loft is not None]
        self.loft_groups = [g for g, _ in lofts]
        n = len(self.loft_groups)
        low = np.array([b[0] for _, b in lofts], dtype=np.float32).reshape(n, 3)
        high = np.array([b[1] for _, b in lofts], dtype=np.float32).reshape(n, 3)
        self.boxes = Boxes(np.concatenate([primitives.lo, low]), np.concatenate([primitives.hi, high]))
        # which group each box belongs to: primitives come group by group, lofts follow
        owner = np.zeros(len(primitives.kind), dtype=np.int64)
        for g, group in enumerate(self.groups):
            owner[group.first : group.last] = g
        self._owner = np.concatenate([owner, np.array(self.loft_groups, dtype=np.int64)])
        self._event_group = np.array([g for g, _ in self.events], dtype=np.int64)
        self._kinds = primitives.kind.tolist()
        mixed = {g for g, k in zip(owner.tolist(), self._kinds, strict=True) if k != CONE}
        self._is_cones = [g not in mixed for g in owner.tolist()]

    def paint(self, p: F32, rects: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Labels at points p (4, ..., H, W) mm, given each box's index rectangle -> (..., H, W)."""
        out = np.zeros(p.shape[1:], dtype=np.uint8)
        ids = np.flatnonzero((rects[:, 1] > rects[:, 0]) & (rects[:, 3] > rects[:, 2]))
        ids = ids[np.argsort(self._owner[ids], kind="stable")]
        owners, first = np.unique(self._owner[ids], return_index=True)
        boxes = rects[ids]
        cuts = [*first.tolist(), len(ids)]
        place = {g: k for k, g in enumerate(owners.tolist())}
        fields: dict[int, tuple[F32, Rect]] = {}
        for e in np.flatnonzero(np.isin(self._event_group, owners)).tolist():
            g, layer = self.events[e]
            if g not in fields:
                k = place[g]
                part = slice(cuts[k], cuts[k + 1])
                fields[g] = self._field(self.groups[g], p, ids[part].tolist(), boxes[part].tolist())
            d, (r0, r1, c0, c1) = fields[g]
            mask = d < -layer.inset
            for plane in layer.planes:
                mask &= side_of(plane, p[..., r0:r1, c0:c1]) > 0
            np.copyto(out[..., r0:r1, c0:c1], np.uint8(layer.label), where=mask)
        return out

    def _field(self, group: Group, p: F32, ids: list[int], boxes: list[Rect]) -> tuple[F32, Rect]:
        """A group's distance on the rectangle that holds its visible primitives (or its loft)."""
        r0, c0 = min(b[0] for b in boxes), min(b[2] for b in boxes)
        r1, c1 = max(b[1] for b in boxes), max(b[3] for b in boxes)
        q = p[..., r0:r1, c0:c1]
        if group.loft is not None:
            d = group.loft.distance(q)
        elif len(ids) == 1:
            d = self._distance(ids[0], q)
        elif self._is_cones[ids[0]] and _worth_batching(boxes, (r1 - r0) * (c1 - c0), q[0, ..., 0, 0].size):
            d = cones_distance(self.primitives.matrix[ids], self.primitives.shape[ids], q)
        else:
            d = np.full(q.shape[1:], FAR, dtype=np.float32)
            for i, (a0, a1, b0, b1) in zip(ids, boxes, strict=True):
                part = d[..., a0 - r0 : a1 - r0, b0 - c0 : b1 - c0]
                np.minimum(part, self._distance(i, p[..., a0:a1, b0:b1]), out=part)
        if group.ripple is not None:
            d = d + group.ripple(q)
        for plane in group.clips:
            d = np.maximum(d, -side_of(plane, q))
        return d, (r0, r1, c0, c1)

    def _distance(self, i: int, q: F32) -> F32:
        return primitive_distance(self._kinds[i], self.primitives.matrix[i], self.primitives.shape[i], q)
