"""One patient's proportions: maps coordinates of a standard body (a man of 1750 mm) to the patient's.

The parts of the body are written once, in the standard body's mm (x to the patient's right, y to the front,
z up from the soles); the frame stretches, bends and widens them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from anatomy_clip.sources.phantom.builder import Builder
from anatomy_clip.sources.phantom.shapes import F64, Layer
from anatomy_clip.sources.phantom.structures import SPINE

# standard heights of soles, ankle, knee, hip, iliac crest, diaphragm foot (L1), T1, skull base, vertex
Z_KNOTS = (0.0, 80.0, 480.0, 905.0, 1050.0, 1197.0, 1472.0, 1605.0, 1750.0)
# widths change with the region: legs, pelvis, waist, chest, shoulder, neck, head
W_KNOTS = (480.0, 905.0, 1120.0, 1300.0, 1430.0, 1540.0, 1640.0)

# heights (mm, with disc) of the vertebrae, C1 to L5 (after Busscher et al. 2010, rounded)
_VERTEBRA_MM = (
    17,
    26,
    17,
    17,
    17,
    17,
    19,
    20,
    21,
    21,
    22,
    22,
    22,
    22.5,
    23,
    24,
    25,
    25.5,
    26,
    36,
    37,
    37.5,
    37.5,
    36,
)
_SPINE_Z = (880, 925, 970, 1005, 1030, 1066, 1103, 1140, 1178, 1261, 1330, 1395, 1455, 1480, 1520, 1560, 1600)
_SPINE_Y = (-75, -98, -82, -50, -24, -12, -8, -13, -24, -46, -57, -52, -32, -24, -12, -8, -4)


def vertebra_heights() -> dict[str, tuple[float, float]]:
    """Standard (centre z, height) in mm of C1 to L5, stacked on the sacral plate at z = 1012."""
    z, out = 1012.0, {}
    for name, height in zip(reversed(SPINE), reversed(_VERTEBRA_MM), strict=True):
        out[name] = (z + height / 2, float(height))
        z += height
    return out


@dataclass(frozen=True)
class Frame:
    """Proportions of one patient.

    Args:
        rng: the patient's generator, drawn from in a fixed order by the parts.
        sex: "female" or "male".
        z_knots: (9,) the patient's heights of `Z_KNOTS`, mm.
        width: (7,) scale of x at `W_KNOTS`.
        depth: (7,) scale of y at `W_KNOTS`.
        size: scale of small parts (bones, vessels, organs).
        fat: subcutaneous fat at the flank, mm.
        visceral: extra depth of the belly, mm.
        muscle: scale of muscle bellies.
        breath: rise of the diaphragm, mm (negative: deep breath).
        bend: lordosis and kyphosis, mm added to the spine's y at L3 and T7.
        scoliosis: mm of sideways bend of the spine.
        arms: "up", "down", "across", "forward" (hands on the hips, shoulders rolled forward), or "bent" (up, the
            elbows at right angles).
        heart: factor on the heart's size in a body for radiographs; None: a body for sections.
    """

    rng: np.random.Generator
    sex: str
    z_knots: F64
    width: F64
    depth: F64
    size: float
    fat: float
    visceral: float
    muscle: float
    breath: float
    bend: tuple[float, float]
    scoliosis: float
    arms: str
    heart: float | None = None

    def z(self, z: ArrayLike) -> F64:
        """Patient height of a standard height, mm (beyond the vertex: continued)."""
        zz = np.asarray(z, dtype=np.float64)
        inside = np.interp(zz, Z_KNOTS, self.z_knots)
        return np.asarray(inside + np.maximum(zz - Z_KNOTS[-1], 0) + np.minimum(zz, 0))

    def sway(self, z: ArrayLike) -> tuple[F64, F64]:
        """Shift (x, y) of the trunk at a standard height, mm."""
        zz = np.asarray(z, dtype=np.float64)
        lumbar, thoracic = self.bend
        y = np.interp(zz, (990, 1100, 1200, 1330, 1450, 1500), (0, lumbar, 0, thoracic, 0.3 * thoracic, 0))
        x = self.scoliosis * np.sin((zz - 1000) / 480 * 2 * np.pi) * ((zz > 1000) & (zz < 1480))
        return np.asarray(x), np.asarray(y)

    def wx(self, z: ArrayLike) -> F64:
        """Scale of x at a standard height."""
        return np.asarray(np.interp(np.asarray(z, dtype=np.float64), W_KNOTS, self.width))

    def wy(self, z: ArrayLike) -> F64:
        """Scale of y at a standard height."""
        return np.asarray(np.interp(np.asarray(z, dtype=np.float64), W_KNOTS, self.depth))

    def at(self, points: ArrayLike) -> F64:
        """Patient points (..., 3) mm of standard points (..., 3) mm."""
        p = np.asarray(points, dtype=np.float64)
        x, y, z = p[..., 0], p[..., 1], p[..., 2]
        sx, sy = self.sway(z)
        return np.stack([x * self.wx(z) + sx, y * self.wy(z) + sy, self.z(z)], axis=-1)

    def radii(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        """Scaled radii of an organ, mm."""
        return x * self.size, y * self.size, z * self.size

    def normal(self, mean: float, sd: float) -> float:
        """A draw from the patient's generator, at most two sd from the mean."""
        return float(np.clip(self.rng.normal(mean, sd), mean - 2 * sd, mean + 2 * sd))

    def jitter(self, sd: float) -> F64:
        """A random shift (3,) mm."""
        return np.clip(self.rng.normal(0, sd, 3), -2 * sd, 2 * sd)

    def spine(self, z: float) -> tuple[float, float, float]:
        """Standard centre of the vertebral bodies at a standard height."""
        return 0.0, float(np.interp(z, _SPINE_Z, _SPINE_Y)), z

    def loft(self, b: Builder, rows: Sequence[Sequence[float]], *layers: Layer) -> None:
        """Adds a loft given by standard rows (z, cx, cy, a, f, b, w), from low to high."""
        t = np.asarray(rows, dtype=np.float64)
        z = t[:, 0]
        sx, sy = self.sway(z)
        wx, wy = self.wx(z), self.wy(z)
        out = np.stack([t[:, 1] * wx + sx, t[:, 2] * wy + sy, t[:, 3] * wx, t[:, 4] * wy, t[:, 5] * wy, t[:, 6]], 1)
        b.loft(self.z(z), out, *layers)


def draw_frame(rng: np.random.Generator, habitus: tuple[float, float], arms: str | None, sex: str | None) -> Frame:
    """Draws a patient; see `body.make_body` for the arguments."""
    sex = sex or str(rng.choice(["female", "male"]))
    female = sex == "female"
    arms = arms or str(rng.choice(["up", "down", "across"], p=[0.5, 0.35, 0.15]))
    height = float(np.clip(rng.normal(1630 if female else 1760, 70), 1450, 1980))
    u = float(rng.uniform(*habitus))
    scale = height / 1750
    steps = np.diff(Z_KNOTS) * scale * np.clip(rng.normal(1, 0.03, 8), 0.93, 1.07)
    steps[-2:] = np.diff(Z_KNOTS)[-2:] * (0.55 + 0.45 * scale) * np.clip(rng.normal(1, 0.03, 2), 0.94, 1.06)
    knots = np.concatenate([[0.0], np.cumsum(steps)])
    broad = (0.35 + 0.65 * scale) * np.clip(rng.normal(1, 0.04), 0.9, 1.1)
    sexed = np.array([1.0, 1.06, 0.95, 0.96, 0.95, 0.9, 0.98]) if female else np.ones(7)
    waist = np.interp(W_KNOTS, (480, 1120, 1640), (1, 0.96 + 0.14 * u, 1))
    width = broad * sexed * np.clip(rng.normal(1, 0.025, 7), 0.94, 1.06) * waist
    depth = broad * (0.5 + 0.5 * sexed) * np.clip(rng.normal(1, 0.035, 7), 0.92, 1.08)
    width[-1] = (0.6 + 0.4 * scale) * np.clip(rng.normal(1, 0.03), 0.94, 1.06)
    depth[-1] = (0.6 + 0.4 * scale) * np.clip(rng.normal(1, 0.03), 0.94, 1.06)
    return Frame(
        rng=rng,
        sex=sex,
        z_knots=knots,
        width=width,
        depth=depth,
        size=float(0.45 + 0.55 * broad) * (0.96 if female else 1.0),
        fat=(5 + 36 * u**1.6) * (1.3 if female else 0.9) * float(rng.uniform(0.8, 1.2)),
        visceral=(-3 + 60 * u) * (0.65 if female else 1.0) * float(rng.uniform(0.7, 1.2)),
        muscle=float(np.clip(rng.normal(0.9 if female else 1.03, 0.09), 0.72, 1.25)),
        breath=float(rng.uniform(-22, 16)),
        bend=(float(rng.normal(0, 6)), float(rng.normal(0, 7))),
        scoliosis=float(np.clip(rng.normal(0, 3), -8, 8)),
        arms=arms,
    )
