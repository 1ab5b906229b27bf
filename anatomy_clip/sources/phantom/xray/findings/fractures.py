"""Fractures of ribs and limbs: where bones break."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from anatomy_clip.core.terms import Side
from anatomy_clip.sources.phantom.structures import STRUCTURES
from anatomy_clip.sources.phantom.xray.findings.bones import BONE_MM, Bone, Break, break_bone, gather_bone
from anatomy_clip.sources.phantom.xray.findings.effects import Effect, sphere_path
from anatomy_clip.sources.phantom.xray.findings.plan import Plan, finding_table
from anatomy_clip.sources.phantom.xray.geometry import F64, Stack

_RIBS = {"upper": (2, 5), "middle": (5, 8), "lower": (8, 10)}  # numbers, the last one excluded
_RIB_ANGLES = ((42.0, 68.0), (112.0, 136.0))  # degrees from the back, where a frontal film sees a rib from the side
_SHORT_RIB = 7  # from this number on, ribs end too early for the second range
_RIB_NEAR_MM, _RIB_REACH_MM = 7.0, 45.0
_CALLUS_MM, _CALLUS_GROWS, _CALLUS_BONE = 4.5, 0.35, 0.55  # radius, mm more a mm of displacement, cortical bone in a cm
_SLICE_MM = 8.0


def rib_fracture(plan: Plan, stack: Stack, carina: F64) -> Effect | None:
    """A broken rib, two or three where it is severe, with callus at each cut; None where they aren't on the film."""
    rng = np.random.default_rng(plan.seed)
    first = int(rng.integers(*_RIBS[plan.zone]))
    angle = float(rng.uniform(*_RIB_ANGLES[int(rng.integers(2)) if first < _SHORT_RIB else 0]))
    count = 1 + int(rng.integers(1, 3)) if plan.severity == "severe" else 1
    added, parts = np.zeros((2, *stack.beam.shape), np.float32), []
    for number in range(first, first + count):
        turn = angle + rng.uniform(-6, 6)
        tilt, up, gap = rng.normal(0, 0.35, 3), float(rng.choice([-1, 1])), float(rng.uniform(2, 5))
        rib = _rib(stack, f"rib_{plan.side}_{number}")
        found = None if rib is None else _rib_site(rib, carina, turn)
        if rib is None or found is None:
            continue
        site, tangent = found
        shift = plan.size * (up * _across(np.array([0.0, 0, 1]), tangent) * 0.85 + 0.5 * _inwards(site, carina))
        part = rib.near(np.linalg.norm(rib.points - site, axis=1) < _RIB_REACH_MM + 10)
        more, mask = break_bone(part, Break(site, _unit(tangent + tilt * 0.5), shift, gap, _RIB_REACH_MM), stack.beam)
        callus = sphere_path(site, _CALLUS_MM + _CALLUS_GROWS * plan.size, stack.beam)
        more[1] += _CALLUS_BONE * callus
        added += more
        parts.append(mask | (callus >= BONE_MM))
    if not parts:
        return None
    return Effect("rib_fracture", tuple(parts), plan.side, plan.zone, plan.severity, plan.size, added=added)


def limb_fracture(plan: Plan, stack: Stack, part: str, side: str, marks: dict[str, F64]) -> Effect | None:
    """A broken bone of a limb; None where it isn't on the film, or moves less than a pixel there."""
    beam = stack.beam
    if plan.size * beam.magnification < beam.pixel_mm:
        return None
    rng = np.random.default_rng(plan.seed)
    found = limb_site(rng, stack, part, side, marks)
    if found is None:
        return None
    name, bone, site, axis, reach = found
    across = _across(rng.normal(size=3), axis)
    shift = plan.size * (across - 0.25 * axis)
    how = Break(site, _unit(axis + 0.35 * rng.normal(size=3)), shift, float(rng.uniform(1, 3)), reach)
    added, mask = break_bone(bone, how, beam)
    return Effect("limb_fracture", (mask,), Side(side), name, plan.severity, plan.size, added=added)


def limb_site(
    rng: np.random.Generator, stack: Stack, part: str, side: str, marks: dict[str, F64]
) -> tuple[str, Bone, F64, F64, float] | None:
    """A place on a bone of a limb, of those in `table.yaml`; None where it isn't on the film.

    Returns:
        The bone's name, its samples there, the point (3,) mm, the bone's direction (3,), and a fragment's reach, mm.
    """
    rows = finding_table()["sites"][part]
    name, start, end, share, reach = rows[int(rng.integers(len(rows)))]
    which = float(rng.uniform())
    first, last = marks[f"{start}_{side}"], marks[f"{end}_{side}"]
    axis, goal = _unit(last - first), first + share * (last - first)
    bone = gather_bone(stack, np.array([s.name == f"{name}_{side}" for s in STRUCTURES]))
    offset = bone.points - goal
    level = np.abs(offset @ axis) < _SLICE_MM
    if level.sum() < 5:
        return None
    slab = offset[level] - (offset[level] @ axis)[:, None] * axis
    wide = np.linalg.svd(slab - slab.mean(axis=0), full_matrices=False)[2][0]
    wide *= np.sign(wide[np.argmax(np.abs(wide))])  # several bones of a name lie side by side: one of them
    across = slab @ wide
    near = np.abs(across - np.quantile(across, which)) < reach / 4
    site = bone.points[level][near].mean(axis=0)
    beside = bone.points - site - ((bone.points - site) @ axis)[:, None] * axis
    return str(name), bone.near(np.linalg.norm(beside, axis=1) < reach / 3), site, axis, float(reach)


def _rib(stack: Stack, name: str) -> Bone | None:
    """A rib's shell, and the marrow next to it, which all ribs share."""
    shell = gather_bone(stack, np.array([s.name == name for s in STRUCTURES]))
    if len(shell.points) < 20:
        return None
    marrow = gather_bone(stack, np.array([s.name == "rib_marrow" for s in STRUCTURES]))
    distance, _ = cKDTree(shell.points).query(marrow.points, distance_upper_bound=_RIB_NEAR_MM)
    own = marrow.near(np.isfinite(distance))
    return Bone(
        np.concatenate([shell.points, own.points]),
        np.concatenate([shell.pixel, own.pixel]),
        np.concatenate([shell.excess, own.excess], axis=1),
        np.concatenate([shell.length, own.length]),
    )


def _rib_site(rib: Bone, carina: F64, degrees: float) -> tuple[F64, F64] | None:
    """A rib's point (3,) at an angle from the back, and its direction (3,) to the front there."""
    angle = np.rad2deg(np.arctan2(np.abs(rib.points[:, 0] - carina[0]), carina[1] - rib.points[:, 1]))
    at = [rib.points[np.abs(angle - degrees - turn) < 5] for turn in (-9, 0, 9)]
    if any(len(part) < 3 for part in at):
        return None
    back, here, front = (part.mean(axis=0) for part in at)
    return here, _unit(front - back)


def _inwards(site: F64, carina: F64) -> F64:
    return _unit((carina - site) * np.array([1.0, 1, 0]))


def _across(way: F64, axis: F64) -> F64:
    """A direction's part at right angles to an axis, as a unit vector."""
    return _unit(way - (way @ axis) * axis)


def _unit(vector: F64) -> F64:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float64)
