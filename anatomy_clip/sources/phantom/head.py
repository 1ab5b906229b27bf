"""Head: scalp, skull, brain, face, jaw, teeth, eyes and sinuses."""

from __future__ import annotations

import numpy as np

from anatomy_clip.sources.phantom.builder import (
    BONE,
    CANAL,
    DEEP,
    FASCIA,
    FAT,
    SKIN,
    TOP,
    Builder,
    Plane,
    belly,
    bone,
    layer,
    rotation,
)
from anatomy_clip.sources.phantom.frame import Frame
from anatomy_clip.sources.phantom.shapes import F64, Layer, Ripple

_FACE = (  # z, cx, cy, half-width, front, back: skin of the face and the lower skull
    (1524, 0, 50, 24, 28, 30, 0.2),
    (1545, 0, 30, 50, 56, 50, 0.25),
    (1575, 0, 14, 64, 78, 76, 0.2),
    (1605, 0, 8, 69, 86, 84, 0.2),
    (1640, 0, 6, 72, 86, 92, 0.15),
    (1665, 0, 6, 74, 90, 94, 0.1),
)
_BASE_Z = 1612.0


def add_head(b: Builder, f: Frame) -> None:
    """Adds everything above the neck."""
    f.loft(b, [(z, x, y, a + 0.1 * f.fat, p, q, w) for z, x, y, a, p, q, w in _FACE], *_soft(1.5))
    _skull(b, f)
    _brain(b, f)
    _face(b, f)
    _mandible(b, f)
    for side, s in (("right", 1), ("left", -1)):
        _eye_and_cheek(b, f, side, s)


def _soft(fat: float) -> tuple[Layer, Layer, Layer]:
    return (
        layer(SKIN, "skin"),
        layer(FAT, "subcutaneous_fat", "", 2.0),
        layer(FASCIA, "skeletal_muscle", "", 4 + fat),
    )


def _scale(f: Frame) -> tuple[float, float, float]:
    tall = float(f.z_knots[-1] - f.z_knots[-2]) / 145
    return float(f.wx(1660)), float(f.wy(1660)), tall


def _skull(b: Builder, f: Frame) -> None:
    wx, wy, wz = _scale(f)
    c = f.at((0, 6, 1666))
    brow: Plane = (0, 0, 1, -float(f.z(1606)))
    floor: Plane = (0, -0.3, 1, -float(f.z(1606)) + 0.3 * float(c[1]))
    scalp = (77.5 * wx, 97.5 * wy, 82.5 * wz)
    b.ellipsoid(c, scalp)
    b.paint(layer(SKIN, "skin"), layer(FAT, "subcutaneous_fat", "", 2.0), clips=[brow])
    b.ellipsoid(c, (71.5 * wx, 91.5 * wy, 75.5 * wz))
    b.paint(
        layer(BONE, "skull", "cortical_bone"),
        layer(BONE, "skull", "trabecular_bone", 1.8),
        layer(BONE, "skull", "cortical_bone", 4.5),
        clips=[floor],
    )
    b.ellipsoid(f.at((0, 6, 1612)), (60 * wx, 80 * wy, 2.4 * wz), rotation(x=18))
    b.paint(*bone("skull", 1.6))
    # base: petrous ridges, clivus, occiput
    for s in (1, -1):
        b.cone(f.at((12 * s, 18, 1624)), f.at((60 * s, -18, 1620)), 8 * wx, 13 * wx)
        b.cone(f.at((60 * s, -18, 1622)), f.at((56 * s, -22, 1592)), 13 * wx, 8 * wx)
        b.paint(*bone("skull", 2.2))
        b.ellipsoid(f.at((58 * s, -22, 1606)), (7 * wx, 10 * wy, 11 * wz))
        b.paint(layer(TOP, "sinus_air"))
        b.tube(f.at([(66 * s, -6, 1622), (50 * s, -6, 1620)]), 3.5)
        b.paint(layer(TOP, "sinus_air"))
    b.cone(f.at((0, 34, 1634)), f.at((0, 8, 1604)), 13 * wx, 8 * wx)
    b.paint(*bone("skull", 1.8))


def _brain(b: Builder, f: Frame) -> None:
    wx, wy, wz = _scale(f)
    c = f.at((0, 6, 1668))
    grow = f.normal(0.99, 0.01)
    radii = np.array([65.0 * wx, 85.0 * wy, 68.5 * wz]) * grow
    bottom: Plane = (0, -0.3, 1, -float(f.z(1633)) + 0.3 * float(c[1]))
    floor: Plane = (0, -0.33, 1, -float(f.z(1617)) + 0.33 * float(c[1]))
    b.ellipsoid(c, radii + 1)
    b.ellipsoid(f.at((0, -34, 1626)), (52 * wx, 34 * wy, 27 * wz))
    b.paint(layer(CANAL, "brain", "csf"), clips=[floor])
    sulci = Ripple(2.4, 21.0 * f.normal(1, 0.08), float(f.rng.uniform(0, 6)))
    atrophy = float(f.rng.uniform(0.0, 2.6))
    b.ellipsoid(c, radii - atrophy)
    b.paint(
        layer(CANAL, "brain", "brain_grey", 2.4),
        layer(CANAL, "brain", "brain_white", 7.0),
        clips=[bottom],
        ripple=sulci,
    )
    b.ellipsoid(f.at((24, -36, 1626)), (27 * wx, 30 * wy, 23 * wz)).ellipsoid(
        f.at((-24, -36, 1626)), (27 * wx, 30 * wy, 23 * wz)
    )
    b.paint(
        layer(CANAL, "brain", "brain_grey"),
        layer(CANAL, "brain", "brain_white", 6.0),
        ripple=Ripple(1.2, 9.0, 1.0),
    )
    for s in (1, -1):
        b.ellipsoid(f.at((37 * s, 18, 1636)), (24 * wx, 34 * wy, 20 * wz), rotation(x=14))
    b.paint(
        layer(CANAL, "brain", "brain_grey"),
        layer(CANAL, "brain", "brain_white", 4.5),
        clips=[floor],
        ripple=Ripple(1.5, 17.0, 2.0),
    )
    b.tube(f.at([(0, -4, 1604), (0, 2, 1626), (0, 4, 1645)]), np.array([8, 14, 13]) * wx)
    b.paint(layer(CANAL, "brain", "brain_white"))
    _deep_brain(b, f, c)


def _deep_brain(b: Builder, f: Frame, c: F64) -> None:
    wx, wy, wz = _scale(f)
    big = f.normal(1, 0.25)
    gap = 0.9
    b.ellipsoid(c, (gap, 82 * wy, 66 * wz))
    b.paint(layer(TOP, "brain", "csf"), clips=[(0, 0, 1, -float(f.z(1694)))])
    for s in (1, -1):
        b.ellipsoid(f.at((15 * s, 8, 1664)), (10 * wx, 18 * wy, 12 * wz))
        b.ellipsoid(f.at((26 * s, 16, 1662)), (8 * wx, 19 * wy, 11 * wz))
        b.paint(layer(TOP, "brain", "brain_grey"))
        horn = [
            (11, 42, 1678),
            (9, 18, 1690),
            (14, -20, 1686),
            (26, -36, 1668),
            (32, -14, 1648),
            (30, 4, 1640),
        ]
        b.tube(f.at([(x * s, y, z) for x, y, z in horn]), np.array([6, 6.5, 7, 7.5, 4, 3]) * wx * big)
        b.paint(layer(TOP, "brain", "csf"))
    b.cone(f.at((0, 14, 1662)), f.at((0, -4, 1656)), 8 * wz, 7 * wz, (1, 0, 0), 4 / big)
    b.ellipsoid(f.at((0, -18, 1628)), (7 * wx, 5 * wy, 9 * wz))
    b.paint(layer(TOP, "brain", "csf"))


def _face(b: Builder, f: Frame) -> None:
    n = _scale(f)[0]
    b.ellipsoid(f.at((0, 88, 1606)), (15 * n, 22 * n, 15 * n))
    b.cone(f.at((0, 86, 1640)), f.at((0, 100, 1604)), 9 * n, 15 * n)
    b.paint(layer(SKIN, "skin"), layer(FAT, "subcutaneous_fat", "", 2.0))
    # upper jaw and nasal frame
    b.ellipsoid(f.at((0, 56, 1598)), (33 * n, 32 * n, 26 * n))
    b.paint(layer(BONE, "skull", "cortical_bone"), layer(BONE, "skull", "trabecular_bone", 1.6))
    b.ellipsoid(f.at((0, 62, 1604)), (11 * n, 26 * n, 22 * n))
    b.paint(layer(TOP, "sinus_air"))
    b.cone(f.at((0, 84, 1608)), f.at((0, 40, 1608)), 14 * n, 14 * n, (1, 0, 0), 12)
    for s in (1, -1):
        b.cone(f.at((8 * s, 80, 1598)), f.at((8 * s, 42, 1600)), 7 * n, 7 * n, (1, 0, 0), 2.0)
    b.paint(layer(TOP, "skull", "trabecular_bone"))
    for s in (1, -1):
        b.ellipsoid(f.at((23 * s, 54, 1604)), (10 * n, 16 * n, 15 * n))
        b.paint(layer(TOP, "sinus_air"))
        b.ellipsoid(f.at((8 * s, 88, 1658)), (9 * n, 4.5 * n, 10 * n))
        b.cone(f.at((7 * s, 72, 1634)), f.at((7 * s, 44, 1632)), 6 * n)
        b.paint(layer(TOP, "sinus_air"))
    b.tube(f.at([(18, 30, 1562), (0, 52, 1566), (-18, 30, 1562)]), np.array([16, 19, 16]) * n)
    b.paint(layer(DEEP, "tongue"))


def _mandible(b: Builder, f: Frame) -> None:
    n = _scale(f)[0]
    half = [(47, 2, 1616), (47, 4, 1576), (42, 20, 1556), (30, 52, 1546), (14, 72, 1542), (0, 77, 1542)]
    radii = np.array([5.5, 7, 8, 8, 8.5, 9]) * n
    for s in (1, -1):
        b.tube(f.at([(x * s, y, z) for x, y, z in half]), radii, (s, 0.2, 0), 1.25)
        b.cone(f.at((47 * s, 4, 1582)), f.at((44 * s, 30, 1604)), 7 * n, 4 * n, (1, 0, 0), 1.8)
    b.paint(*bone("mandible", 2.2))
    for x, y in ((5, 77), (14, 73), (22, 65), (28, 54), (32, 42), (35, 30)):
        for s in (1, -1):
            b.cone(f.at((x * s, y - 1, 1552)), f.at((x * s, y, 1567)), 3.6 * n, 3.8 * n)
            b.cone(f.at((x * s, y + 1, 1586)), f.at((x * s, y + 1, 1570)), 3.6 * n, 3.8 * n)
    b.paint(layer(TOP, "teeth"))
    for s in (1, -1):
        b.tube(f.at([(56 * s, 34, 1612), (56 * s, 18, 1580), (52 * s, 12, 1558)]), np.array([9, 12, 9]) * n)
        b.tube(f.at([(56 * s, 10, 1650), (60 * s, 16, 1625), (50 * s, 26, 1600)]), np.array([7, 10, 7]) * n)
        b.tube(f.at([(20 * s, 22, 1606), (38 * s, 8, 1584)]), np.array([8, 8]) * n)
        b.paint(*belly("skeletal_muscle", 1.5))


def _eye_and_cheek(b: Builder, f: Frame, side: str, s: int) -> None:
    n = _scale(f)[0]
    c = f.at((32 * s, 70, 1638))
    b.cone(c, f.at((17 * s, 34, 1638)), 19 * n, 6 * n)
    b.paint(layer(TOP, "intermuscular_fat"))
    b.cone(c, f.at((17 * s, 34, 1638)), 2.2 * n)
    b.cone(c + np.array([-11 * s, 0, 0]), f.at((14 * s, 36, 1638)), 2.5 * n)
    b.cone(c + np.array([11 * s, 0, 0]), f.at((19 * s, 36, 1638)), 2.5 * n)
    b.paint(layer(TOP, "skeletal_muscle"))
    b.ellipsoid(c + np.array([0, 3.0, 0]), (12.2 * n, 12.2 * n, 12.2 * n))
    b.paint(layer(TOP, f"eye_{side}"))
    b.ellipsoid(c + np.array([0, 11.5, 0]), (4.6 * n, 2.2 * n, 4.6 * n))
    b.paint(layer(TOP, f"eye_lens_{side}"))
    # zygoma, its arch and the orbital rim
    b.tube(f.at([(40 * s, 66, 1614), (58 * s, 44, 1616), (66 * s, 14, 1618)]), np.array([9, 6, 4]) * n)
    b.tube(f.at([(50 * s, 58, 1620), (53 * s, 64, 1642), (36 * s, 82, 1656)]), np.array([5, 4.5, 4.5]) * n)
    b.paint(*bone("skull", 1.8))
    b.ellipsoid(f.at((60 * s, 6, 1596)), (9 * n, 17 * n, 22 * n))
    b.paint(layer(DEEP, f"parotid_gland_{side}"))
    b.ellipsoid(f.at((78 * s, -14, 1628)), (7 * n, 17 * n, 30 * n), rotation(z=14 * s))
    b.paint(layer(SKIN, "skin"))
