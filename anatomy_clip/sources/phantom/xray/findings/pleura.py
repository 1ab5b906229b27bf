"""Between lung and chest wall: fluid and air."""

from __future__ import annotations

import numpy as np

from anatomy_clip.core.terms import Side
from anatomy_clip.sources.phantom.xray.findings.effects import Effect, path_of, tidy
from anatomy_clip.sources.phantom.xray.findings.lungs import VEIN, Lungs
from anatomy_clip.sources.phantom.xray.findings.plan import Plan
from anatomy_clip.sources.phantom.xray.geometry import F32, F64

_FLUID_MM, _AIR_MM = 4.0, 12.0  # path that makes a pixel part of the mask
_RISE_MM, _FALL_MM = 60.0, 14.0  # how high fluid climbs at the wall, and how fast that ends inwards
_MOST = 0.85  # of a lung's volume that fluid takes at most
_EDGE_MM = 2.0
_MEDIASTINUM_MM = 25.0
_COLLAPSE = 0.5  # share of a lung's room that air takes, from which the lung gets no denser
_PLEURA_MM, _LINE = 1.6, 0.8  # half the thickness of the pleura as films show it, and its water equivalents


def effusion(plan: Plan, lungs: Lungs, up: F64, shape: tuple[int, int]) -> Effect:
    """Pleural fluid: it fills each side's lowest part up to its volume, and climbs at the wall (the meniscus).

    Args:
        plan: size in ml a side.
        lungs: of the film.
        up: (3,) against gravity: fluid pools behind the lung of a patient who lies.
        shape: (H, W).
    """
    rise = np.float32(_RISE_MM) * np.exp(-np.maximum(lungs.wall(), 0) / np.float32(_FALL_MM))
    level: F32 = np.asarray(lungs.points @ up.astype(np.float32) - rise, dtype=np.float32)
    weight = np.zeros(len(lungs.points), np.float32)
    sides = (Side.LEFT, Side.RIGHT) if plan.side is Side.BOTH else (plan.side,)
    shares = np.random.default_rng(plan.seed).uniform(0.6, 1, 2)
    parts, total = [], 0.0
    for side, share in zip(sides, shares / shares.max(), strict=False):
        own = lungs.on(side)
        amount = plan.size * 1000 * (share if len(sides) > 1 else 1)
        filled = fill(level, lungs.volume * own, amount, own)
        weight += filled
        parts.append(tidy(path_of(lungs, filled, shape) >= _FLUID_MM))
        total += float((filled * lungs.volume).sum()) / 1000
    return Effect("pleural_effusion", tuple(parts), plan.side, plan.zone, plan.severity, total, weight, 1.0)


def fill(level: F32, volume: F32, amount: float, own: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> F32:
    """Which points (N,) an amount of fluid covers when it fills them from the lowest level on.

    Args:
        level: (N,) mm.
        volume: (N,) mm3 of each.
        amount: mm3; at most `_MOST` of all volume.
        own: (N,) points that it may cover.
    """
    order = np.argsort(level)
    sums = np.cumsum(volume[order])
    last = int(np.searchsorted(sums, min(amount, _MOST * float(sums[-1]))))
    return np.asarray((level <= level[order[min(last, len(order) - 1)]]) & own, dtype=np.float32)


def pneumothorax(plan: Plan, lungs: Lungs, upright: bool, shape: tuple[int, int]) -> Effect:
    """Pleural air: a rim without lung or vessels, widest at the apex; of a patient who lies, at the front and the base.

    Args:
        plan: size in mm, the rim's width at its widest.
        lungs: of the film.
        upright: whether the patient stands.
        shape: (H, W).
    """
    height = lungs.height()
    wide = plan.size * (np.clip(0.5 + 0.6 * height, 0, 1) if upright else np.clip(1.15 - 0.5 * height, 0, 1))
    reach = {"side": 1.0, "top": 0.8 if upright else 1.2}
    nearest = np.min([lungs.depth(name) * np.float32(slow) for name, slow in reach.items()], axis=0)
    own = lungs.on(plan.side) & (np.abs(lungs.points[:, 0] - lungs.carina[0]) > _MEDIASTINUM_MM)
    inwards = (nearest - wide) * own + 1e3 * ~own  # how far a point lies within the collapsed lung, mm
    air = np.clip(0.5 - inwards / _EDGE_MM, 0, 1)
    share = float((air * lungs.volume).sum() / max(float((lungs.volume * lungs.on(plan.side)).sum()), 1))
    rest = lungs.density / (1 - min(1.6 * share, _COLLAPSE))  # the same lung in less room
    pleura = np.clip(1.5 - np.abs(inwards) / _PLEURA_MM, 0, 1)
    density = np.where(air > 0.5, 0, rest) * (1 - pleura) + _LINE * pleura
    weight = np.where(own, np.maximum(air, lungs.lobe != VEIN), 0).astype(np.float32)
    weight[lungs.samples :] = air[lungs.samples :]
    mask = tidy(path_of(lungs, (air * own).astype(np.float32), shape) >= _AIR_MM)
    return Effect(
        "pneumothorax", (mask,), plan.side, plan.zone, plan.severity, plan.size, weight, density.astype(np.float32)
    )
