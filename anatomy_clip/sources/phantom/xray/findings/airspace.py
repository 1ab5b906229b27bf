"""Within the lungs: a nodule, consolidation, ground glass, edema, plates of atelectasis."""

from __future__ import annotations

import numpy as np

from anatomy_clip.sources.phantom.xray.findings.effects import Effect, sphere_path
from anatomy_clip.sources.phantom.xray.findings.lungs import Lungs
from anatomy_clip.sources.phantom.xray.findings.plan import Plan
from anatomy_clip.sources.phantom.xray.geometry import F32, F64, Beam

_ZONES = {"upper": (0.66, 0.88), "middle": (0.4, 0.62), "lower": (0.14, 0.36)}  # heights in the lung
_NODULE_MM = 3.0  # path that makes a pixel part of the mask


def spot(plan: Plan, lungs: Lungs, rng: np.random.Generator, wall_mm: tuple[float, float]) -> F64:
    """A point (3,) mm in the plan's zone and side, within a range of distances from the chest wall.

    It is drawn in the lung's own proportions, so that the films of a study agree on it.
    """
    low, high = _ZONES[plan.zone]
    goal = np.array([rng.uniform(low, high), rng.uniform(*wall_mm), rng.uniform(0.25, 0.75)])
    depths = lungs.depths
    deep = depths["front"] / np.maximum(depths["front"] + depths["back"], 1)
    miss = ((lungs.height() - goal[0]) * 200) ** 2 + (lungs.wall() - goal[1]) ** 2 + ((deep - goal[2]) * 100) ** 2
    miss = np.where(lungs.on(plan.side), miss, np.inf)[: lungs.samples]
    nearest = np.argsort(miss)[:12]
    return np.asarray(lungs.points[nearest].mean(axis=0), dtype=np.float64)


def nodule(plan: Plan, lungs: Lungs, beam: Beam) -> Effect:
    """A ball of soft tissue; `plan.size` is its diameter, mm."""
    rng = np.random.default_rng(plan.seed)
    centre = spot(plan, lungs, rng, (plan.size / 2 + 4, plan.size / 2 + 26))
    path: F32 = sphere_path(centre, plan.size / 2, beam)
    added = np.stack([path * (1 - lungs.density[: lungs.samples].mean()), np.zeros_like(path)])
    return Effect(
        "nodule", (path >= _NODULE_MM,), plan.side, plan.zone, plan.severity, plan.size, added=added
    )
