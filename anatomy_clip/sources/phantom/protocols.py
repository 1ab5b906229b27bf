"""Imaging protocols: which box of the patient is cut, how, and with which modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import resources
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.sources.phantom.planes import (
    F64,
    IN_PLANE_AXES,
    NORMAL_AXIS,
    LabelSource,
    Plane,
    make_plane,
    rotation,
)

Range = tuple[float, float]
T = TypeVar("T")

_WIDEST_MM = (370.0, 520.0)  # what is set as field of view at most
_NARROWEST_MM = 60.0
_SCOUT_FOV_MM, _SCOUT_SIZE = 600.0, 60  # the scan that finds out how wide the body is


@dataclass(frozen=True)
class ImagingProtocol:
    """One row of protocols.yaml, which explains the fields; lengths in mm, angles in degrees."""

    name: str
    modality: Modality
    weight: float
    planes: Mapping[Orientation, float]
    thickness: Range
    centre: tuple[str, ...]
    x: Range | str
    y: Range | str
    z: Range | None = None
    bottom: str = ""
    top: str = ""
    margin: Range = (0.0, 0.0)
    shortest: float = 0.8
    limb: tuple[str, ...] = ()
    stack: float = 0.9
    tilt: float = 0.0
    coil: str = "body"
    weighting: Mapping[Protocol, float] = field(default_factory=lambda: {Protocol.NONE: 1.0})


@dataclass(frozen=True)
class Series:
    """One planned series: a box, and the planes that cut it.

    Attributes:
        protocol: the imaging protocol.
        orientation: of all its slices.
        weighting: MR protocol, `Protocol.NONE` for CT.
        centre: (3,) middle of the box, mm.
        frame: (3, 3) columns are the box's right, anterior and superior axes.
        size_mm: (3,) size of the box along them, mm.
        back_mm: y of the body's back, mm.
        thickness_mm: slice thickness, mm.
    """

    protocol: ImagingProtocol
    orientation: Orientation
    weighting: Protocol
    centre: F64
    frame: F64
    size_mm: F64
    back_mm: float
    thickness_mm: float

    def plane(self, position: float, pixels: int) -> Plane:
        """The plane at `position` (0 to 1) of the stack, with `pixels` on the image's longer side."""
        normal = NORMAL_AXIS[self.orientation]
        stack = self.protocol.stack * self.size_mm[normal]
        centre = self.centre + self.frame[:, normal] * (position - 0.5) * stack
        height, width = (float(self.size_mm[axis]) for axis in IN_PLANE_AXES[self.orientation])
        return make_plane(centre, self.frame, self.orientation, (height, width), pixels, self.thickness_mm)

    @property
    def circle(self) -> tuple[float, float, float]:
        """Centre x, y and radius of the reconstruction circle that just fits the box's wider side, mm."""
        return float(self.centre[0]), float(self.centre[1]), float(max(self.size_mm[:2]) / 2)


def plan_series(
    body: LabelSource,
    protocols: Sequence[ImagingProtocol],
    rng: np.random.Generator,
    *,
    fov_scale: float = 1.0,
    square_share: float = 0.6,
) -> Series:
    """Draw a protocol by weight and place its box in a patient.

    Args:
        body: the patient.
        protocols: what may be drawn.
        rng: the series' generator.
        fov_scale: factor on in-plane sizes (another hospital's habits).
        square_share: share of series whose axial field of view is square.

    Raises:
        ValueError: the protocol names a landmark that the body lacks.
    """
    p = protocols[choose({n: q.weight for n, q in enumerate(protocols)}, rng)]
    side = str(rng.choice(["left", "right"]))
    centre = np.mean([_landmark(body, name, side, p) for name in p.centre], axis=0)
    orientation = choose(p.planes, rng)
    weighting = choose(p.weighting, rng)
    centre, size, back, floating = _box(body, p, side, centre, rng)
    size[:2] *= fov_scale
    if rng.uniform() < square_share and orientation is Orientation.AXIAL:
        size[:2] = size[:2].max()
    size = np.maximum(size, _NARROWEST_MM)
    frame = _frame(body, p, side, rng)
    jitter = np.minimum(size * 0.04, 12) * rng.normal(size=3)
    jitter[2] *= floating
    centre = centre + frame @ jitter
    return Series(p, orientation, weighting, centre, frame, size, back, float(rng.uniform(*p.thickness)))


def _box(
    body: LabelSource, p: ImagingProtocol, side: str, centre: F64, rng: np.random.Generator
) -> tuple[F64, F64, float, bool]:
    """Centre and size of the box, y of the body's back, and whether its height isn't tied to landmarks."""
    height, low = _height(body, p, side, rng)
    centre = centre.copy()
    if low is not None:
        centre[2] = low + height / 2
    size = np.array([0.0, 0.0, height])
    scouted = "body" in (p.x, p.y) or p.modality is Modality.CT
    left, right, back, front = scout(body, centre) if scouted else (0.0, 0.0, 0.0, 0.0)
    zoom = rng.uniform(0.86, 1.22)
    for axis, (spec, lo, hi) in enumerate(((p.x, left, right), (p.y, back, front))):
        if isinstance(spec, str):
            if axis == 1 and p.modality is Modality.CT and rng.uniform() < 0.6:
                lo -= rng.uniform(10, 80)  # the table is in the picture
            # Arms beside the body are cut off where the field of view is made for the trunk.
            size[axis] = min((hi - lo) * zoom, rng.uniform(*_WIDEST_MM))
            centre[axis] = (lo + hi) / 2
        else:
            size[axis] = rng.uniform(*spec)
    return centre, size, back, low is None


def scout(body: LabelSource, centre: ArrayLike) -> tuple[float, float, float, float]:
    """The body's extent in the axial plane at a height: lowest and highest x, lowest and highest y, mm."""
    middle = np.array([0.0, 0.0, np.asarray(centre)[2]])
    plane = make_plane(middle, np.eye(3), Orientation.AXIAL, (_SCOUT_FOV_MM, _SCOUT_FOV_MM), _SCOUT_SIZE, 1.0)
    seen = plane.cut(body) > 0
    if not seen.any():
        return -200.0, 200.0, -120.0, 120.0
    x, y = plane.coordinate(0)[seen], plane.coordinate(1)[seen]
    return float(x.min()), float(x.max()), float(y.min()), float(y.max())


def choose(weights: Mapping[T, float] | dict[T, float], rng: np.random.Generator) -> T:
    """Draw a key with probability in proportion to its weight."""
    keys = list(weights)
    p = np.array([weights[key] for key in keys], dtype=np.float64)
    return keys[int(rng.choice(len(keys), p=p / p.sum()))]


def _landmark(body: LabelSource, name: str, side: str, protocol: ImagingProtocol) -> F64:
    name = name.format(side=side)
    if name not in body.landmarks:
        raise ValueError(f"protocols.yaml: {protocol.name} uses the landmark {name!r}, which the body does not have")
    return np.array(body.landmarks[name], dtype=np.float64)


def _height(body: LabelSource, p: ImagingProtocol, side: str, rng: np.random.Generator) -> tuple[float, float | None]:
    """Height of the box, and its lower end where landmarks give it."""
    if p.z is not None:
        return float(rng.uniform(*p.z)), None
    low = _landmark(body, p.bottom, side, p)[2] - rng.uniform(0.2, 1) * p.margin[0]
    high = _landmark(body, p.top, side, p)[2] + rng.uniform(0.2, 1) * p.margin[1]
    part = (high - low) * (rng.uniform(p.shortest, 1) if rng.uniform() < 0.5 else 1.0)
    return float(part), float(low + rng.uniform() * (high - low - part))


def _frame(body: LabelSource, p: ImagingProtocol, side: str, rng: np.random.Generator) -> F64:
    tilt = rotation(rng.normal(0, 1, 3) * p.tilt)
    if not p.limb:
        return tilt
    near, far = (_landmark(body, name, side, p) for name in p.limb)
    up = (near - far) / np.linalg.norm(near - far)
    # Hands are often shown with the fingers up; the forearm's rotation is anyone's.
    if rng.uniform() < 0.5:
        up = -up
    turn = rng.uniform(0, 2 * np.pi) if abs(up[2]) < 0.5 else rng.choice([0, np.pi / 2, np.pi]) + rng.normal(0, 0.15)
    helper = np.array([0.0, 1.0, 0.0]) if abs(up[1]) < 0.9 else np.array([0.0, 0.0, 1.0])
    right = np.cross(helper, up)
    right /= np.linalg.norm(right)
    anterior = np.cross(up, right)
    right, anterior = (
        np.cos(turn) * right + np.sin(turn) * anterior,
        np.cos(turn) * anterior - np.sin(turn) * right,
    )
    return np.asarray(np.stack([right, anterior, up], axis=1) @ tilt, dtype=np.float64)


def parse_protocols(rows: Mapping[str, Mapping[str, Any]]) -> tuple[ImagingProtocol, ...]:
    """Make protocols from the rows of protocols.yaml.

    Raises:
        ValueError: a row has an unknown or a missing field, or gives no height; the message names row and field.
    """
    known = {f.name for f in fields(ImagingProtocol)} - {"name", "bottom", "top"} | {"from", "to"}
    made = []
    for name, row in rows.items():
        unknown = sorted(set(row) - known)
        if unknown:
            raise ValueError(f"protocols.yaml: {name} has the unknown field(s) {', '.join(unknown)}")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
        values["bottom"], values["top"] = values.pop("from", ""), values.pop("to", "")
        if not values.get("z") and not (values["bottom"] and values["top"]):
            raise ValueError(f"protocols.yaml: {name} gives no height; it needs z, or from and to")
        try:
            values["modality"] = Modality(values["modality"])
            values["planes"] = {Orientation(k): float(v) for k, v in values["planes"].items()}
            if "weighting" in values:
                values["weighting"] = {Protocol(k): float(v) for k, v in values["weighting"].items()}
            made.append(ImagingProtocol(name=name, **values))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"protocols.yaml: {name}: {error}") from error
    return tuple(made)


@cache
def _tables() -> dict[str, Any]:
    import yaml

    text = resources.files(__package__).joinpath("protocols.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


@cache
def load_protocols() -> tuple[ImagingProtocol, ...]:
    """The protocols of protocols.yaml."""
    return parse_protocols(_tables()["protocols"])


def sequence(protocol: Protocol) -> dict[str, Any]:
    """Ranges of a pulse sequence's times (ms), b value (s/mm2) and shares of options."""
    return dict(_tables()["sequences"][protocol.value])
