"""Shoulder girdle, arms and hands, posed up beside the head, down, or across the belly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anatomy_clip.sources.phantom.builder import (
    DEEP,
    FASCIA,
    FAT,
    MUSCLE,
    SKIN,
    Builder,
    belly,
    bone,
    layer,
)
from anatomy_clip.sources.phantom.frame import Frame
from anatomy_clip.sources.phantom.shapes import F64
from anatomy_clip.sources.phantom.trunk import belly_depth


@dataclass(frozen=True)
class Pose:
    """Joints of one arm in patient mm, and the direction of the palm side of each segment."""

    shoulder: F64
    elbow: F64
    wrist: F64
    tip: F64
    palm: F64


def arm_pose(f: Frame, s: int) -> Pose:
    """Draws the pose of the arm on side s (+1 right) for the patient's arm position."""
    draw = f.rng.normal(0, 1, 8)
    flank = 138 * float(f.wx(1110)) + 1.2 * f.fat + 0.4 * max(f.visceral, 0)
    hip = 166 * float(f.wx(905)) + 0.9 * f.fat
    if f.arms in ("up", "bent"):
        if f.heart is not None:
            return _raised(f, s, draw)
        shoulder = f.at((158 * s, -14, 1434))
        elbow = shoulder + np.array([(42 + 18 * draw[0]) * s, 12 + 18 * draw[1], 250]) * f.size
        inward = 95 + 30 * draw[2]
        wrist = elbow + np.array([-inward * s, 8 + 12 * draw[3], 205 - 0.5 * abs(inward - 95)]) * f.size
        tip = wrist + np.array([-(70 + 20 * draw[4]) * s, 6, 140]) * f.size
        return Pose(shoulder, elbow, wrist, tip, np.array([-0.3 * s, 1, 0]))
    if f.arms == "forward":
        shoulder = f.at((176 * s, 0, 1406))
        elbow = np.array([(float(abs(shoulder[0])) + 95 + 12 * draw[0]) * s, 40 + 10 * draw[1], float(f.z(1160))])
        wrist = np.array([(hip + 30 + 6 * abs(draw[2])) * s, 20 + 10 * draw[3], float(f.z(1010))])
        tip = wrist + np.array([-20 * s, 90, -150]) * f.size
        return Pose(shoulder, elbow, wrist, tip, np.array([-0.9 * s, -0.3, 0]))
    shoulder = f.at((168 * s, -18, 1412))
    x = max(flank + 46 * f.size, abs(float(shoulder[0])) + 18) + abs(8 * draw[0])
    elbow = np.array([x * s, float(shoulder[1]) - 18 + 8 * draw[1], float(f.z(1112))])
    if f.arms == "down":
        out = max(hip + 42 * f.size, x + 8) + abs(6 * draw[2])
        wrist = np.array([out * s, 18 + 12 * draw[3], float(f.z(870))])
        tip = wrist + np.array([4 * draw[4] * s, 10, -185 * f.size])
        return Pose(shoulder, elbow, wrist, tip, np.array([-0.75 * s, 0.6, 0]))
    front = 95 * float(f.wy(1130)) + 11 * (f.muscle - 1) + belly_depth(f, 1130) + 1.3 * f.fat + 2
    rise = 40 * draw[5] + (30 if s > 0 else -35)
    wrist = np.array([(86 + 14 * draw[6]) * s, front + 4, float(f.z(1120)) + rise])
    tip = wrist + np.array([-150 * s, 6, 12 * draw[7]]) * f.size
    return Pose(shoulder, elbow, wrist, tip, np.array([0, -1, 0.2]))


def _raised(f: Frame, s: int, draw: F64) -> Pose:
    """The pose "up" or "bent" for films: arms apart, so that neither the head nor the other hand is beside one."""
    n, shoulder = f.size, f.at((148 * s, -8, 1456))
    elbow = shoulder + np.array([(85 + 12 * draw[0]) * s, 12 + 12 * draw[1], 238]) * n
    if f.arms == "bent":
        wrist = elbow + np.array([(-10 + 8 * draw[2]) * s, 240, 12 * draw[3]]) * n
        return Pose(shoulder, elbow, wrist, wrist + np.array([0, 185, 8 * draw[4]]) * n, np.array([-s, 0.0, 0.0]))
    wrist = elbow + np.array([(25 + 10 * draw[2]) * s, 8 + 12 * draw[3], 240]) * n
    tip = wrist + np.array([(6 + 8 * draw[4]) * s, 6, 185]) * n
    return Pose(shoulder, elbow, wrist, tip, np.array([0.1 * s, 1, 0]))


class _Segment:
    """Points along a bone: t along it, v mm to the palm side, w mm to the thumb side."""

    def __init__(self, start: F64, end: F64, palm: F64, s: int, size: float) -> None:
        axis = (end - start) / np.linalg.norm(end - start)
        v = palm - axis * float(palm @ axis)
        self.v = v / np.linalg.norm(v)
        self.w = np.cross(self.v, axis) * -s
        self.start, self.end, self.size = start, end, size

    def __call__(self, *points: Sequence[float]) -> F64:
        """Patient points (N, 3) of rows (t, v, w)."""
        p = np.array(points, dtype=np.float64)
        along = self.start + p[:, :1] * (self.end - self.start)
        return np.asarray(along + self.size * (p[:, 1:2] * self.v + p[:, 2:3] * self.w))


def add_arms(b: Builder, f: Frame) -> None:
    """Adds both shoulders and arms."""
    for side, s in (("right", 1), ("left", -1)):
        pose = arm_pose(f, s)
        palm = (pose.wrist + pose.tip) / 2
        joints = {"shoulder": pose.shoulder, "elbow": pose.elbow, "wrist": pose.wrist, "hand": palm}
        joints |= {"hand_tip": pose.tip, "upper_arm": (pose.shoulder + pose.elbow) / 2}
        joints |= {"forearm": (pose.elbow + pose.wrist) / 2}
        b.mark(**{f"{name}_{side}": point for name, point in joints.items()})
        _girdle(b, f, side, s, pose)
        front = np.array([0.1 * s, 1.0, 0.05])
        upper = _Segment(pose.shoulder, pose.elbow, front, s, f.size)
        fore = _Segment(pose.elbow, pose.wrist, pose.palm, s, f.size)
        hand = _Segment(pose.wrist, pose.tip, pose.palm, s, f.size)
        _envelope(b, f, pose, hand)
        _upper_arm(b, f, side, upper)
        _forearm(b, f, side, fore, upper)
        _hand(b, f, side, hand)


def _envelope(b: Builder, f: Frame, pose: Pose, hand: _Segment) -> None:
    m, n, fat = f.size * (0.5 + 0.5 * f.muscle), f.size, 0.42 * f.fat + 2
    along = [pose.shoulder + t * (pose.elbow - pose.shoulder) for t in (0.0, 0.35, 0.7, 1.0)]
    lower = [pose.elbow + t * (pose.wrist - pose.elbow) for t in (0.25, 0.6, 1.0)]
    core = np.array([47, 47, 42, 39, 42, 35, 26]) * m
    b.tube([*along, *lower], core + fat * np.array([1, 1.1, 1, 0.6, 0.7, 0.5, 0.3]))
    inward = pose.shoulder * [0.76, 1, 1] + [0, 0, -8]
    b.cone(inward, pose.shoulder, 48 * m + 0.6 * fat, 47 * m + fat)
    b.cone(pose.shoulder * [0.7, 1, 1] + [0, -22, -90], inward, 22 * m + 0.6 * fat, 42 * m + 0.6 * fat)
    layers = layer(SKIN, "skin"), layer(FAT, "subcutaneous_fat", "", 2.0)
    b.paint(*layers)
    b.tube([*along, *lower], core)
    b.cone(inward, pose.shoulder, 46 * m, 46 * m)
    b.paint(layer(FASCIA, "intermuscular_fat"))
    b.tube(along, core[:4] * [0.9, 0.92, 0.9, 0.8])
    b.paint(layer(MUSCLE, "skeletal_muscle"))
    b.tube(lower, core[4:] * [0.88, 0.88, 0.5])
    b.paint(layer(MUSCLE, "skeletal_muscle"))
    normal = tuple(hand.v)
    b.tube(hand((0, 0, 0), (0.2, 0, 2), (0.46, 0, 0)), np.array([29, 38, 44]) * n + 0.1 * f.fat, normal, 2.3)
    for k in range(4):
        w = 27 - 18 * k
        b.rod(hand((0.46, 0, w), (0.99 - 0.05 * abs(k - 1.3), 0, w * 1.1)), 9.5 * n, 8 * n)
    b.tube(hand((0.12, 4, 18), (0.34, 8, 46), (0.56, 10, 58)), np.array([15, 12, 9]) * n)
    b.paint(*layers, layer(FASCIA, "intermuscular_fat", "", 3.5))


def _girdle(b: Builder, f: Frame, side: str, s: int, pose: Pose) -> None:
    n, up, rolled = f.size, float(f.arms in ("up", "bent")), 1.0 if f.arms == "forward" else 0.0

    def p(x: float, y: float, z: float) -> F64:
        return f.at((x * s, y, z))

    shoulder = pose.shoulder
    cup = shoulder + np.array([-22.0 * s, -5, -3]) * n
    corner, angle, inner = (
        p(84 + 6 * up + 26 * rolled, -84 + 18 * rolled, 1432),
        p(102 + 18 * up + 36 * rolled, -90 + 16 * up + 24 * rolled, 1300),
        p(78 + 10 * up + 34 * rolled, -98 + 24 * rolled, 1400),
    )
    middle = (cup + angle + inner + corner) / 4
    long = corner * 0.4 + inner * 0.6 - angle
    long /= np.linalg.norm(long)
    across = cup - inner
    across -= long * float(across @ long)
    across /= np.linalg.norm(across)
    turn: F64 = np.stack([across, long, np.cross(across, long)], axis=1)
    b.ellipsoid(middle - across * 4, (40 * n, 70 * n, 4.2 * n), turn)
    b.cone(angle, cup, 5 * n, 8 * n)
    b.cone((inner + corner) / 2, (inner + cup) / 2 + [0, -12, 12], 5 * n, 6 * n)
    roof = shoulder + np.array([2.0 * s, -20 + 12 * up, 27]) * n
    b.cone((inner + cup) / 2 + [0, -12, 12], roof, 6 * n, 9 * n, (0, 0, 1), 1.4)
    b.cone(cup + np.array([-10 * s, -6, 0]) * n, cup, 8 * n, 15 * n, (1, 0, 0), 1.2)
    b.cone(cup + np.array([-8 * s, 0, 14]) * n, cup + np.array([4 * s, 26, 16]) * n, 7 * n, 6 * n)
    b.paint(*bone(f"scapula_{side}", 1.5))
    path = [
        p(18, 27, 1428),
        p(52, 34, 1438 + 8 * up),
        p(100, 6, 1450 + 12 * up),
        roof + np.array([-10 * s, 14, 0]),
    ]
    b.tube(path, np.array([10, 6.5, 6, 7]) * n)
    b.paint(*bone(f"clavicula_{side}", 1.8))
    _cuff(b, f, s, shoulder)


def _cuff(b: Builder, f: Frame, s: int, shoulder: F64) -> None:
    """Muscles from the scapula and the chest to the head of the humerus."""

    def p(x: float, y: float, z: float) -> F64:
        return f.at((x * s, y, z))

    for path, radii in (
        ([p(84, -86, 1442), np.add(shoulder, (-20 * s, -4, 24))], (13, 8)),
        ([p(94, -96, 1388), p(110, -84, 1352), np.add(shoulder, (8 * s, -22, 4))], (13, 15, 9)),
        ([p(96, -80, 1390), p(118, -72, 1340), np.add(shoulder, (-4 * s, 22, -4))], (12, 15, 8)),
        ([p(114, -62, 1304), p(122, -50, 1330), np.add(shoulder, (6 * s, -8, -40))], (12, 15, 9)),
        ([p(60, 74, 1392), p(112, 56, 1398), np.add(shoulder, (12 * s, 20, -30))], (9, 16, 8)),
    ):
        b.tube(path, np.array(radii) * f.size * (0.4 + 0.6 * f.muscle))
        b.paint(*belly("skeletal_muscle", 2.0))


def _upper_arm(b: Builder, f: Frame, side: str, at: _Segment) -> None:
    n, m = f.size, f.size * (0.5 + 0.5 * f.muscle)
    for points, radii in (
        (((-0.1, 18, -8), (0.12, 24, 14), (0.42, 2, 20)), (10, 17, 6)),
        (((-0.12, -4, 18), (0.12, 2, 30), (0.42, 0, 20)), (10, 15, 6)),
        (((-0.1, -20, -4), (0.12, -22, 16), (0.42, -4, 20)), (10, 17, 6)),
        (((0.2, 16, 0), (0.6, 25, -2), (0.95, 22, 0)), (8, 17, 7)),
        (((0.45, 10, 4), (0.75, 14, 2), (1.02, 16, 0)), (10, 16, 8)),
        (((0.1, -14, -12), (0.5, -22, -8), (0.92, -18, 0)), (9, 19, 8)),
        (((0.25, -14, 6), (0.6, -18, 10), (0.9, -16, 4)), (8, 15, 7)),
    ):
        b.tube(at(*points), np.array(radii) * m)
        b.paint(*belly("skeletal_muscle", 1.5))
    b.tube(at((0.1, 2, -14), (0.6, 4, -16), (1, 16, -6)), 4 * n)
    b.paint(layer(DEEP, "limb_vessels"))
    b.tube(at((0.1, 0, 0), (0.3, 0, 1), (0.7, 0, 0), (0.9, 2, 0)), np.array([15, 11.5, 11, 12]) * n)
    b.paint(*bone(f"humerus_{side}", 4.2 * n, "marrow_fat"))
    b.ellipsoid(at((0, 0, -2))[0], (24 * n, 23 * n, 24 * n))
    b.ellipsoid(at((0.02, 8, 14))[0], (12 * n, 12 * n, 16 * n))
    b.rod(at((0.8, 1, 0), (0.95, 3, -18)), 9 * n, 8 * n)
    b.rod(at((0.8, 1, 0), (0.95, 3, 16)), 9 * n, 8 * n)
    b.ellipsoid(at((0.9, 2, 0))[0], (11 * n, 9 * n, 17 * n))
    b.rod(at((0.96, 3, -22), (0.96, 3, 20)), 11 * n, 10 * n)
    b.paint(*bone(f"humerus_{side}", 1.6))


def _forearm(b: Builder, f: Frame, side: str, at: _Segment, upper: _Segment) -> None:
    n, m = f.size, f.size * (0.5 + 0.5 * f.muscle)
    for points, radii in (
        (((-0.02, 6, -20), (0.3, 15, -10), (0.7, 12, -4), (1, 11, 0)), (12, 20, 11, 5)),
        (((0.05, 12, 2), (0.35, 17, 8), (0.7, 11, 8)), (9, 13, 7)),
        (((-0.12, 4, 22), (0.2, 6, 26), (0.6, 4, 20)), (9, 14, 6)),
        (((0.0, -8, 18), (0.3, -16, 8), (0.7, -12, 2), (1, -9, 0)), (9, 15, 9, 4)),
        (((0.1, -12, -8), (0.4, -12, -12), (0.8, -9, -8)), (6, 9, 5)),
    ):
        b.tube(at(*points), np.array(radii) * m)
        b.paint(*belly("skeletal_muscle", 1.2))
    elbow, back = at.start, -upper.v
    tip = elbow + back * 15 * n
    b.cone(tip, at((0.1, -2, -8))[0], 10 * n, 10 * n)
    b.tube(at((0.08, -2, -9), (0.3, -3, -11), (0.7, -3, -12), (0.97, -3, -16)), np.array([10, 7, 6, 6]) * n)
    b.paint(*bone(f"ulna_{side}", 2.4, "marrow_fat"))
    b.drum(at((0.045, 4, 14), (0.11, 3, 13)), 10 * n)
    b.tube(
        at((0.1, 3, 13), (0.2, 4, 11), (0.5, 0, 15), (0.85, 0, 11), (0.96, 0, 9)),
        np.array([7, 7, 7, 8, 13]) * n,
    )
    b.paint(*bone(f"radius_{side}", 2.2, "marrow_fat"))


def _hand(b: Builder, f: Frame, side: str, at: _Segment) -> None:
    n = f.size
    for t, count in ((0.06, 4), (0.135, 4)):
        for k in range(count):
            w = 17 - 11.5 * k
            b.ellipsoid(at((t + 0.012 * (k % 2), 0, w))[0], np.array([6.8, 7.5, 7.2]) * n)
            b.paint(*bone(f"carpal_{side}", 1.0))
    b.tube(at((0.16, 4, 20), (0.3, 9, 36)), np.array([6, 5.5]) * n)
    b.paint(*bone(f"metacarpal_{side}", 1.6, "marrow_fat"))
    b.rod(at((0.33, 10, 39), (0.44, 11, 50)), 5 * n, 4 * n)
    b.rod(at((0.47, 11, 52), (0.54, 11, 57)), 4 * n, 3.5 * n)
    b.paint(*bone(f"phalanges_hand_{side}", 1.4, "marrow_fat"))
    for k in range(4):
        w, end = 27 - 18 * k, 0.97 - 0.05 * abs(k - 1.3)
        b.tube(at((0.19, 0, 0.62 * w), (0.33, -1, 0.85 * w), (0.46, 0, w)), np.array([5.5, 4, 5.8]) * n)
        b.paint(*bone(f"metacarpal_{side}", 1.6, "marrow_fat"))
        cuts = 0.49 + (end - 0.49) * np.array([0.0, 0.42, 0.5, 0.74, 0.82, 1.0])
        for i in (0, 2, 4):
            b.rod(at((cuts[i], 0, w * 1.04), (cuts[i + 1], 0, w * 1.08)), 5.2 * n, 4.2 * n)
        b.paint(*bone(f"phalanges_hand_{side}", 1.5, "marrow_fat"))
    b.tube(at((0.1, 10, 12), (0.25, 12, 28), (0.36, 11, 40)), np.array([6, 11, 6]) * n)
    b.tube(at((0.1, 8, -14), (0.25, 9, -22), (0.4, 7, -26)), np.array([5, 8, 5]) * n)
    b.paint(*belly("skeletal_muscle", 0.5))
