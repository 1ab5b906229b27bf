"""Fractures: a bone is cut by a plane, a gap opens, and the fragment beyond it moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from anatomy_clip.core.terms import Side
from anatomy_clip.sources.phantom.structures import STRUCTURES
from anatomy_clip.sources.phantom.xray.attenuation import label_mixtures
from anatomy_clip.sources.phantom.xray.findings.effects import Effect, Mask, path_at, sphere_path, splat
from anatomy_clip.sources.phantom.xray.findings.plan import Plan, finding_table
from anatomy_clip.sources.phantom.xray.geometry import F32, F64, Beam, Stack

_RIBS = {"upper": (2, 5), "middle": (5, 8), "lower": (8, 10)}  # numbers, the last one excluded
_RIB_ANGLES = ((42.0, 68.0), (112.0, 136.0))  # degrees from the back, where a frontal film sees a rib from the side
_SHORT_RIB = 7  # from this number on, ribs end too early for the second range
_RIB_NEAR_MM, _RIB_REACH_MM = 7.0, 45.0
_CALLUS_MM, _CALLUS_GROWS, _CALLUS_BONE = 4.5, 0.35, 0.55  # radius, mm more a mm of displacement, cortical bone in a cm
_CUT_MM = 9.0  # bone this near to the cut is the finding's mask
_BONE_MM = 2.0  # path that makes a pixel part of the mask
_SLICE_MM = 8.0


@dataclass(frozen=True)
class Break:
    """Where and how a bone is broken.

    Attributes:
        site: (3,) middle of the cut, mm.
        axis: (3,) unit vector at right angles to the cut, to the fragment that moves.
        shift: (3,) how far the fragment moves at the cut, mm.
        gap: mm.
        reach: how far along the bone the fragment moves, ever less, mm.
    """

    site: F64
    axis: F64
    shift: F64
    gap: float
    reach: float


@dataclass(frozen=True)
class Bone:
    """Samples of a bone along the rays of a film.

    Attributes:
        points: (N, 3) mm.
        pixel: (N,) index of the pixel, row by row.
        excess: (2, N) mm of water and cortical bone on the ray, less the mm of water that soft tissue would be there.
        length: (N,) mm of the ray.
    """

    points: F64
    pixel: NDArray[np.int64]
    excess: F64
    length: F64

    def near(self, kept: Mask) -> Bone:
        """The samples where `kept` (N,) holds."""
        return Bone(self.points[kept], self.pixel[kept], self.excess[:, kept], self.length[kept])


def gather_bone(stack: Stack, chosen: Mask) -> Bone:
    """The samples of chosen labels (L,) on a film."""
    k, i, j = np.nonzero(chosen[stack.labels])
    planes = stack.planes[k]
    points = planes[:, 0] + i[:, None] * planes[:, 1] + j[:, None] * planes[:, 2]
    pixel = i * stack.beam.shape[1] + j
    length = stack.step_mm * stack.beam.obliquity().ravel()[pixel].astype(np.float64)
    excess = label_mixtures()[:, stack.labels[k, i, j]] - np.array([[1.0], [0.0]])
    return Bone(points, pixel, excess * length, length)


def break_bone(bone: Bone, how: Break, beam: Beam) -> tuple[F32, Mask]:
    """What a fracture adds to each ray, (2, H, W) mm of water and cortical bone, and its mask (H, W)."""
    h, w = beam.shape
    along = (bone.points - how.site) @ how.axis
    wide = max(how.gap, 0.75 * beam.pixel_mm / beam.magnification)
    left = 1 - np.clip(1 - np.abs(along) / wide, 0, 1) * how.gap / wide  # as much is lost as the gap is wide
    moved = np.where(along > 0, np.clip(1 - along / how.reach, 0, 1), 0)
    touched = (moved > 0) | (left < 1)
    at, _ = beam.project(bone.points + moved[:, None] * how.shift)
    after = [splat(at[touched], (left * one)[touched], beam.shape) for one in bone.excess]
    before = [np.bincount(bone.pixel[touched], one[touched], minlength=h * w).reshape(h, w) for one in bone.excess]
    close = np.abs(along) < _CUT_MM
    path = np.maximum(
        splat(at[close], bone.length[close], beam.shape), path_at(bone.pixel[close], bone.length[close], beam.shape)
    )
    return np.asarray(np.stack(after) - np.stack(before), dtype=np.float32), path >= _BONE_MM


def rib_fracture(plan: Plan, stack: Stack, carina: F64) -> Effect | None:
    """One broken rib, two or three of them where it is severe, with callus at each cut; None where they aren't on the film."""
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
        parts.append(mask | (callus >= _BONE_MM))
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
    """A place on a bone of a limb: the bone's name, its samples there, the point (3,), the bone's direction (3,), reach in mm.

    Bones and places are those of `table.yaml`; None where the place isn't on the film.
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
