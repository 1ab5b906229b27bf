"""Neck: envelope, muscles, larynx, thyroid gland, hyoid."""

from __future__ import annotations

import numpy as np

from anatomy_clip.sources.phantom.builder import (
    BONE,
    DEEP,
    FASCIA,
    FAT,
    MUSCLE,
    ORGAN,
    SKIN,
    TOP,
    VESSEL,
    Builder,
    belly,
    layer,
)
from anatomy_clip.sources.phantom.frame import Frame

# z, cx, cy, half-width, front, back, squareness of the neck inside its fat
_CORE = (
    (1440, 0, -22, 92, 50, 72, 0.2),
    (1465, 0, -20, 72, 46, 68, 0.15),
    (1495, 0, -16, 61, 48, 60, 0.1),
    (1530, 0, -10, 58, 48, 58, 0.1),
    (1560, 0, -12, 58, 46, 58, 0.1),
    (1600, 0, -16, 58, 40, 58, 0.1),
)
_MUSCLES = (
    (((48, -44, 1606), (46, -14, 1540), (24, 22, 1440)), (9, 12, 8)),
    (((16, -54, 1600), (22, -50, 1540), (44, -60, 1470)), (10, 12, 12)),
    (((24, -46, 1606), (26, -46, 1530), (28, -50, 1460)), (12, 15, 14)),
    (((14, 4, 1590), (14, 4, 1530), (14, -10, 1470)), (5, 7, 6)),
    (((34, -14, 1540), (44, -22, 1490), (58, -22, 1452)), (7, 12, 9)),
    (((6, 36, 1520), (8, 32, 1480), (10, 22, 1440)), (4, 5, 5)),
)


def add_neck(b: Builder, f: Frame) -> None:
    """Adds the neck between the shoulders and the skull base."""
    skin = [
        (z, x, y, a + 0.35 * f.fat + 4, p + 0.45 * f.fat + 4, q + 0.3 * f.fat + 4, w) for z, x, y, a, p, q, w in _CORE
    ]
    f.loft(b, skin, layer(SKIN, "skin"), layer(FAT, "subcutaneous_fat", "", 2.0))
    f.loft(b, _CORE, layer(FASCIA, "intermuscular_fat"), layer(MUSCLE, "skeletal_muscle", "", 4.0))
    n = f.size
    for s in (1, -1):
        for points, radii in _MUSCLES:
            b.tube(f.at([(x * s, y, z) for x, y, z in points]), np.array(radii) * n * (0.5 + 0.5 * f.muscle))
            b.paint(*belly("skeletal_muscle", 1.2))
        b.ellipsoid(f.at((42 * s, 18, 1556)), f.radii(12, 17, 13))
        b.paint(layer(DEEP, "parotid_gland_right" if s > 0 else "parotid_gland_left"))
        b.ellipsoid(f.at((17 * s, 12, 1470)), f.radii(9, 10, 23))
        b.paint(layer(ORGAN, "thyroid_gland"))
    b.cone(f.at((-14, 24, 1464)), f.at((14, 24, 1464)), 5 * n)
    b.paint(layer(ORGAN, "thyroid_gland"))
    b.tube(f.at([(0, 16, 1492), (0, 16, 1522)]), np.array([15, 20]) * n)
    b.paint(layer(VESSEL, "larynx"))
    b.tube(
        f.at([(0, 8, 1500), (0, 12, 1516), (0, 6, 1540), (0, 4, 1575), (0, 8, 1600)]),
        np.array([8, 5, 11, 9, 10]) * n,
        (0, 1, 0),
        1.5,
    )
    b.paint(layer(TOP, "larynx_air"))
    b.tube(f.at([(22, 6, 1542), (12, 28, 1538), (-12, 28, 1538), (-22, 6, 1542)]), 4 * n)
    b.paint(layer(BONE, "hyoid"))
