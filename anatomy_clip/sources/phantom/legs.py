"""Thighs, knees, lower legs and feet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from anatomy_clip.sources.phantom.builder import (
    BONE,
    CANAL,
    DEEP,
    DISC,
    FASCIA,
    FAT,
    MUSCLE,
    SKIN,
    Builder,
    belly,
    bone,
    layer,
    rotation,
)
from anatomy_clip.sources.phantom.frame import Frame
from anatomy_clip.sources.phantom.shapes import F64

Place = Callable[[Sequence[Sequence[float]]], F64]

# z, x, y, half-width, front, back of the fascia, and mm of fat a mm of flank fat
_OUTLINE = (
    (62, 71, -20, 29, 30, 34, 0.15),
    (100, 71, -18, 29, 29, 34, 0.2),
    (160, 71, -20, 33, 32, 39, 0.3),
    (250, 71, -26, 42, 40, 50, 0.4),
    (330, 72, -28, 50, 45, 57, 0.4),
    (400, 72, -22, 50, 46, 54, 0.4),
    (450, 72, -14, 50, 46, 48, 0.3),
    (490, 72, -6, 50, 56, 46, 0.3),
    (530, 74, -4, 54, 56, 48, 0.5),
    (600, 77, -2, 62, 62, 58, 0.7),
    (700, 82, 0, 72, 68, 68, 0.8),
    (800, 87, 0, 80, 74, 78, 0.9),
    (870, 90, -4, 82, 76, 94, 1.0),
    (960, 94, -4, 70, 74, 92, 1.0),
)
# structure (a "*" takes the side), points (x, y, z), radii
_MUSCLES: tuple[tuple[str, tuple[tuple[float, float, float], ...], tuple[float, ...]], ...] = (
    ("quadriceps_femoris_*", ((132, 8, 845), (112, 22, 700), (94, 16, 570), (82, 26, 520)), (18, 26, 18, 8)),
    ("quadriceps_femoris_*", ((108, 24, 830), (88, 28, 690), (64, 14, 570), (60, 12, 518)), (16, 25, 23, 10)),
    ("quadriceps_femoris_*", ((104, 50, 905), (98, 56, 780), (88, 50, 650), (78, 42, 550)), (10, 18, 16, 7)),
    (
        "thigh_medial_compartment_*",
        ((26, 12, 868), (50, 0, 770), (66, -12, 650), (54, -18, 540)),
        (18, 36, 22, 7),
    ),
    ("thigh_medial_compartment_*", ((22, 0, 868), (26, -12, 740), (38, -30, 560)), (9, 10, 7)),
    (
        "thigh_posterior_compartment_*",
        ((70, -44, 845), (92, -48, 700), (98, -40, 560), (102, -32, 490)),
        (13, 23, 15, 6),
    ),
    (
        "thigh_posterior_compartment_*",
        ((62, -46, 845), (60, -52, 700), (50, -42, 560), (46, -32, 480)),
        (13, 24, 16, 6),
    ),
    (
        "sartorius_*",
        ((120, 52, 985), (92, 62, 870), (42, 42, 710), (32, -10, 545), (44, -4, 460)),
        (6, 9, 9, 8, 4),
    ),
    ("skeletal_muscle", ((50, -42, 490), (52, -62, 370), (62, -64, 270), (70, -54, 190)), (10, 24, 15, 5)),
    ("skeletal_muscle", ((94, -42, 490), (92, -60, 370), (82, -62, 280), (72, -54, 190)), (10, 21, 13, 5)),
    ("skeletal_muscle", ((80, -42, 410), (78, -48, 290), (72, -46, 160)), (15, 23, 10)),
    ("skeletal_muscle", ((88, 8, 430), (86, 10, 330), (77, 16, 180), (74, 16, 110)), (11, 15, 8, 4)),
    ("skeletal_muscle", ((106, -8, 410), (105, -12, 260), (98, -26, 120)), (9, 12, 6)),
    ("skeletal_muscle", ((80, -22, 400), (80, -26, 260), (76, -28, 110)), (11, 13, 7)),
    ("skeletal_muscle", ((92, 6, 400), (95, 0, 260), (86, 6, 120)), (6, 8, 5)),
)


def add_legs(b: Builder, f: Frame) -> None:
    """Adds both legs with a random spread and turn of the feet."""
    spread = float(f.rng.uniform(0, 60)) + 0.9 * f.fat
    for side, s in (("right", 1), ("left", -1)):
        place = leg_place(f, s, spread)
        _outline(b, f, s, spread)
        thigh, knee, leg, ankle = place([(92, 0, 700), (72, -6, 475), (78, -16, 270), (72, -8, 78)])
        names = (f"thigh_{side}", f"knee_{side}", f"leg_{side}", f"ankle_{side}")
        b.mark(**dict(zip(names, (thigh, knee, leg, ankle), strict=True)))
        for name, points, radii in _MUSCLES:
            b.tube(place(points), np.array(radii) * f.size * (0.35 + 0.65 * f.muscle))
            b.paint(*belly(name.replace("*", side), 1.6))
        _femur(b, f, side, place)
        _lower_leg(b, f, side, place)
        _knee(b, f, side, place)
        _foot(b, f, side, s, place)


def leg_place(f: Frame, s: int, spread: float) -> Place:
    """Maps standard points of the right leg to the patient's leg on side s; `spread` mm at the ankle."""

    def place(points: Sequence[Sequence[float]]) -> F64:
        p = np.array(points, dtype=np.float64)
        p[..., 0] *= s
        out = f.at(p)
        out[..., 0] += s * spread * np.clip((890 - p[..., 2]) / 890, 0, 1)
        return out

    return place


def _outline(b: Builder, f: Frame, s: int, spread: float) -> None:
    skin, fascia = [], []
    for z, x, y, a, front, back, share in _OUTLINE:
        fat, m = share * f.fat * 0.8, (0.45 + 0.55 * f.muscle if z > 100 else 1.0)
        cx = s * (x + spread * float(np.clip((890 - z) / 890, 0, 1)))
        fascia.append((z, cx, y, a * m, front * m, back * m, 0.0))
        skin.append((z, cx, y, a * m + fat + 3, front * m + fat + 3, back * m + fat + 3, 0.0))
    f.loft(b, skin, layer(SKIN, "skin"), layer(FAT, "subcutaneous_fat", "", 2.0))
    f.loft(b, fascia, layer(FASCIA, "intermuscular_fat"))
    # the muscle that fills the fascia tapers to the knee and the ankle
    for heights, shares in (
        ((530, 570, 630, 960), (0.45, 0.8, 1, 1)),
        ((125, 190, 390, 450), (0.4, 0.9, 1, 0.6)),
    ):
        rows = np.array(fascia)
        grid = np.unique(np.concatenate([heights, rows[:, 0]]))
        grid = grid[(grid >= heights[0]) & (grid <= heights[-1])]
        table = np.stack([np.interp(grid, rows[:, 0], column) for column in rows.T], axis=1)
        table[:, 3:6] *= np.interp(grid, heights, shares)[:, None]
        f.loft(b, table.tolist(), layer(MUSCLE, "skeletal_muscle", "", 3.5))


def _femur(b: Builder, f: Frame, side: str, place: Place) -> None:
    n = f.size
    shaft = place([(122, -4, 868), (114, 2, 790), (100, 8, 690), (84, 2, 580), (76, -4, 525)])
    b.tube(shaft, np.array([16, 14.5, 13.5, 15, 20]) * n)
    b.paint(layer(BONE, f"femur_{side}", "cortical_bone"), layer(BONE, f"femur_{side}", "marrow_fat", 6.0 * n))
    b.ellipsoid(place([(88, 2, 905)])[0], (24 * n, 24 * n, 24 * n))
    b.rod(place([(92, 1, 902), (122, -4, 874)]), 15 * n, 17 * n)
    b.ellipsoid(place([(132, -10, 890)])[0], (15 * n, 19 * n, 24 * n))
    b.ellipsoid(place([(106, -20, 856)])[0], (10 * n, 10 * n, 12 * n))
    b.paint(*bone(f"femur_{side}", 1.8))
    outer, inner, bridge = place([(93, -14, 487), (51, -14, 487), (72, 2, 500)])
    b.ellipsoid(outer, (16 * n, 31 * n, 22 * n)).ellipsoid(inner, (16 * n, 31 * n, 22 * n))
    b.ellipsoid(bridge, (34 * n, 22 * n, 18 * n))
    b.paint(*bone(f"femur_{side}", 1.5))
    vessels = place([(60, 44, 895), (54, 34, 780), (58, 2, 650), (72, -36, 520), (72, -36, 450), (78, -30, 260)])
    b.tube(vessels, np.array([7, 6.5, 6, 6, 5, 3]) * n)
    b.paint(layer(DEEP, "limb_vessels"))


def _knee(b: Builder, f: Frame, side: str, place: Place) -> None:
    n = f.size
    b.drum(place([(72, -10, 463), (72, -10, 478)]), 37 * n, (0, 1, 0), 1.35)
    b.paint(layer(DISC, "joint_cartilage"))
    cap = place([(74, 45, 494)])[0]
    b.ellipsoid(cap - np.array([0, 9, 0]), (19 * n, 7 * n, 18 * n))
    b.paint(layer(DISC, "joint_cartilage"))
    b.ellipsoid(cap, (22 * n, 10.5 * n, 22 * n))
    b.paint(*bone(f"patella_{side}", 1.6))
    b.tube(place([(78, 44, 550), (74, 50, 494), (71, 34, 428)]), np.array([9, 9, 8]) * n, (0, 1, 0), 2.4)
    b.rod(place([(64, -30, 466), (78, 0, 480)]), 5 * n)
    b.paint(layer(DISC, "tendons"))


def _lower_leg(b: Builder, f: Frame, side: str, place: Place) -> None:
    n = f.size
    b.tube(place([(70, 4, 445), (66, 6, 385), (67, 2, 250), (70, -6, 125)]), np.array([18, 13.5, 11.5, 12]) * n)
    b.paint(layer(BONE, f"tibia_{side}", "cortical_bone"), layer(BONE, f"tibia_{side}", "marrow_fat", 5 * n))
    b.ellipsoid(place([(72, -9, 452)])[0], (38 * n, 26 * n, 15 * n))
    b.rod(place([(72, -8, 450), (68, 2, 425)]), 24 * n, 17 * n)
    b.rod(place([(70, -7, 128), (71, -9, 92)]), 12 * n, 19 * n)
    b.rod(place([(54, -9, 96), (50, -9, 76)]), 9 * n, 8 * n)
    b.paint(*bone(f"tibia_{side}", 1.4))
    path = place([(106, -24, 448), (104, -24, 420), (101, -26, 250), (95, -18, 115), (96, -15, 74)])
    b.tube(path, np.array([11, 6.5, 6.5, 7, 9]) * n)
    b.paint(*bone(f"fibula_{side}", 2.6, "marrow_fat"))
    b.tube(place([(70, -52, 190), (70, -54, 110), (72, -58, 50)]), np.array([6, 6, 8]) * n)
    b.paint(layer(CANAL, "tendons"))


def _foot(b: Builder, f: Frame, side: str, s: int, place: Place) -> None:
    """The foot in its own frame: x to the little toe, y to the toes, z up, turned about the ankle."""
    n = f.size * float((f.z_knots[1] / 80 + 1) / 2) * f.normal(1, 0.03)
    pivot = place([(72, -8, 72)])[0]
    turn = rotation(z=-s * float(f.rng.uniform(4, 26))) @ rotation(x=-float(f.rng.uniform(0, 38)))

    def at(*points: Sequence[float] | F64) -> F64:
        p = (np.array(points, dtype=np.float64) - (72, -8, 72)) * n
        p[..., 0] *= s
        return np.asarray(pivot + p @ turn.T)

    b.mark(**{f"foot_{side}": at((74, 60, 36))[0], f"toes_{side}": at((74, 184, 14))[0]})
    up = tuple(turn @ np.array([0, 0, 1.0]))
    fat = 0.1 * f.fat
    b.tube(
        at((74, -50, 36), (73, -6, 52), (74, 40, 42), (76, 100, 26)),
        np.array([34, 37, 36, 40]) * n + fat,
        up,
        1.1,
    )
    b.tube(at((76, 80, 26), (76, 130, 20), (76, 172, 16)), np.array([42, 43, 34]) * n + fat, up, 2.4)
    b.paint(
        layer(SKIN, "skin"),
        layer(FAT, "subcutaneous_fat", "", 2.2),
        layer(FASCIA, "intermuscular_fat", "", 4 + fat),
    )
    b.tube(at((74, -20, 14), (66, 50, 20), (56, 110, 16)), np.array([9, 14, 8]) * n)
    b.tube(at((90, -20, 14), (92, 50, 14), (96, 100, 12)), np.array([7, 10, 6]) * n)
    b.paint(*belly("skeletal_muscle", 1))
    _foot_bones(b, side, n, turn, at)


def _foot_bones(b: Builder, side: str, n: float, turn: F64, at: Callable[..., F64]) -> None:
    talus, heel = at((72, -4, 64), (74, -52, 34)), at((82, 2, 40))
    b.ellipsoid(talus[0], (19 * n, 28 * n, 16 * n), turn)
    b.paint(*bone(f"tarsal_{side}", 1.2))
    b.cone(talus[1], heel[0], 20 * n, 15 * n)
    b.paint(*bone(f"tarsal_{side}", 1.2))
    blocks = (((62, 34, 54), (17, 9, 14)), ((92, 34, 36), (13, 18, 13)), ((54, 55, 48), (9, 11, 14)))
    for c, r in (*blocks, ((69, 55, 50), (8, 9, 12)), ((82, 54, 46), (8, 10, 11))):
        b.ellipsoid(at(c)[0], np.array(r) * n, turn)
        b.paint(*bone(f"tarsal_{side}", 1.2))
    for k in range(5):
        base, head = (51 + 12 * k, 72 - 5 * k, 44 - 5 * k), (44 + 15.5 * k, 128 - 6 * k, 18 - k)
        big = 1.5 if k == 0 else 1.0
        b.tube(at(base, np.add(base, head) / 2, head), np.array([6.5, 4.6, 6]) * n * big)
        b.paint(*bone(f"metatarsal_{side}", 2.0, "marrow_fat"))
        mid, tip = (42 + 16 * k, 154 - 8 * k, 15), (43 + 16 * k, 184 - 10 * k, 12)
        b.rod(at(np.add(head, (0, 9, -1)), mid), 4.6 * n * big, 3.8 * n * big)
        b.paint(*bone(f"phalanges_feet_{side}", 1.8, "marrow_fat"))
        b.rod(at(np.add(mid, (0, 7, 0)), tip), 3.8 * n * big, 3.2 * n * big)
        b.paint(*bone(f"phalanges_feet_{side}", 1.8, "marrow_fat"))
