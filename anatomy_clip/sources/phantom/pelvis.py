"""Pelvic bones, sacrum, hip muscles and pelvic organs."""

from __future__ import annotations

import numpy as np

from anatomy_clip.sources.phantom.builder import (
    BONE,
    DOME,
    FAT,
    INNER,
    ORGAN,
    SKIN,
    VESSEL,
    Builder,
    Plane,
    belly,
    bone,
    layer,
    rotation,
)
from anatomy_clip.sources.phantom.frame import Frame
from anatomy_clip.sources.phantom.shapes import F64


def add_pelvis(b: Builder, f: Frame) -> None:
    """Adds bones, muscles and organs between the iliac crests and the thighs."""
    for side, s in (("right", 1), ("left", -1)):
        _hip_bone(b, f, side, s)
        _muscles(b, f, side, s)
        _iliac_vessels(b, f, side, s)
    _sacrum(b, f)
    _organs(b, f)


def _hip_bone(b: Builder, f: Frame, side: str, s: int) -> None:
    n = f.size
    # the wing: two thin discs, from the sacrum outwards and then forwards, leaning out at the top
    for x, y, z, a, c, reach, rise, thick in (
        (72, -46, 990, 0.72, 0.70, 47, 54, 8.0),
        (107, 10, 998, 0.42, 0.91, 56, 58, 6.5),
    ):
        along = np.array([a * s, c, 0.0])
        along /= np.linalg.norm(along)
        up = np.array([0.34 * s, -0.16, 0.93])
        up -= along * (up @ along)
        up /= np.linalg.norm(up)
        turn: F64 = np.stack([along, up, np.cross(along, up)], axis=1)
        b.ellipsoid(f.at((x * s, y, z)), (reach * n, rise * n, thick * n), turn)

    def p(x: float, y: float, z: float) -> F64:
        return f.at((x * s, y, z))

    b.tube([p(46, -80, 1000), p(56, -58, 985), p(72, -30, 955), p(84, -4, 934)], np.array([11, 13, 14, 19]) * n)
    b.tube([p(84, -4, 934), p(104, 30, 968), p(120, 50, 1000)], np.array([17, 11, 8]) * n)
    b.paint(*bone(f"hip_{side}", 1.8))
    cup: Plane = _half_space(p(88, 2, 905), np.array([-0.72 * s, -0.2, 0.62]), -7 * n)
    b.ellipsoid(p(87, 1, 906), (34 * n, 33 * n, 34 * n))
    b.paint(*bone(f"hip_{side}", 2.0), clips=[cup])
    b.tube([p(66, 22, 918), p(36, 44, 908), p(8, 50, 903)], np.array([13, 9, 10]) * n)
    b.cone(p(9, 49, 904), p(10, 42, 878), 9.5 * n)
    b.tube([p(78, -26, 912), p(70, -40, 872), p(60, -38, 850)], np.array([18, 16, 15]) * n)
    b.tube([p(58, -30, 848), p(34, 8, 856), p(12, 40, 876)], np.array([10, 7, 8]) * n)
    b.paint(*bone(f"hip_{side}", 2.0))
    b.ellipsoid(p(88, 2, 905), (27 * n, 27 * n, 27 * n))
    b.paint(layer(BONE, "joint_cartilage"))


def _half_space(point: F64, normal: F64, offset: float) -> Plane:
    a, b, c = normal / np.linalg.norm(normal)
    return float(a), float(b), float(c), -float(np.dot([a, b, c], point)) - offset


def _sacrum(b: Builder, f: Frame) -> None:
    n = f.size
    path = [(0, -54, 998), (0, -74, 972), (0, -93, 940), (0, -99, 912)]
    b.tube(f.at(path), np.array([44, 40, 30, 16]) * n, (0, 0.8, -0.5), 2.5)
    b.tube(f.at([(0, -99, 912), (0, -92, 890), (0, -80, 876)]), np.array([11, 8, 5]) * n, (0, 1, 0), 1.6)
    for z, y in ((995, -92), (970, -106), (945, -114)):
        b.cone(f.at((0, y + 12, z)), f.at((0, y, z - 4)), 8 * n, 5 * n, (1, 0, 0), 1.6)
    b.paint(*bone("sacrum", 1.6))
    b.cylinder(f.at((0, -46, 1010)), f.at((0, -56, 986)), 27 * n, (0, 1, 0.4), 1.6)
    b.paint(layer(BONE, "sacrum", "cortical_bone"), layer(BONE, "vertebrae_S1", "", 1.4))
    b.cylinder(f.at((-3.5, 46, 893)), f.at((3.5, 46, 893)), 16 * n)
    b.paint(layer(BONE, "joint_cartilage"))


def _muscles(b: Builder, f: Frame, side: str, s: int) -> None:
    m = f.size * (0.4 + 0.6 * f.muscle)

    def p(x: float, y: float, z: float) -> F64:
        return f.at((x * s, y, z))

    b.ellipsoid(p(86, -86, 912), (66 * m, 27 * m, 78 * m), rotation(z=34 * s) @ rotation(x=-8, y=-16 * s))
    b.tube(
        [p(30, -102, 960), p(78, -96, 930), p(118, -64, 872)],
        np.array([14, 25, 18]) * m,
        (-0.5 * s, 1, 0),
        1.2,
    )
    b.paint(*belly(f"gluteus_maximus_{side}", 3))
    b.ellipsoid(p(122, -4, 984), (20 * m, 56 * m, 64 * m), rotation(z=-30 * s, y=12 * s))
    b.cone(p(126, -10, 960), p(134, -8, 912), 20 * m, 10 * m, (1, 0, 0), 1.3)
    b.paint(*belly(f"gluteus_medius_{side}", 2.5))
    b.ellipsoid(p(108, 4, 962), (12 * m, 40 * m, 42 * m), rotation(z=-30 * s, y=12 * s))
    b.paint(*belly(f"gluteus_minimus_{side}", 1.5))
    b.tube([p(124, 50, 985), p(134, 42, 930), p(138, 26, 850)], np.array([9, 13, 8]) * m)
    b.paint(*belly("skeletal_muscle"))
    b.tube(
        [p(26, -26, 1180), p(36, -26, 1110), p(47, -20, 1050), p(58, 2, 985), p(72, 26, 930), p(90, 6, 866)],
        np.array([7, 18, 24, 24, 19, 10]) * m,
    )
    b.paint(layer(DOME, f"iliopsoas_{side}"))
    b.ellipsoid(p(84, 6, 1002), (11 * m, 48 * m, 44 * m), rotation(z=-34 * s, y=18 * s))
    b.paint(layer(DOME, f"iliopsoas_{side}"))
    b.ellipsoid(p(57, -8, 895), (10 * m, 34 * m, 34 * m), rotation(z=-18 * s))
    b.tube([p(28, -84, 950), p(62, -64, 934), p(118, -18, 918)], np.array([9, 12, 5]) * m)
    b.tube([p(20, -90, 905), p(40, -50, 890), p(50, -10, 880)], np.array([4, 5, 4]) * m)
    b.paint(layer(ORGAN, "skeletal_muscle"))


def _iliac_vessels(b: Builder, f: Frame, side: str, s: int) -> None:
    n = f.size
    path = [(-3, 10, 1062), (28 * s, 6, 1010), (46 * s, 12, 970), (60 * s, 36, 925), (64 * s, 48, 895)]
    b.tube(f.at(path), np.array([6.5, 5.5, 5, 4.5, 4.5]) * n)
    b.paint(layer(VESSEL, f"iliac_artery_{side}"))
    path = [(12, 4, 1055), (24 * s, -6, 1010), (40 * s, 0, 970), (52 * s, 30, 925), (54 * s, 44, 895)]
    b.tube(f.at(path), np.array([8, 7, 6.5, 6, 6]) * n)
    b.paint(layer(INNER, f"iliac_vena_{side}"))
    b.tube(f.at([(30 * s, -8, 1000), (44 * s, -36, 960), (40 * s, -52, 925)]), np.array([4.5, 4, 3]) * n)
    b.paint(layer(INNER, f"iliac_vena_{side}"))


def _organs(b: Builder, f: Frame) -> None:
    n, full = f.size, float(f.rng.uniform(0.55, 1.2))
    c = f.at((0, 20, 908 + 16 * full)) + f.jitter(3)
    b.ellipsoid(c, (44 * full * n, 32 * (0.5 + 0.5 * full) * n, 30 * full * n), rotation(x=12))
    b.paint(layer(INNER, "urinary_bladder", "bowel_wall"), layer(INNER, "urinary_bladder", "urine", 3.2))
    if f.sex == "male":
        grow = f.normal(1.05, 0.15)
        b.ellipsoid(f.at((0, 12, 880)), f.radii(24 * grow, 17 * grow, 19 * grow))
        b.paint(layer(INNER, "prostate"))
        b.cone(f.at((-24, -8, 905)), f.at((24, -8, 905)), 7 * n)
        b.paint(layer(ORGAN, "prostate"))
        b.tube(f.at([(0, 52, 872), (0, 84, 868), (0, 104, 835), (0, 108, 800)]), np.array([9, 14, 15, 13]) * n)
        b.ellipsoid(f.at((18, 70, 812)), f.radii(24, 24, 32)).ellipsoid(f.at((-18, 70, 812)), f.radii(24, 24, 32))
        b.paint(layer(SKIN, "skin"), layer(FAT, "genitals", "", 3))
    else:
        turn = rotation(x=-35 + f.normal(0, 15), z=f.normal(0, 12))
        b.ellipsoid(f.at((0, -8, 938)) + f.jitter(5), f.radii(26, 20, 36), turn)
        b.tube(f.at([(0, -16, 915), (0, -14, 880), (0, -4, 856)]), np.array([14, 11, 9]) * n, (0, 1, 0), 1.5)
        b.paint(layer(INNER, "uterus"))
        for s in (1, -1):
            b.ellipsoid(f.at((42 * s, -12, 950)) + f.jitter(6), f.radii(11, 15, 17))
        b.paint(layer(INNER, "uterus"))
