"""A whole patient: proportions, parts, landmarks, and labels at any plane or point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomy_clip.sources.phantom.abdomen import add_abdomen
from anatomy_clip.sources.phantom.arms import add_arms
from anatomy_clip.sources.phantom.bowel import add_bowel
from anatomy_clip.sources.phantom.builder import Builder
from anatomy_clip.sources.phantom.frame import Frame, draw_frame, vertebra_heights
from anatomy_clip.sources.phantom.head import add_head
from anatomy_clip.sources.phantom.legs import add_legs
from anatomy_clip.sources.phantom.neck import add_neck
from anatomy_clip.sources.phantom.pelvis import add_pelvis
from anatomy_clip.sources.phantom.shapes import F32, F64, Scene
from anatomy_clip.sources.phantom.spine import add_cage, add_spine
from anatomy_clip.sources.phantom.thorax import add_thorax
from anatomy_clip.sources.phantom.trunk import add_trunk

_CHUNK = 4096
_PLANES = 6  # painted at once: more save calls and waste pixels
ARMS = ("up", "down", "across", "forward", "bent")

# parts in the order in which they are laid out; within a painting level a later part covers an earlier one
PARTS: tuple[Callable[[Builder, Frame], None], ...] = (
    add_trunk,
    add_thorax,
    add_bowel,
    add_abdomen,
    add_spine,
    add_cage,
    add_pelvis,
    add_legs,
    add_neck,
    add_head,
    add_arms,
)

# standard positions of landmarks in the trunk and head, mm
_TRUNK_LANDMARKS: dict[str, tuple[float, float, float]] = {
    "vertex": (0, 5, 1750),
    "brain_center": (0, 8, 1672),
    "orbits": (0, 72, 1638),
    "mandible": (0, 55, 1560),
    "neck": (0, 0, 1525),
    "sternal_notch": (0, 15, 1425),
    "carina": (3, -26, 1383),
    "heart": (-22, 22, 1297),
    "liver_dome": (60, 0, 1296),
    "liver": (60, 0, 1215),
    "kidneys": (0, -35, 1164),
    "iliac_crest": (0, -10, 1050),
    "hip_right": (88, 2, 905),
    "hip_left": (-88, 2, 905),
    "symphysis": (0, 50, 897),
}


@dataclass(frozen=True)
class Warp:
    """A smooth sideways shift of points, so that no outline is an ideal curve; heights stay.

    Args:
        waves: (K, 6): wave numbers (3) 1/mm, phase, amplitudes of x and y, mm.
    """

    waves: F32

    @property
    def reach(self) -> float:
        """Largest shift along an axis, mm."""
        return float(np.abs(self.waves[:, 4:]).sum(axis=0).max())

    def __call__(self, p: F32) -> F32:
        """Shifted homogeneous points (4, ...) mm."""
        out = p.copy()
        for kx, ky, kz, phase, ax, ay in self.waves:
            wave = np.sin(kx * p[0] + ky * p[1] + kz * p[2] + phase)
            out[0] += ax * wave
            out[1] += ay * wave
        return out


@dataclass(frozen=True, eq=False)
class Body:
    """One patient as an implicit label volume (nibabel's RAS mm; +x is the patient's right).

    Args:
        height_mm: from soles to vertex.
        sex: "female" or "male".
        arms: one of `ARMS`.
        breath_mm: rise of the diaphragm, mm (negative: deep breath).
        landmarks: points (3,) mm by name.
        lo: (3,) lowest corner of the body, mm.
        hi: (3,) highest corner, mm.
        scene: the shapes.
        warp: the shift of points before they meet the shapes.
    """

    height_mm: float
    sex: str
    arms: str
    breath_mm: float
    landmarks: dict[str, F64]
    lo: F64
    hi: F64
    scene: Scene
    warp: Warp

    def label_plane(
        self, origin: ArrayLike, row_axis: ArrayLike, col_axis: ArrayLike, shape: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """Labels on a plane.

        Args:
            origin: (3,) point of pixel (0, 0), mm.
            row_axis: (3,) step from one row to the next, mm.
            col_axis: (3,) step from one column to the next, mm; at right angles to `row_axis`.
            shape: image size (H, W).

        Returns:
            (H, W) label ids: indices into `structures.STRUCTURES`.
        """
        planes = np.asarray([[origin, row_axis, col_axis]], dtype=np.float64)
        return np.asarray(self.label_planes(planes, shape)[0])

    def label_planes(self, planes: F64, shape: tuple[int, int], offsets: F32 | None = None) -> NDArray[np.uint8]:
        """Labels (K, H, W) on planes that lie close to each other.

        Args:
            planes: (K, 3, 3) origin, row step and column step of each, as in `label_plane`, mm.
            shape: image size (H, W).
            offsets: (3, K, H, W) mm added to each pixel's point, or None.
        """
        out = np.empty((len(planes), *shape), dtype=np.uint8)
        i = np.arange(shape[0], dtype=np.float32)[:, None]
        j = np.arange(shape[1], dtype=np.float32)[None, :]
        for start in range(0, len(planes), _PLANES):
            part = slice(start, start + _PLANES)
            o, r, c = planes[part].astype(np.float32).transpose(1, 2, 0)[..., None, None]  # each (3, k, 1, 1)
            p = np.ones((4, *out[part].shape), dtype=np.float32)
            p[:3] = o + i * r + j * c
            reach = self.warp.reach
            if offsets is not None:
                p[:3] += offsets[:, part]
                reach += float(np.abs(offsets[:, part]).max())
            rects = self.scene.boxes.plane_rects(planes[part], shape, reach)
            out[part] = self.scene.paint(self.warp(p), rects)
        return out

    def label(self, points: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Labels (...) at points (..., 3) mm; slower a point than `label_plane`."""
        flat = np.asarray(points, dtype=np.float32).reshape(-1, 3)
        out = np.zeros(len(flat), dtype=np.uint8)
        for start in range(0, len(flat), _CHUNK):
            part = flat[start : start + _CHUNK]
            p = np.ones((4, 1, len(part)), dtype=np.float32)
            p[:3, 0] = part.T
            rects = self.scene.boxes.point_rects(p, self.warp.reach)
            out[start : start + _CHUNK] = self.scene.paint(self.warp(p), rects)[0]
        return out.reshape(np.shape(points)[:-1])


def make_body(
    rng: np.random.Generator,
    *,
    habitus_range: tuple[float, float] = (0.0, 1.0),
    arms: str | None = None,
    sex: str | None = None,
    breath_mm: float | None = None,
    heart: float | None = None,
) -> Body:
    """Draws a patient; the same generator state gives the same body.

    Args:
        rng: generator.
        habitus_range: fatness within [0, 1]: 0 lean, 0.35 average, 1 obese.
        arms: one of `ARMS`, or None to draw "up", "down" or "across".
        sex: "female", "male", or None to draw.
        breath_mm: rise of the diaphragm (negative: deep breath), mm, or None to draw.
        heart: factor on the heart's size in a body for radiographs, whose organs have other outlines; None: a body for
            sections.

    The same patient in another pose: the same generator state and sex, with another `arms` (not None) or `breath_mm`.

    Raises:
        ValueError: when `arms` or `sex` isn't one of these.
    """
    if arms not in (None, *ARMS):
        raise ValueError(f"make_body: arms={arms!r}; use {', '.join(map(repr, ARMS))} or None")
    if sex not in (None, "female", "male"):
        raise ValueError(f"make_body: sex={sex!r}; use 'female', 'male' or None")
    frame = replace(draw_frame(rng, habitus_range, arms, sex), heart=heart)
    if breath_mm is not None:
        frame = replace(frame, breath=breath_mm)
    builder = Builder()
    for add in PARTS:
        add(builder, frame)
    scene = builder.scene(marrow_last=heart is not None)
    warp = _draw_warp(rng)
    return Body(
        height_mm=float(frame.z_knots[-1]),
        sex=frame.sex,
        arms=frame.arms,
        breath_mm=frame.breath,
        landmarks=_landmarks(frame) | builder.landmarks,
        lo=scene.boxes.lo.min(axis=0).astype(np.float64) - warp.reach,
        hi=scene.boxes.hi.max(axis=0).astype(np.float64) + warp.reach,
        scene=scene,
        warp=warp,
    )


def _draw_warp(rng: np.random.Generator) -> Warp:
    wavelengths = rng.uniform((190, 95, 55), (300, 150, 80))
    directions = rng.normal(size=(3, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    turn = rng.uniform(0, 2 * np.pi, 3)
    amplitude = np.array([2.6, 1.7, 0.9]) * rng.uniform(0.6, 1.1, 3)
    waves = np.concatenate(
        [
            directions * (2 * np.pi / wavelengths)[:, None],
            rng.uniform(0, 2 * np.pi, (3, 1)),
            (amplitude * np.cos(turn))[:, None],
            (amplitude * np.sin(turn))[:, None],
        ],
        axis=1,
    )
    return Warp(waves.astype(np.float32))


def _landmarks(f: Frame) -> dict[str, F64]:
    marks = {name: f.at(p) for name, p in _TRUNK_LANDMARKS.items()}
    for name, (z, _) in vertebra_heights().items():
        marks[name] = f.at(f.spine(z))
    marks["S1"] = f.at(f.spine(1000))
    return marks
