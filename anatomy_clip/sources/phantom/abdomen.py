"""Organs of the upper belly and the retroperitoneum."""

from __future__ import annotations

import numpy as np

from anatomy_clip.sources.phantom.builder import DOME, INNER, ORGAN, VESSEL, Builder, Plane, layer, rotation
from anatomy_clip.sources.phantom.frame import Frame
from anatomy_clip.sources.phantom.shapes import F64
from anatomy_clip.sources.phantom.trunk import belly_depth, dome_top


def gas_above(point: F64) -> Plane:
    """The half-space in front of a point: where gas rises in a patient lying on the back."""
    return (0.0, 1.0, 0.0, -float(point[1]))


def add_abdomen(b: Builder, f: Frame) -> None:
    """Adds liver, gallbladder, spleen, stomach, pancreas, duodenum, kidneys, adrenals, vessels."""
    _liver(b, f)
    _kidneys(b, f)
    _spleen(b, f)
    _stomach(b, f)
    _glands(b, f)


def _liver(b: Builder, f: Frame) -> None:
    top, grow = dome_top(f, 1), f.normal(1, 0.06)
    push = 0.35 * belly_depth(f, 1220)
    z = top - 4 - 106 * grow
    wx, wy = f.wx(1200), f.wy(1200)
    b.ellipsoid(f.at((60, -4, z)), np.array([70 * wx, 82 * wy + push, 106 * grow * f.size]))
    reach = f.normal(1, 0.15)
    lobe = f.at((-14, 30, top - 68)) + np.array([0, push, 0])
    b.ellipsoid(lobe, np.array([78 * wx * reach, 44 * wy, 46 * f.size]), rotation(y=-14))
    low, high = f.at((120, 0, 1118 + f.normal(0, 12) + 0.5 * f.breath)), f.at((-60, 0, 1228 + f.breath))
    slope = float((high[2] - low[2]) / (high[0] - low[0]))
    # visceral face: rises to the left and to the back
    face: Plane = (-slope, 0.28, 1.0, slope * float(low[0]) - float(low[2]) + 4)
    b.paint(layer(ORGAN, "liver"), clips=[face])
    root = np.array([22.0, 10, 1190])
    for end in (
        (70, -20, 1225),
        (60, 30, 1220),
        (95, 10, 1190),
        (-20, 35, 1235),
        (30, 0, 1250),
        (80, -10, 1255),
    ):
        goal = np.array(end, dtype=float) + f.rng.normal(0, 8, 3)
        mid = (root + goal) / 2 + f.rng.normal(0, 6, 3)
        b.tube(f.at([root, mid, goal]), np.array([5.5, 3.8, 1.5]) * f.size)
    b.paint(layer(INNER, "liver", "blood_venous"))
    c = f.at((50, 48, 1152)) + f.jitter(8) + np.array([0, 0.5 * push, 0])
    b.ellipsoid(c, f.radii(13, 15, 30 * f.normal(1, 0.2)), rotation(x=28, y=15))
    b.paint(layer(INNER, "gallbladder"))


def _spleen(b: Builder, f: Frame) -> None:
    grow = f.normal(1, 0.12)
    c = f.at((-94, -34, 1230 + 0.7 * f.breath)) + f.jitter(4)
    turn = rotation(z=-38) @ rotation(x=-18)
    b.ellipsoid(c, f.radii(19 * grow, 40 * grow, 50 * grow), turn)
    b.ellipsoid(c + np.array([16, -20, 4]), f.radii(18 * grow, 25 * grow, 40 * grow), rotation(z=-60))
    b.paint(layer(ORGAN, "spleen"))


def _stomach(b: Builder, f: Frame) -> None:
    full = f.normal(1, 0.18)
    shift = 0.4 * belly_depth(f, 1180)
    path = [(-62, -12, 1244), (-74, 8, 1218), (-66, 38, 1180), (-34, 54, 1148), (4, 52, 1142), (28, 36, 1154)]
    points = f.at(path) + np.array([0, shift, 0]) + f.rng.normal(0, 4, (6, 3))
    points[:2, 2] += 0.8 * f.breath
    radii = np.array([34, 36, 30, 24, 18, 11]) * full * f.size
    b.tube(points, radii, (0, 1, 0), 1.12)
    b.mark(stomach_fundus=points[0])
    level = points[1] + np.array([0, radii[1] * f.rng.uniform(-0.3, 0.9), 0])
    b.paint(
        layer(ORGAN, "stomach", "stomach_wall"),
        layer(INNER, "stomach", "stomach_content", 4.0),
        layer(INNER, "stomach", "bowel_gas", 4.5, gas_above(level)),
    )


def _kidneys(b: Builder, f: Frame) -> None:
    for side, s, z in (("right", 1, 1156), ("left", -1, 1172)):
        grow = f.normal(1.06, 0.07)
        c = f.at((60 * s, -40, z + 0.6 * f.breath)) + f.jitter(5)
        turn = rotation(z=-32 * s) @ rotation(y=-14 * s, x=8)
        coat = 4 + 0.25 * max(f.visceral, 0)
        b.ellipsoid(c, (31 * f.size + coat, 28 * f.size + coat, 60 * f.size + coat), turn)
        b.paint(layer(ORGAN, "torso_fat"), clips=[(0, 0, 1, -float(c[2]) + 46), (0, 0, -1, float(c[2]) + 42)])
        b.ellipsoid(c, f.radii(30 * grow, 25 * grow, 56 * grow), turn)
        b.paint(
            layer(INNER, f"kidney_{side}", "kidney_cortex"),
            layer(INNER, f"kidney_{side}", "kidney_medulla", 7.5),
        )
        inward = turn @ np.array([-18.0 * s * grow, 3, 0])
        b.ellipsoid(c + inward * f.size, f.radii(17, 10, 24), turn)
        b.paint(layer(VESSEL, "torso_fat"))
        b.ellipsoid(c + inward * f.size, f.radii(9, 4.5, 11), turn)
        b.paint(layer(VESSEL, f"kidney_{side}", "urine"))
        b.tube([c + inward * 1.4, f.at((12 * s, -6, z - 2))], [5.0, 5.5])
        b.paint(layer(VESSEL, "inferior_vena_cava"))
        b.tube(f.at([(34 * s, -38, z + 62), (42 * s, -46, z + 50)]), 3.2, (1, 0, 0), 1.2)
        b.tube(f.at([(34 * s, -38, z + 62), (30 * s, -46, z + 44)]), 3.0)
        b.paint(layer(INNER, f"adrenal_gland_{side}"))


def _glands(b: Builder, f: Frame) -> None:
    shift = np.array([0, 0.2 * belly_depth(f, 1150), 0])
    head = [(26, 22, 1132), (24, 24, 1150), (6, 30, 1158), (-20, 26, 1164), (-52, 4, 1174), (-78, -14, 1186)]
    b.tube(f.at(head) + shift + f.rng.normal(0, 2.5, (6, 3)), np.array([13, 15, 10, 10, 10, 8]) * f.size)
    b.paint(layer(ORGAN, "pancreas"))
    loop = [(30, 34, 1152), (44, 26, 1146), (46, 14, 1116), (32, 8, 1098), (0, 12, 1096), (-26, 18, 1112)]
    b.tube(f.at(loop) + shift + f.rng.normal(0, 3, (6, 3)), 12.5 * f.size)
    b.paint(layer(ORGAN, "duodenum", "bowel_wall"), layer(INNER, "duodenum", "bowel_content", 3.0))
    b.tube(
        f.at([(24, 6, 1190), (12, 20, 1166), (-24, 16, 1168), (-76, -22, 1192)]) + shift,
        np.array([6.5, 7, 5, 4]) * f.size,
    )
    b.tube(f.at([(12, 20, 1166), (8, 26, 1130), (4, 30, 1090)]) + shift, np.array([6.5, 6, 4]) * f.size)
    b.paint(layer(VESSEL, "portal_vein_and_splenic_vein"))
    for start, end in (((-4, 22, 1180), (-4, 36, 1176)), ((-4, 24, 1162), (-2, 34, 1090))):
        b.cone(f.at(start), f.at(end), 4.5 * f.size, 3.0)
    b.paint(layer(VESSEL, "aorta"))
    crus = [(6, 14, 1230), (14, -6, 1190), (16, -14, 1130)]
    for s in (1, -1):
        b.tube(f.at([(x * s, y, z) for x, y, z in crus]), 5.0 * f.size)
    b.paint(layer(DOME, "diaphragm"))
