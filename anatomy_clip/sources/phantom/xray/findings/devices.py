"""Devices: tubes, lines, leads and plates, drawn as wires of what absorbs in them."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import yaml

from anatomy_clip.core.terms import Side
from anatomy_clip.sources.phantom.xray.attenuation import MATERIALS, attenuation
from anatomy_clip.sources.phantom.xray.findings.effects import Effect
from anatomy_clip.sources.phantom.xray.findings.fractures import limb_site
from anatomy_clip.sources.phantom.xray.findings.plan import Plan
from anatomy_clip.sources.phantom.xray.geometry import F32, F64, Beam, Stack
from anatomy_clip.sources.phantom.xray.vessels import vessel_path

_SEEN_MM = 0.3  # path that makes a pixel part of the mask
_WANDER_MM = 5.0  # how far a line lies from the table's, standard deviation
_CAVA_MM = (
    30.0  # what lies further to the side is mirrored for the left; from the superior vena cava on, all is one way
)
_STANDARD = {"carina": (3.0, -26.0, 1383.0), "sternal_notch": (0.0, 15.0, 1425.0), "liver_dome": (60.0, 0.0, 1296.0)}


@cache
def device_table() -> dict[str, Any]:
    """The table `devices.yaml`."""
    text = resources.files(__package__).joinpath("devices.yaml").read_text(encoding="utf-8")
    table: dict[str, Any] = yaml.safe_load(text)
    return table


@cache
def mixture(material: str) -> tuple[float, float]:
    """Cm of water and of cortical bone that weaken the beam as a cm of a device's material does.

    Two materials span all others where no absorption edge lies in between (Alvarez and Macovski, as in
    `attenuation.py`); the fit is relative, and shares may be negative.
    """
    table = device_table()
    own = np.array(table["materials"][material])
    basis = np.array([[attenuation(name, kev) for name in MATERIALS] for kev in table["energies_kev"]])
    water, bone = np.linalg.lstsq(basis / own[:, None], np.ones(len(own)), rcond=None)[0]
    return float(water), float(bone)


def chest_devices(plan: Plan, marks: dict[str, F64], beam: Beam) -> Effect:
    """`plan.size` devices of a chest, each of another kind; their names are the zone, and each is a part."""
    rng = np.random.default_rng(plan.seed)
    table = device_table()["chest"]
    shares = np.array([row["share"] for row in table.values()])
    chosen = rng.choice(list(table), round(plan.size), replace=False, p=shares / shares.sum())
    added, parts = np.zeros((2, *beam.shape), np.float32), []
    for name in sorted(chosen):
        left = bool(table[name].get("sided")) and rng.uniform() < _left_share(name)
        wander = np.clip(rng.normal(0, _WANDER_MM, 3), -8, 8) * np.array([0.4, 1, 1.5])
        seen = np.zeros(beam.shape, np.float32)
        for material, radius, points in table[name]["lines"]:
            path = np.array(points, dtype=np.float64)
            path[:, 0] *= np.where(left & (path[:, 0] > _CAVA_MM), -1, 1)
            path += wander
            line = wire(_placed(path, marks), radius, beam)
            added += _absorbed(line, material)
            seen += line
        parts.append(seen >= _SEEN_MM)
    return Effect(plan.name, tuple(parts), None, ", ".join(sorted(chosen)), "", float(len(chosen)), added=added)


def limb_plate(plan: Plan, seed: int, stack: Stack, part: str, side: str, marks: dict[str, F64]) -> Effect | None:
    """A plate with screws along a bone; None where the bone isn't on the film.

    Args:
        plan: of the device.
        seed: of the place; that of a fracture puts the plate there.
        stack: of the film.
        part: as "knee".
        side: of the limb.
        marks: the body's landmarks.
    """
    found = limb_site(np.random.default_rng(seed), stack, part, side, marks)
    if found is None:
        return None
    _, _, site, axis, reach = found
    rng, row, beam = np.random.default_rng(plan.seed), device_table()["plate"], stack.beam
    out = np.cross(axis, rng.normal(size=3))
    out /= np.linalg.norm(out)
    wide = np.cross(axis, out) * row["width"] / 2
    half = min(float(row["half_length"]), 0.6 * reach) * axis
    off = site + out * min(reach / 6, 14)
    lines = [(np.stack([off - half + s * wide, off + half + s * wide]), row["radius"]) for s in (-1, -0.33, 0.33, 1)]
    for t in np.linspace(-0.85, 0.85, row["screws"]):
        lines.append((np.stack([off + t * half, off + t * half - out * min(reach / 3, 26)]), row["screw_radius"]))
    seen: F32 = np.asarray(sum(wire(points, radius, beam) for points, radius in lines), dtype=np.float32)
    return Effect(plan.name, (seen >= _SEEN_MM,), Side(side), "plate", "", 1.0, added=_absorbed(seen, row["material"]))


def wire(points: F64, radius: float, beam: Beam) -> F32:
    """Length of each ray (H, W) within a round wire through points (N, 3), mm."""
    segments = np.stack([points[:-1], points[1:]], axis=1)
    return vessel_path(segments, np.full(len(segments), radius), beam)


def _absorbed(path: F32, material: str) -> F32:
    return np.stack([np.float32(share) * path for share in mixture(material)])


def _placed(points: F64, marks: dict[str, F64]) -> F64:
    """Patient points (N, 3) of standard points: scaled from the carina as the patient's own landmarks lie."""
    carina, notch, dome = (np.array(_STANDARD[name]) for name in _STANDARD)
    wide = float(marks["liver_dome"][0] - marks["carina"][0]) / (dome[0] - carina[0])
    deep = float(marks["sternal_notch"][1] - marks["carina"][1]) / (notch[1] - carina[1])
    tall = float(marks["sternal_notch"][2] - marks["liver_dome"][2]) / (notch[2] - dome[2])
    return np.asarray(marks["carina"] + (points - carina) * np.array([wide, deep, tall]))


def _left_share(name: str) -> float:
    return 0.8 if name == "pacemaker" else 0.35
