"""Projections as they are ordered (chest PA, knee lateral), and the beam of each for a given body."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any

import numpy as np
import yaml

from anatomy_clip.core.names import did_you_mean
from anatomy_clip.sources.phantom.body import Body, make_body
from anatomy_clip.sources.phantom.structures import SIDES
from anatomy_clip.sources.phantom.xray.geometry import F64, U8, Beam


@dataclass(frozen=True)
class View:
    """One projection; `views.yaml` explains the fields and lists all views.

    Lengths are in mm; directions are in the patient's axes (right, anterior, superior); a "*" stands for the side.
    """

    name: str
    centre: tuple[str, ...]
    beam: tuple[float, float, float]
    field: float
    up: tuple[Any, ...] = (0.0, 0.0, 1.0)
    arms: str = "up"
    breath: tuple[float, float] = (-10.0, 10.0)
    upright: bool = False
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    seen_from: str = "source"
    sid: float = 1100.0
    gap: float = 8.0
    touching: str = ""
    depths: tuple[float, float] = (-80.0, 80.0)
    step: float = 2.5
    limb: tuple[tuple[str, ...], float] | None = None
    spectrum: str = "limb"
    scatter: tuple[float, float] = (0.1, 0.3)
    masks: str = "bones"
    flatten: float = 0.6
    knee_at: float = 85.0
    rim: float = 0.0

    @property
    def part(self) -> str:
        """What is examined, as "chest"."""
        return self.name.rpartition("_")[0]

    @property
    def projection(self) -> str:
        """One of "PA", "AP" and "lateral"."""
        end = self.name.rpartition("_")[2]
        return end if end == "lateral" else end.upper()

    @property
    def sided(self) -> bool:
        """Whether the view shows one side's limb or joint."""
        return any("*" in name for name in self.centre)


@cache
def views() -> dict[str, View]:
    """All views by name."""
    text = resources.files(__package__).joinpath("views.yaml").read_text(encoding="utf-8")
    rows: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return {name: View(name=name, **row) for name, row in rows.items()}


def view_of(name: str) -> View:
    """A view by name.

    Raises:
        ValueError: there is no such view.
    """
    known = views()
    if name not in known:
        raise ValueError(f"views.yaml: no view {name!r}{did_you_mean(name, known)}; use one of {', '.join(known)}")
    return known[name]


def pose_body(
    patient: int,
    view: View,
    breath_mm: float | None = None,
    habitus_range: tuple[float, float] = (0.0, 1.0),
    heart: float = 1.0,
) -> Body:
    """The body of a patient as it is posed for a view.

    All films of a patient show the same anatomy: only arms, shoulder blades and breath differ. Films of one study with
    the same pose (a knee's AP and lateral) may share the body itself.

    Args:
        patient: seed of the patient's generator.
        view: gives the pose of the arms.
        breath_mm: rise of the diaphragm, mm (None: the patient's own).
        habitus_range: fatness within [0, 1].
        heart: factor on the heart's width, most of it to the left. Median cardiothoracic ratio in chest_pa (5 % to 95 %
            of bodies): 0.43 (0.38 to 0.51) at 1.0, 0.52 (0.45 to 0.62) at 1.2, 0.62 (0.54 to 0.72) at 1.4.
    """
    rng = np.random.default_rng(patient)
    return make_body(rng, arms=view.arms, breath_mm=breath_mm, habitus_range=habitus_range, heart=heart)


def make_beam(body: Body, view: View, side: str, size: int, field_scale: float, turn: tuple[float, float]) -> Beam:
    """The beam of a view of a body.

    Args:
        body: who is seen.
        view: which projection.
        side: "left" or "right" where the view is sided, else "".
        size: detector's pixels, (size, size).
        field_scale: factor on the view's field.
        turn: degrees by which the patient is tilted (about the image's rows) and rotated (about its columns).

    Raises:
        ValueError: the body's arms are in another pose than the view's, or the side doesn't fit the view.
    """
    if body.arms != view.arms:
        raise ValueError(f"{view.name}: the body's arms are {body.arms!r}; pose_body() poses them {view.arms!r}")
    if side not in (SIDES if view.sided else ("",)):
        need = "'left' or 'right'" if view.sided else "'' (it has no side)"
        raise ValueError(f"{view.name}: side={side!r}; use {need}")
    marks = body.landmarks
    centre = np.mean([marks[name.replace("*", side)] for name in view.centre], axis=0) + np.array(view.offset)
    along, up = np.array(view.beam, dtype=np.float64), _up(body, view, side)
    along -= (along @ up) * up  # the limb lies flat on the detector
    along /= np.linalg.norm(along)
    right = np.cross(along, up) * (1 if view.seen_from == "source" else -1)
    axes = _turned(up, right, along, turn)
    front = min(view.depths[1], float((_nearest(body, view, axes[2]) - centre) @ axes[2]))
    source_mm = view.sid - front - view.gap
    return Beam(centre, axes, source_mm, view.sid, view.field * field_scale / size, (size, size))


def limb_only(view: View, body: Body, side: str, labels: U8, plane: F64) -> U8:
    """A plane's labels (H, W) without what is too far from the limb's line, or nearer to the other side's."""
    if view.limb is None or not labels.any():
        return labels
    names, reach = view.limb
    found = np.argwhere(labels > 0)
    points = plane[0] + found @ plane[1:]
    other = SIDES[1 - SIDES.index(side)]
    own, far = (
        _distance2(points, np.array([body.landmarks[name.replace("*", which)] for name in names]))
        for which in (side, other)
    )
    away = found[(own > reach**2) | (own > far)]
    out = labels.copy()
    out[away[:, 0], away[:, 1]] = 0
    return out


def _distance2(points: F64, line: F64) -> F64:
    """Squared distances (N,) of points (N, 3) from a polyline (K, 3), mm2."""
    best = np.full(len(points), np.inf)
    for start, end in pairwise(line):
        along = end - start
        t = np.clip((points - start) @ along / (along @ along), 0, 1)
        gap = points - start - t[:, None] * along
        best = np.minimum(best, (gap * gap).sum(axis=1))
    return best


def _up(body: Body, view: View, side: str) -> F64:
    if isinstance(view.up[0], str):
        start, end = (body.landmarks[name.replace("*", side)] for name in view.up)
        up = end - start
    else:
        up = np.array(view.up, dtype=np.float64)
    return np.asarray(up / np.linalg.norm(up))


def _turned(up: F64, right: F64, along: F64, degrees: tuple[float, float]) -> F64:
    """A beam's axes (3, 3) after a tilt and a rotation; the image's rows stay at right angles to `up`."""
    tilt, rotate = np.deg2rad(degrees)
    right, along = np.cos(rotate) * right + np.sin(rotate) * along, np.cos(rotate) * along - np.sin(rotate) * right
    up, along = np.cos(tilt) * up + np.sin(tilt) * along, np.cos(tilt) * along - np.sin(tilt) * up
    return np.stack([-up, right, along])


def _nearest(body: Body, view: View, along: F64) -> F64:
    """The point (3,) of the body that is nearest to the detector, mm: the view's landmark, or a corner of its box."""
    if view.touching:
        return body.landmarks[view.touching]
    return np.where(along > 0, body.hi, body.lo)
