"""The frame of the colon and the loops of the small bowel."""

from __future__ import annotations

import numpy as np

from anatomy_clip.sources.phantom.abdomen import gas_above
from anatomy_clip.sources.phantom.builder import INNER, ORGAN, VESSEL, Builder, layer
from anatomy_clip.sources.phantom.frame import Frame
from anatomy_clip.sources.phantom.shapes import F64
from anatomy_clip.sources.phantom.trunk import belly_depth

_ASCENDING = ((84, 24, 1012), (94, 12, 1050), (96, 0, 1090), (94, -4, 1130), (80, 18, 1152))
_TRANSVERSE = (
    (80, 18, 1152),
    (58, 50, 1120),
    (10, 62, 1106),
    (-44, 60, 1128),
    (-80, 22, 1180),
    (-98, -16, 1200),
)
_DESCENDING = ((-98, -16, 1200), (-102, -24, 1140), (-98, -18, 1080), (-92, 2, 1030), (-78, 26, 990))
_SIGMOID = ((-78, 26, 990), (-48, 34, 962), (-14, 26, 984), (10, -6, 990), (8, -40, 978), (0, -68, 950))
_RECTUM = ((0, -68, 950), (0, -76, 920), (0, -66, 892), (0, -58, 868), (0, -66, 852))


def add_bowel(b: Builder, f: Frame) -> None:
    """Adds small bowel, then the colon in front of it."""
    _mesentery(b, f)
    _small_bowel(b, f)
    for path, radius in (
        (_ASCENDING, 26),
        (_TRANSVERSE, 21),
        (_DESCENDING, 16),
        (_SIGMOID, 16),
        (_RECTUM, 19),
    ):
        _colon(b, f, np.array(path, dtype=np.float64), radius * f.normal(1, 0.1))


def _curve(points: F64, step: float) -> F64:
    """Points every `step` mm along a polyline (N, 3), its corners rounded."""
    lengths = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    s = np.linspace(0, lengths[-1], max(3, int(lengths[-1] / step)))
    out = np.stack([np.interp(s, lengths, c) for c in points.T], axis=1)
    out[1:-1] = (out[:-2] + 2 * out[1:-1] + out[2:]) / 4
    return out


def _forward(f: Frame, points: F64, share: float) -> F64:
    """Moves points into the room that a deep belly leaves."""
    out = f.at(points)
    depth = np.array([belly_depth(f, z) for z in points[:, 2]])
    out[:, 1] += share * depth * np.interp(points[:, 1], (-20, 60), (0.1, 1.0))
    out[:, 0] += 0.3 * depth * np.sign(points[:, 0]) * (np.abs(points[:, 0]) > 60)
    return out


def _colon(b: Builder, f: Frame, path: F64, radius: float) -> None:
    path = path.copy()
    path[1:-1] += f.rng.normal(0, 7, path[1:-1].shape)
    points = _forward(f, _curve(path, 15), 0.85)
    sacs = np.where(np.arange(len(points)) % 2 == 0, 1.14, 0.84)
    radii = radius * f.size * sacs * f.rng.uniform(0.9, 1.1, len(points))
    b.tube(points, radii)
    wall = layer(ORGAN, "colon", "bowel_wall"), layer(INNER, "colon", "stool", 2.6)
    if f.rng.random() < 0.45:
        b.paint(*wall)
        _bubbles(b, f, points, radii)
        return
    # gas in front: haustra lie at different heights, so the level is a plane through the gut's middle
    mid = points[:, 1].mean() + radius * f.rng.uniform(-0.9, 0.7)
    b.paint(*wall, layer(INNER, "colon", "bowel_gas", 3.0, gas_above(np.array([0, mid, 0]))))


def _bubbles(b: Builder, f: Frame, points: F64, radii: F64) -> None:
    """Gas bubbles in stool."""
    for point, radius in zip(points, radii, strict=True):
        for _ in range(2):
            shift = f.rng.normal(0, 0.32, 3) * radius
            b.ellipsoid(point + shift, f.rng.uniform(1.2, 3.8, 3))
    b.paint(layer(VESSEL, "colon", "bowel_gas"))


def _mesentery(b: Builder, f: Frame) -> None:
    """Vessels that fan out from the root of the mesentery."""
    for _ in range(12):
        root = np.array([2.0, 26, f.rng.uniform(1070, 1110)])
        goal = np.array([f.rng.uniform(-70, 60), f.rng.uniform(10, 50), f.rng.uniform(985, 1100)])
        mid = (root + goal) / 2 + f.rng.normal(0, 8, 3)
        b.tube(_forward(f, np.stack([root, mid, goal]), 0.6), np.array([3.2, 2.2, 1.2]) * f.size)
    b.paint(layer(ORGAN, "portal_vein_and_splenic_vein"))


def _small_bowel(b: Builder, f: Frame) -> None:
    """A random walk of loops that fills the middle of the belly and dips into the pelvis."""
    grow = f.normal(1, 0.12)
    columns = f.rng.permutation(16)
    for k in columns:
        x = -66 + 44 * (k % 4) + f.rng.normal(0, 8)
        z = 968 + 40 * (k // 4) + f.rng.normal(0, 8)
        y = 34 + f.rng.normal(0, 10)
        turn = f.rng.uniform(0, 2 * np.pi)
        t = np.linspace(0, 2.4 * np.pi, 9)
        loop = np.stack(
            [
                x + 24 * np.cos(t + turn) * (1 + 0.2 * np.sin(2 * t)),
                y + 20 * np.sin(t * 0.9 + turn),
                z + 18 * np.sin(1.7 * t + turn),
            ],
            axis=1,
        )
        limit = np.interp(loop[:, 2], (930, 990, 1040), (42, 66, 88))
        loop[:, 0] = np.clip(loop[:, 0], -limit, limit)
        loop[:, 1] = np.clip(loop[:, 1], -6, 62)
        radius = f.rng.uniform(9, 13.5) * grow
        b.tube(_forward(f, loop, 0.8), radius * f.rng.uniform(0.85, 1.15, 9))
        paint = [layer(ORGAN, "small_bowel", "bowel_wall")]
        fill = f.rng.random()
        if fill > 0.35:
            paint.append(layer(ORGAN, "small_bowel", "bowel_content", 3.0))
        if fill > 0.86:
            paint.append(layer(ORGAN, "small_bowel", "bowel_gas", 3.0, gas_above(_forward(f, loop, 0.8).mean(axis=0))))
        b.paint(*paint)
