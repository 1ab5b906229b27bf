"""Within the lungs: a nodule, consolidation, ground glass, edema, plates of atelectasis."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from anatomy_clip.core.terms import Side
from anatomy_clip.sources.phantom.xray.findings.effects import Effect, path_of, pieces, sphere_path, tidy
from anatomy_clip.sources.phantom.xray.findings.lungs import VEIN, Lungs, noise
from anatomy_clip.sources.phantom.xray.findings.plan import Plan
from anatomy_clip.sources.phantom.xray.geometry import F32, F64, Beam

_ZONES = {"upper": (0.66, 0.88), "middle": (0.4, 0.62), "lower": (0.14, 0.36)}  # heights in the lung
_NODULE_MM = 3.0  # path that makes a pixel part of the mask
_ADDED_MM = {"consolidation": 10.0, "covid_pattern": 6.0, "edema": 5.0, "atelectasis": 8.0}  # the same, in mm of water
_EXUDATE = 0.9  # water equivalents of consolidated lung
_CROSSES = 0.3  # share of consolidations that cross a fissure
_WING_MM = 80.0  # how far a wing of full density reaches
_PLATES_ALONE, _RAISED = 6.0, 4.0  # mm of plate from which the diaphragm rises, and mm that it rises a mm


def spot(plan: Plan, lungs: Lungs, rng: np.random.Generator, wall_mm: tuple[float, float]) -> F64:
    """A point (3,) mm in the plan's zone and side, within a range of distances from the chest wall.

    It is drawn in the lung's own proportions, so that the films of a study agree on it.
    """
    low, high = _ZONES[plan.zone]
    goal = np.array([rng.uniform(low, high), rng.uniform(*wall_mm), rng.uniform(0.25, 0.75)])
    front = lungs.depth("front")
    deep = front / np.maximum(front + lungs.depth("back"), 1)
    miss = ((lungs.height() - goal[0]) * 200) ** 2 + (lungs.wall() - goal[1]) ** 2 + ((deep - goal[2]) * 100) ** 2
    miss = np.where(lungs.on(plan.side), miss, np.inf)[: lungs.samples]
    nearest = np.argsort(miss)[:12]
    return np.asarray(lungs.points[nearest].mean(axis=0), dtype=np.float64)


def consolidation(plan: Plan, lungs: Lungs, shape: tuple[int, int]) -> Effect:
    """Air spaces filled with exudate: a cloud with some air left in it; `plan.size` is its width, mm."""
    rng = np.random.default_rng(plan.seed)
    weight = np.zeros(len(lungs.points), np.float32)
    parts = []
    for side in sides_of(plan):
        one = replace(plan, side=side)
        centre = spot(one, lungs, rng, (0.25 * plan.size, 0.5 * plan.size))
        cloud = _cloud(lungs, centre, plan.size / 2, int(rng.integers(2**31)))
        lobes = np.bincount(lungs.lobe[: lungs.samples], cloud[: lungs.samples] * lungs.on(side)[: lungs.samples])
        bounded = np.isin(lungs.lobe, [int(np.argmax(lobes)), VEIN])  # by the fissure
        cloud *= lungs.on(side) & (bounded | (rng.uniform() < _CROSSES))
        weight = np.maximum(weight, cloud)
        parts.append(tidy(path_of(lungs, cloud, shape) * _EXUDATE >= _ADDED_MM["consolidation"]))
    return Effect("consolidation", tuple(parts), plan.side, plan.zone, plan.severity, plan.size, weight, _EXUDATE)


def covid_pattern(plan: Plan, lungs: Lungs, shape: tuple[int, int]) -> Effect:
    """Ground glass in patches at the periphery of both lungs; `plan.size` is their number."""
    rng = np.random.default_rng(plan.seed)
    weight = np.zeros(len(lungs.points), np.float32)
    density = float(rng.uniform(0.6, 0.85))
    for k in range(round(plan.size)):
        zone = plan.zone if rng.uniform() < 0.7 else str(rng.choice(["upper", "middle", "lower"], p=[0.2, 0.5, 0.3]))
        one = replace(plan, side=(Side.LEFT, Side.RIGHT)[k % 2], zone=zone)
        radius = float(rng.uniform(20, 36))
        centre = spot(one, lungs, rng, (0.0, 0.5 * radius))
        weight = np.maximum(weight, _cloud(lungs, centre, radius, int(rng.integers(2**31))) * lungs.on(one.side))
    parts = pieces(tidy(path_of(lungs, weight, shape) * density >= _ADDED_MM["covid_pattern"]))
    return Effect("covid_pattern", parts, Side.BOTH, plan.zone, plan.severity, plan.size, weight, density)


def edema(plan: Plan, lungs: Lungs, shape: tuple[int, int]) -> Effect:
    """Fluid about both hila (bat wings) and less at the bases, vessels engorged; `plan.size`: its density there."""
    hilum = lungs.carina + np.array([0, 0, -30])
    off = (lungs.points - hilum.astype(np.float32)) / np.array([1, 1, 1.15], np.float32)
    off[:, 0] = np.maximum(np.abs(off[:, 0]) - 45, 0)
    far = np.sqrt((off**2).sum(axis=1)) * (1 + 0.18 * noise(plan.seed, 45)(lungs.points))
    wings = np.exp(-((far / (_WING_MM * plan.size)) ** 2)) * np.clip(
        0.95 + 0.2 * noise(plan.seed + 1, 35)(lungs.points), 0, 1
    )
    low = np.clip(1 - lungs.height() / 0.5, 0, 1)
    weight = np.clip(wings + 0.25 * low, 0, 1).astype(np.float32)
    path = path_of(lungs, weight * np.float32(plan.size), shape)
    sides = [path_of(lungs, weight * np.float32(plan.size) * lungs.on(side), shape) for side in (Side.LEFT, Side.RIGHT)]
    parts = tuple(tidy(one >= max(_ADDED_MM["edema"], 0.3 * float(path.max()))) for one in sides)
    return Effect(
        "edema", parts, plan.side, plan.zone, plan.severity, plan.size, weight, plan.size, congestion=plan.size
    )


def atelectasis(plan: Plan, lungs: Lungs, shape: tuple[int, int]) -> Effect:
    """Plates of lung without air; thick ones raise the diaphragm; `plan.size` is a plate's thickness, mm."""
    rng = np.random.default_rng(plan.seed)
    weight = np.zeros(len(lungs.points), np.float32)
    parts = []
    for side in sides_of(plan):
        own = lungs.on(side)
        raised = max(0.0, plan.size - _PLATES_ALONE) * _RAISED
        plates = np.clip((raised - lungs.depth("bottom")) / 3 + 0.5, 0, 1) * np.float32(raised > 0)
        plates *= np.abs(lungs.points[:, 0] - lungs.carina[0]) > 35  # beside the mediastinum
        for _ in range(1 + int(rng.uniform() < 0.25)):
            centre = spot(replace(plan, side=side), lungs, rng, (12, 40))
            tilt = np.array([rng.normal(0, 0.3), rng.normal(0, 0.12), 1])
            off = lungs.points - centre.astype(np.float32)
            across = np.abs(off @ (tilt / np.linalg.norm(tilt)).astype(np.float32))
            along = np.sqrt((off[:, 0] / rng.uniform(28, 45)) ** 2 + (off[:, 1] / rng.uniform(40, 70)) ** 2)
            plates = np.maximum(
                plates, np.clip((plan.size / 2 - across) / 2 + 0.5, 0, 1) * np.clip((1 - along) * 5, 0, 1)
            )
        taken: F32 = np.asarray(plates * own, dtype=np.float32)
        weight = np.maximum(weight, taken)
        parts.append(tidy(path_of(lungs, taken, shape) >= _ADDED_MM["atelectasis"]))
    return Effect("atelectasis", tuple(parts), plan.side, plan.zone, plan.severity, plan.size, weight, 0.8)


def sides_of(plan: Plan) -> tuple[Side, ...]:
    """The sides that a plan names."""
    if plan.side is None:
        return ()
    return (Side.LEFT, Side.RIGHT) if plan.side is Side.BOTH else (plan.side,)


def _cloud(lungs: Lungs, centre: F64, radius: float, seed: int) -> F32:
    """Share (N,) of the points that a soft, uneven ball covers."""
    off = lungs.points - centre.astype(np.float32)
    far = np.sqrt((off**2).sum(axis=1)) / radius
    near = np.nonzero(far < 1.7)[0]
    uneven = far[near] + 0.22 * noise(seed, 1.2 * radius)(lungs.points[near])
    patchy = np.clip(0.9 + 0.25 * noise(seed + 1, 18)(lungs.points[near]), 0.45, 1)
    out = np.zeros(len(far), np.float32)
    out[near] = np.clip((1.1 - uneven) / 0.3 + 0.5, 0, 1) * patchy
    return out


def nodule(plan: Plan, lungs: Lungs, beam: Beam) -> Effect:
    """A ball of soft tissue; `plan.size` is its diameter, mm."""
    rng = np.random.default_rng(plan.seed)
    centre = spot(plan, lungs, rng, (plan.size / 2 + 4, plan.size / 2 + 26))
    path: F32 = sphere_path(centre, plan.size / 2, beam)
    added = np.stack([path * (1 - lungs.density[: lungs.samples].mean()), np.zeros_like(path)])
    return Effect("nodule", (path >= _NODULE_MM,), plan.side, plan.zone, plan.severity, plan.size, added=added)
