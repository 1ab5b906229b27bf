"""Trunk envelope: skin, fat, the muscles of the wall and back, the chest and belly cavities."""

from __future__ import annotations

import numpy as np

from anatomy_clip.sources.phantom.builder import (
    CAVITY,
    DEEP,
    DOME,
    FASCIA,
    FAT,
    LUNG,
    MUSCLE,
    SKIN,
    Builder,
    Plane,
    layer,
)
from anatomy_clip.sources.phantom.frame import Frame
from anatomy_clip.sources.phantom.shapes import Layer

# standard rows: z, cx, cy, half-width, front, back, squareness, then mm of fat a mm of flank fat: side, front, back
_CORE = (
    (850, 0, -8, 140, 58, 88, 0.35, 0.6, 0.6, 1.2),
    (870, 0, -8, 158, 70, 102, 0.35, 0.6, 0.8, 1.4),
    (910, 0, -8, 166, 80, 110, 0.35, 0.8, 1.0, 1.5),
    (980, 0, -8, 158, 86, 106, 0.4, 1.0, 1.2, 1.3),
    (1040, 0, -6, 144, 88, 90, 0.4, 1.2, 1.3, 1.1),
    (1080, 0, -6, 136, 90, 84, 0.4, 1.3, 1.4, 0.9),
    (1150, 0, -8, 136, 95, 84, 0.4, 1.0, 1.3, 0.8),
    (1220, 0, -10, 143, 102, 90, 0.4, 0.7, 1.0, 0.7),
    (1290, 0, -14, 150, 104, 104, 0.42, 0.6, 0.8, 0.7),
    (1350, 0, -16, 152, 100, 106, 0.45, 0.6, 0.8, 0.7),
    (1400, 0, -20, 156, 86, 98, 0.45, 0.5, 0.6, 0.7),
    (1430, 0, -22, 150, 64, 86, 0.35, 0.4, 0.5, 0.7),
    (1458, 0, -24, 138, 50, 72, 0.1, 0.3, 0.4, 0.6),
    (1492, 0, -22, 82, 46, 60, 0.1, 0.4, 0.4, 0.5),
)
# on films a flat end would be an edge across the thighs
_FILM_END = (
    (826, 0, 4, 30, 26, 30, 0.1, 0.4, 0.3, 0.4),
    (850, 0, -4, 104, 44, 60, 0.2, 0.6, 0.5, 0.9),
)
CAGE = (  # inner surface of the ribs
    (1130, 0, -8, 116, 84, 62, 0.3),
    (1180, 0, -10, 126, 86, 70, 0.3),
    (1220, 0, -12, 131, 87, 78, 0.32),
    (1290, 0, -16, 132, 86, 83, 0.35),
    (1350, 0, -18, 125, 80, 84, 0.35),
    (1400, 0, -24, 107, 64, 70, 0.3),
    (1430, 0, -30, 86, 44, 52, 0.2),
    (1455, 0, -34, 62, 28, 34, 0.1),
    (1474, 0, -36, 38, 16, 20, 0.0),
)
_BELLY = (  # inside of the abdominal wall; front grows with the visceral fat
    (862, 0, -25, 22, 28, 30, 0.1),
    (880, 0, -22, 42, 48, 58, 0.2),
    (930, 0, -18, 62, 62, 72, 0.25),
    (980, 0, -12, 92, 74, 78, 0.3),
    (1040, 0, -8, 118, 80, 62, 0.35),
    (1080, 0, -8, 121, 81, 56, 0.35),
    (1150, 0, -8, 120, 82, 56, 0.35),
    (1205, 0, -10, 112, 76, 60, 0.32),
)


def belly_depth(f: Frame, z: float) -> float:
    """Extra depth of the belly's front at a standard height, mm."""
    return float(f.visceral * np.interp(z, (890, 990, 1070, 1150, 1260, 1330), (0, 0.6, 1, 0.95, 0.4, 0)))


def cage_point(f: Frame, z: float, angle: float, out: float) -> tuple[float, float, float]:
    """Standard point on the rib cage at a height and angle (degrees from the back), `out` mm outside."""
    t = np.array(CAGE)
    cy, a, front, back = (np.interp(z, t[:, 0], t[:, k]) for k in (2, 3, 4, 5))
    s, c = np.sin(np.deg2rad(angle)), -np.cos(np.deg2rad(angle))
    # the squircle is about 8 % wider than the ellipse on its diagonals
    wide = 1 + 0.08 * np.sin(np.deg2rad(2 * angle)) ** 2
    depth = front + 0.4 * belly_depth(f, z) if c > 0 else back
    return float((a * wide + out) * s), float(cy + (depth * wide + out) * c), z


def add_trunk(b: Builder, f: Frame) -> None:
    """Adds the envelope and its layers."""
    core, skin, cage, belly = [], [], [], []
    bulk = 16 * (f.muscle - 1)  # the ribs and the belly stay where they are: only the wall thins
    raised = 1.0 if f.arms == "up" else 0.0
    for z, cx, cy, a, front, back, w, side, fore, rear in _CORE if f.heart is None else (*_FILM_END, *_CORE[1:]):
        v = belly_depth(f, z)
        grow = 1 + raised * float(np.interp(z, (1400, 1430, 1458, 1490), (0, 0.06, 0.14, 0.2)))
        wall = (cx, cy, a * grow + bulk + 0.35 * v, front + 0.7 * bulk + v, back + 0.8 * bulk, w)
        core.append((z, *wall))
        skin.append((z, cx, cy, wall[2] + side * f.fat + 3, wall[3] + fore * f.fat + 3, wall[4] + rear * f.fat + 3, w))
    for z, cx, cy, a, front, back, w in CAGE:
        cage.append((z, cx, cy, a, front + 0.4 * belly_depth(f, z), back, w))
    for z, cx, cy, a, front, back, w in _BELLY:
        v = belly_depth(f, z)
        belly.append((z, cx, cy, a + 0.35 * v, front + v, back, w))
    f.loft(b, skin, layer(SKIN, "skin"), layer(FAT, "subcutaneous_fat", "", 2.2))
    fore_points = f.at([(row[1], row[2] + row[4], row[0]) for row in skin])
    b.mark(trunk_front=fore_points[np.argmax(fore_points[:, 1])])
    # below the crests the muscles are bellies of their own, in fat
    above: Plane = (0, 0, 1, -float(f.z(944)))
    groin: Plane = (0, 0, 1, -float(f.z(888)))
    fore_half: Plane = (0, 1, 0, -18)
    wall_muscle = [layer(MUSCLE, "skeletal_muscle", "", 0.5, *cut) for cut in ((above,), (groin, fore_half))]
    f.loft(b, core, layer(FASCIA, "intermuscular_fat"), *wall_muscle)
    f.loft(b, cage, *_lungs(f))
    f.loft(b, belly, layer(DOME, "torso_fat"))
    _diaphragm(b, f)
    _back(b, f)
    _chest_wall(b, f)
    if f.sex == "female":
        _breasts(b, f)


def _lungs(f: Frame) -> list[Layer]:
    """Lobes of both lungs: layers of the cage cut by the fissures."""
    top, low = f.at((0, -92, 1402)), f.at((0, 78, 1262))
    slope = float((low[2] - top[2]) / (low[1] - top[1]))
    above: Plane = (0, -slope, 1, slope * float(top[1]) - float(top[2]))
    right: Plane = (1, 0, 0, 0)
    left: Plane = (-1, 0, 0, 0)
    high: Plane = (0, 0, 1, -float(f.z(1342 + f.normal(0, 6))))
    inset = 2.5
    return [
        layer(DEEP, "skeletal_muscle", "", -11.0 * f.muscle),
        layer(CAVITY, "torso_fat", "", 0.5),
        layer(LUNG, "lung_lower_lobe_right", "", inset, right),
        layer(LUNG, "lung_lower_lobe_left", "", inset, left),
        layer(LUNG, "lung_upper_lobe_left", "", inset, left, above),
        layer(LUNG, "lung_middle_lobe_right", "", inset, right, above),
        layer(LUNG, "lung_upper_lobe_right", "", inset, right, above, high),
    ]


def dome_top(f: Frame, side: int) -> float:
    """Standard height of the diaphragm's dome (side +1 right, -1 left), mm."""
    return (1296 if side > 0 else 1284) + f.breath


def _diaphragm(b: Builder, f: Frame) -> None:
    grow = 0.35 * f.visceral
    for side, x in ((1, 60), (-1, -60)):
        height = dome_top(f, side) - 1185
        b.ellipsoid(f.at((x, -6, 1185)), np.array([74 * f.wx(1200), 88 * f.wy(1200) + grow, height * f.size]))
    b.ellipsoid(f.at((0, 4, 1185)), np.array([66 * f.wx(1200), 84 * f.wy(1200) + grow, 92 * f.size]))
    foot = float(f.z(1182))
    b.paint(layer(DOME, "diaphragm"), layer(DOME, "torso_fat", "", 3.0), clips=[(0, 0, 1, -foot)])
    if f.heart is not None:  # no slivers of lung below: a film would show them as lung
        rows = [(z, cx, cy, a + 6, front + 6 + grow, back + 6, w) for z, cx, cy, a, front, back, w in CAGE[:2]]
        f.loft(b, rows, layer(DOME, "torso_fat"))


def _back(b: Builder, f: Frame) -> None:
    """Erector spinae, trapezius, latissimus, quadratus lumborum."""
    for side, s in (("right", 1), ("left", -1)):
        z = np.array([960, 1010, 1070, 1140, 1220, 1300, 1380, 1450, 1520, 1580])
        y = np.array([f.spine(float(k))[1] for k in z]) + np.interp(
            z, (960, 1010, 1140, 1220, 1380, 1450, 1580), (-26, -42, -48, -42, -36, -34, -34)
        )
        x = np.interp(z, (960, 1100, 1220, 1400, 1580), (22, 34, 32, 27, 20)) * s
        r = np.interp(z, (960, 1010, 1100, 1200, 1300, 1400, 1580), (16, 24, 30, 26, 22, 20, 17)) * f.size * f.muscle
        b.tube(f.at(np.stack([x, y, z], 1)), r, thin=(0, 1, 0), flat=1.25)
        b.paint(layer(MUSCLE, "intermuscular_fat", "", -2.0), layer(DEEP, f"autochthon_{side}"))
        b.cone(f.at((58 * s, -44, 1060)), f.at((50 * s, -40, 1170)), 20 * f.size, 13 * f.size, (0, 1, 0), 1.5)
        b.paint(layer(DOME, "skeletal_muscle"))


def _chest_wall(b: Builder, f: Frame) -> None:
    """Fat planes that part the shoulder girdle from the ribs: pectorals, axilla, under the scapula."""
    m = f.size
    for s in (1, -1):
        b.ellipsoid(f.at((128 * s, -2, 1394)), (26 * m, 42 * m, 46 * m))
        b.cone(f.at((128 * s, 0, 1370)), f.at((136 * s, -8, 1300)), 13 * m, 4 * m)
        b.paint(layer(MUSCLE, "intermuscular_fat"))
        b.tube(f.at([(118 * s, 36, 1400), (84 * s, 66, 1385), (40 * s, 80, 1360)]), [7, 4, 3], (0, 1, 0), 2.0)
        b.paint(layer(DEEP, "intermuscular_fat"))
        b.tube(f.at([(128 * s, -34, 1400), (140 * s, -40, 1330), (138 * s, -30, 1270)]), [6, 5, 3])
        b.paint(layer(DEEP, "intermuscular_fat"))


def _breasts(b: Builder, f: Frame) -> None:
    big = f.normal(1, 0.15) * (0.75 + 0.012 * f.fat)
    for side, s in (("right", 1), ("left", -1)):
        # supine: flat and to the side
        c = f.at((88 * s, 66 + 0.25 * f.fat, 1308))
        b.ellipsoid(c, (60 * big, 36 * big, 54 * big))
        b.paint(layer(SKIN, "skin"), layer(FAT, "subcutaneous_fat", "", 2.2))
        b.ellipsoid(c + np.array([0, 6.0, 0]), (36 * big, 17 * big, 34 * big))
        b.paint(layer(FASCIA - 1, f"breast_{side}"))
