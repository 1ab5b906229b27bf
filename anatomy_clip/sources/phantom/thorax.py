"""Chest organs: mediastinum, heart, great vessels, airways, lung vessels, oesophagus."""

from __future__ import annotations

import numpy as np

from anatomy_clip.sources.phantom.builder import (
    DOME,
    INNER,
    ORGAN,
    TOP,
    VESSEL,
    Builder,
    layer,
    rotation,
)
from anatomy_clip.sources.phantom.frame import Frame
from anatomy_clip.sources.phantom.heart import add_film_heart, add_film_mediastinum
from anatomy_clip.sources.phantom.shapes import F64
from anatomy_clip.sources.phantom.trunk import CAGE, cage_point

_MEDIASTINUM = (
    (1205, -4, 0, 34, 72, 62, 0.2),
    (1250, -6, 0, 36, 72, 62, 0.2),
    (1300, -4, 4, 26, 60, 66, 0.1),
    (1345, 0, 0, 28, 64, 66, 0.1),
    (1385, 0, -2, 34, 58, 62, 0.2),
    (1415, 0, -12, 38, 42, 46, 0.3),
    (1445, 0, -16, 36, 26, 38, 0.3),
    (1475, 0, -18, 30, 16, 30, 0.3),
)


def add_thorax(b: Builder, f: Frame) -> None:
    """Adds everything between the lungs and the vessels inside them."""
    if f.heart is None:
        f.loft(b, _MEDIASTINUM, layer(DOME, "torso_fat"))
        _heart(b, f)
    else:
        add_film_mediastinum(b, f)
        add_film_heart(b, f)
    _vessels(b, f)
    _airways(b, f)
    for s in (1, -1):
        _lung_tree(b, f, s)


def _heart(b: Builder, f: Frame) -> None:
    grow = f.size * f.normal(1.0, 0.06)
    c = f.at((-22, 22, 1297 + 0.6 * f.breath))
    turn = rotation(z=38 + f.normal(0, 6)) @ rotation(y=24 + f.normal(0, 6))

    def at(x: float, y: float, z: float) -> F64:
        return c + turn @ (np.array([x, y, z]) * grow)

    def r(x: float, y: float, z: float) -> tuple[float, float, float]:
        return (x * grow, y * grow, z * grow)

    # the heart's own frame: -x to the apex (left, front, down), +y to the front wall
    b.ellipsoid(at(0, 2, 0), r(66, 44, 46), turn)
    b.ellipsoid(at(38, -6, 6), r(34, 38, 44), turn)
    b.paint(layer(ORGAN, "heart", "fat"))
    b.ellipsoid(at(-14, -10, 0), r(46, 31, 32), turn)
    b.paint(layer(ORGAN, "heart", "heart_muscle"), layer(INNER, "heart", "blood", 10.5 * grow))
    b.ellipsoid(at(2, 20, -2), r(46, 19, 34), turn)
    b.paint(layer(ORGAN, "heart", "heart_muscle"), layer(INNER, "heart", "blood_venous", 3.5))
    b.ellipsoid(at(42, 14, 0), r(24, 23, 32), turn)
    b.paint(layer(ORGAN, "heart", "heart_muscle"), layer(INNER, "heart", "blood_venous", 2.5))
    b.ellipsoid(at(36, -26, 14), r(27, 18, 25), turn)
    b.paint(layer(ORGAN, "heart", "heart_muscle"), layer(INNER, "heart", "blood", 2.2))
    b.ellipsoid(at(12, -14, 32), r(12, 9, 9), turn)
    b.paint(layer(ORGAN, "atrial_appendage_left"))


def _vessels(b: Builder, f: Frame) -> None:
    n, wide = f.size, f.size * f.normal(1, 0.1)

    def spine(z: float) -> float:
        return f.spine(z)[1]

    arch = [(2, 12, 1308), (10, 24, 1340), (14, 26, 1372), (4, 20, 1398), (-14, -4, 1408), (-24, -34, 1396)]
    descend = [(-24.0, spine(z) + 12, z) for z in (1375.0, 1330.0, 1280.0)]
    descend += [(-14, spine(1240) + 24, 1240), (-6, spine(1190) + 27, 1190), (-6, spine(1110) + 27, 1110)]
    descend += [(-3, spine(1062) + 28, 1062)]
    radii = np.array([15, 16, 15.5, 14.5, 13.5, 12.5, 12.5, 12, 11.5, 11, 10, 9, 8]) * wide
    b.tube(f.at([*arch, *descend]), radii)
    b.paint(layer(VESSEL, "aorta"))
    edge = 28 if f.heart is None else 21
    b.tube(f.at([(28, 10, 1415), (edge, 8, 1385), (edge, 8, 1345), (26, 10, 1325)]), 9.5 * n)
    b.paint(layer(VESSEL, "superior_vena_cava"))
    cava = [(26, 8, 1290), (24, 4, 1262), (24, -4, 1220), (20, -8, 1160), (16, spine(1110) + 26, 1110)]
    b.tube(f.at([*cava, (12, spine(1055) + 24, 1055)]), 11.5 * n)
    b.paint(layer(VESSEL, "inferior_vena_cava"))
    b.tube(
        f.at([(-14, 36, 1330), (-18, 28, 1358), (-12, 10, 1370), (20, -6, 1366), (46, -14, 1360)]),
        [15, 14, 12, 11, 8],
    )
    b.tube(f.at([(-18, 28, 1358), (-32, 4, 1376), (-48, -22, 1368)]), [13, 11, 8])
    b.paint(layer(VESSEL, "pulmonary_artery"))
    for s in (1, -1):
        b.tube(
            f.at([(14 * s - 4, -14, 1330), (34 * s, -20, 1332), (52 * s, -22, 1326)]),
            np.array([8, 6.5, 5]) * n,
        )
    b.paint(layer(VESSEL, "pulmonary_vein"))
    _branches(b, f)


def _branches(b: Builder, f: Frame) -> None:
    """Vessels of the upper aperture and the neck."""
    n = f.size
    b.tube(f.at([(4, 20, 1402), (16, 4, 1432), (22, -6, 1448)]), 6.5 * n)
    b.paint(layer(VESSEL, "brachiocephalic_trunk"))
    b.tube(f.at([(-8, 8, 1405), (-18, -8, 1440), (-22, -4, 1480), (-26, 0, 1530), (-26, -4, 1590)]), 3.9 * n)
    b.paint(layer(TOP, "common_carotid_artery_left"))
    b.tube(f.at([(22, -6, 1448), (22, -4, 1480), (26, 0, 1530), (26, -4, 1590)]), 3.9 * n)
    b.paint(layer(TOP, "common_carotid_artery_right"))
    for side, s in (("right", 1), ("left", -1)):
        start = (22, -6, 1448) if s > 0 else (-18, -14, 1404)
        arm = (116 * s, -8, 1428) if f.arms != "up" else (116 * s, -4, 1446)
        b.tube(f.at([start, (34 * s, -18, 1458), (66 * s, -8, 1450), arm]), 4.6 * n)
        b.paint(layer(VESSEL, f"subclavian_artery_{side}"))
        b.tube(f.at([(28, 10, 1415), (20 * s + 4, 22, 1428), (30 * s, 10, 1446)]), 7.0 * n)
        b.tube(f.at([(30 * s, 10, 1446), (66 * s, 8, 1444), (arm[0], arm[1] + 8, arm[2] - 6)]), 6.0 * n)
        b.paint(layer(VESSEL, f"brachiocephalic_vein_{side}"))
        b.tube(f.at([(30 * s, 8, 1446), (33 * s, 4, 1490), (34 * s, -2, 1540), (32 * s, -8, 1595)]), 6.0 * n)
        b.paint(layer(TOP, f"internal_jugular_vein_{side}"))


def _airways(b: Builder, f: Frame) -> None:
    n = f.size
    tube = [(0, 0, 1512), (0, -4, 1480), (2, -14, 1440), (3, -22, 1405), (3, -26, 1383)]
    b.tube(f.at(tube), 10.0 * n)
    b.tube(f.at([(3, -26, 1383), (26, -30, 1364), (46, -32, 1346)]), np.array([8.5, 7.5, 6]) * n)
    b.tube(f.at([(3, -26, 1383), (-24, -30, 1360), (-46, -34, 1342)]), np.array([8, 7, 5.5]) * n)
    b.paint(layer(VESSEL, "trachea", "cartilage"), layer(VESSEL, "trachea", "air", 1.6))
    path = [(0.0, -14.0, 1512.0), (-4, -20, 1480), (-6, -30, 1440), (-5, -38, 1400)]
    path += [(-3, f.spine(z)[1] + 24, z) for z in (1350, 1300)] + [(-14, -16, 1258), (-30, -4, 1232)]
    b.tube(f.at(path), 7.5 * n)
    b.paint(
        layer(VESSEL, "esophagus", "bowel_wall"),
        layer(VESSEL, "esophagus", "air", 5.0 + f.rng.uniform(-1, 2)),
    )


def _lung_tree(b: Builder, f: Frame, side: int) -> None:
    """Branching vessels from the hilum to the lung's surface."""
    cage = np.array(CAGE)
    hilum = np.array([46.0 * side, -22, 1352])
    for _ in range(11):
        z = float(f.rng.uniform(1225, 1445))
        angle = float(f.rng.uniform(25, 150))
        x, y, _ = cage_point(f, z, angle, -0.12 * float(np.interp(z, cage[:, 0], cage[:, 3])) - 6)
        end = np.array([x * side, y, z])
        mid = hilum + (end - hilum) * f.rng.uniform(0.4, 0.55) + f.rng.normal(0, 7, 3)
        fork = end + f.rng.normal(0, 16, 3)
        b.tube(f.at([hilum, mid, end]), np.array([4.6, 2.6, 1.1]) * f.size)
        b.cone(f.at(mid), f.at(fork * [0.95, 1, 1]), 2.0, 0.9)
    b.paint(layer(ORGAN - 1, "pulmonary_vein"))
