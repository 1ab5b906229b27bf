"""Vertebrae, discs, spinal canal, ribs, sternum and costal cartilages."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from anatomy_clip.sources.phantom.builder import BONE, CANAL, DISC, Builder, bone, layer
from anatomy_clip.sources.phantom.frame import Frame, vertebra_heights
from anatomy_clip.sources.phantom.shapes import F64
from anatomy_clip.sources.phantom.structures import SPINE
from anatomy_clip.sources.phantom.trunk import cage_point

# by level: half-width and half-depth of the body, reach of transverse and spinous processes, drop of the latter
_LEVELS = (1030.0, 1178.0, 1330.0, 1455.0, 1500.0, 1570.0, 1600.0)
_HALF_WIDTH = (26.0, 22.0, 15.0, 15.0, 13.0, 11.0, 10.0)
_HALF_DEPTH = (17.5, 15.5, 14.5, 10.0, 9.0, 8.5, 6.0)
_TRANSVERSE = (44.0, 36.0, 34.0, 36.0, 28.0, 26.0, 36.0)
_SPINOUS = (31.0, 29.0, 27.0, 30.0, 26.0, 20.0, 12.0)
_DROP = (8.0, 12.0, 34.0, 18.0, 12.0, 8.0, 0.0)
_CANAL = (12.0, 11.0, 8.5, 10.0, 11.0, 11.5, 13.0)


def add_spine(b: Builder, f: Frame) -> None:
    """Adds discs, C1 to L5, and the canal with its cord."""
    heights = vertebra_heights()
    for name in SPINE:
        z, height = heights[name]
        _vertebra(b, f, name, z, height)
    levels = np.array([930, 970, 1005, 1050, 1100, 1150, 1200, 1250, 1300, 1350, 1400, 1450, 1500, 1550, 1600, 1612])
    centre = np.array([_canal_centre(f, float(k)) for k in levels])
    radius = np.interp(levels, _LEVELS, _CANAL) * np.interp(levels, (930, 1005), (0.5, 0.9)) * f.size
    b.tube(f.at(centre), radius, (0, 1, 0), 1.15)
    b.paint(layer(CANAL, "intermuscular_fat"), layer(CANAL, "spinal_cord", "csf", 1.5))
    cord = levels >= 1150
    size = np.interp(levels[cord], (1150, 1200, 1330, 1480, 1612), (1.5, 5, 4.2, 6.2, 6.5)) * f.size
    b.tube(f.at(centre[cord]), size, (0, 1, 0), 1.2)
    b.paint(layer(CANAL, "spinal_cord", "nerve"))


def _canal_centre(f: Frame, z: float) -> tuple[float, float, float]:
    x, y, _ = f.spine(z)
    return x, y - float(np.interp(z, _LEVELS, _HALF_DEPTH) + np.interp(z, _LEVELS, _CANAL)) + 1, z


def _vertebra(b: Builder, f: Frame, name: str, z: float, height: float) -> None:
    def pick(row: tuple[float, ...]) -> float:
        return float(np.interp(z, _LEVELS, row)) * f.size

    wide, deep, reach, spine, drop, hole = (
        pick(r) for r in (_HALF_WIDTH, _HALF_DEPTH, _TRANSVERSE, _SPINOUS, _DROP, _CANAL)
    )
    tall = float(f.z(z + height / 2) - f.z(z - height / 2))
    c = f.at(f.spine(z))
    tilt = f.at(f.spine(z + height / 2)) - f.at(f.spine(z - height / 2))
    up = tilt / np.linalg.norm(tilt)
    gap = 0.13 * tall
    flat = wide / deep
    top = c + up * tall / 2
    shell = (
        layer(BONE, "vertebrae", "cortical_bone"),
        layer(BONE, f"vertebrae_{name}", "trabecular_bone", 1.5),
    )
    if name != "C1":
        b.cylinder(top - up * gap * 1.4, top + up * gap * 1.4, wide * 0.98, (0, 1, 0), flat)
        b.paint(layer(DISC, "intervertebral_discs"))
        b.cylinder(c - up * (tall / 2 - gap), c + up * (tall / 2 - gap), wide, (0, 1, 0), flat)
        b.paint(*shell)

    def at(x: float, y: float, h: float) -> F64:
        return np.asarray(c + np.array([x, y, 0.0]) + up * h)

    _arch(b, at, (wide, deep, hole, reach, tall), spine, drop)
    if name == "C1":
        b.cone(at(-wide, -1, 0), at(wide, -1, 0), 6.0)
    if name == "C2":
        b.cone(c, at(0, 0, 26 * f.size), 7.0, 5.5)
    b.paint(*shell)


def _arch(
    b: Builder,
    at: Callable[[float, float, float], F64],
    body: tuple[float, float, float, float, float],
    spine: float,
    drop: float,
) -> None:
    """Pedicles, laminae, facets and processes behind a body (wide, deep, hole, reach, tall; mm)."""
    wide, deep, hole, reach, tall = body
    rear = -deep - hole
    lift, thick = 0.12 * tall, 0.16 * min(tall, 30)
    for s in (1, -1):
        b.cone(at(s * wide * 0.62, -deep * 0.7, lift), at(s * (hole + 3), rear, lift), thick * 1.1, thick)
        b.cone(at(s * (hole + 3), rear, lift), at(0, rear - hole, -0.1 * tall), thick, thick * 0.9)
        b.cone(at(s * (hole + 3), rear - 1, lift), at(s * reach, rear - 0.16 * reach, lift), thick, thick * 0.8)
        x = s * (hole + 6)
        b.cone(at(x, rear - 3, 0.45 * tall), at(x, rear - 3, -0.5 * tall), thick * 1.25)
    if spine > 15:
        tip = at(0, rear - hole - spine, -0.1 * tall - drop)
        b.cone(at(0, rear - hole + 2, -0.1 * tall), tip, thick * 1.5, thick * 1.6, (1, 0, 0), 1.9)


def add_cage(b: Builder, f: Frame) -> None:
    """Adds 12 pairs of ribs, the cartilages and the sternum."""
    heights = vertebra_heights()
    ends: dict[tuple[int, int], tuple[float, float, float]] = {}
    slope = f.normal(1, 0.1)
    for side, s in (("right", 1), ("left", -1)):
        for k in range(1, 13):
            z0 = heights[f"T{k}"][0] + 4
            drop = float(np.interp(k, (1, 3, 6, 9, 10, 11, 12), (34, 80, 105, 100, 88, 66, 40))) * slope
            stop = float(np.interp(k, (1, 2, 5, 7, 9, 10, 11, 12), (150, 152, 146, 138, 120, 108, 84, 60)))
            count = 12 if k < 11 else 8
            angles = np.linspace(14, stop, count)
            u = (angles - 14) / (150 - 14)
            path = [
                cage_point(f, z0 - drop * (1.25 * t - 0.25 * t * t), float(a), 5)
                for a, t in zip(angles, u, strict=True)
            ]
            _, y, _ = f.spine(z0)
            # on films a neck that ran far to the front would be a bead
            path = [(16.0, y - 8, z0) if f.heart is None else (20.0, path[0][1] + 10, z0), *path]
            points = f.at([(px * s, py, pz) for px, py, pz in path])
            for i in range(count):
                outward = points[i] - f.at((0, -15, path[i][2]))
                b.cone(points[i], points[i + 1], 6.2 * f.size, None, (outward[0], outward[1], 0), 1.7)
            b.paint(
                layer(BONE, f"rib_{side}_{k}"),
                layer(BONE, "rib_marrow", "", 1.5),
            )
            ends[s, k] = (path[-1][0] * s, path[-1][1], path[-1][2])
    _sternum(b, f, ends)


def _sternum(b: Builder, f: Frame, ends: dict[tuple[int, int], tuple[float, float, float]]) -> None:

    def front(z: float) -> float:
        return cage_point(f, z, 180, 7)[1]

    for s in (1, -1):
        for k in range(1, 11):
            end = ends[s, k]
            if k <= 7:
                z = float(np.interp(k, (1, 2, 7), (1408, 1388, 1268)))
                goal = (14.0 * s, front(z), z)
            else:
                goal = ends[s, k - 1]
            mid = ((end[0] + goal[0]) / 2, max(end[1], (end[1] + goal[1]) / 2) + 4, min(end[2], goal[2]) - 3)
            b.tube(f.at([end, mid, goal]), 6.0 * f.size)
    b.paint(layer(BONE, "costal_cartilages"))
    thin = (0, 1, 0)
    b.cone(f.at((0, front(1415), 1415)), f.at((0, front(1375), 1375)), 27 * f.size, 16 * f.size, thin, 3.4)
    b.cone(f.at((0, front(1370), 1370)), f.at((0, front(1280), 1280)), 15 * f.size, 18 * f.size, thin, 3.0)
    b.cone(f.at((0, front(1262), 1262)), f.at((0, front(1240), 1240)), 8 * f.size, 4 * f.size, thin, 2.0)
    b.paint(*bone("sternum", 1.3))
