"""The beam, and what it meets on its way: label planes at right angles to the central ray.

A plane at distance t from the source is sampled at t / SID of the detector's pixel step, so its pixels lie on the rays
to the detector's pixels: the perspective is exact, and the sum over planes is the integral along each ray.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

# ordered dither (Bayer 1973): any 2 x 2 pixels have depths a quarter of the step apart
_ORDER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) / 16
_LEVEL = 0.15  # sine of a beam's slope


class Solid(Protocol):
    """Anything that planes can cut: a `Body`."""

    def label_planes(self, planes: F64, shape: tuple[int, int], offsets: F32 | None = None) -> U8:
        """Labels (K, H, W) on planes (K, 3, 3), at points moved by offsets (3, K, H, W) mm."""
        ...


@dataclass(frozen=True)
class Beam:
    """Source, central ray and detector.

    Attributes:
        centre: (3,) point of the patient on the central ray, mm.
        axes: (3, 3) unit vectors in rows: image down, image right, direction of travel.
        source_mm: from the source to `centre`, mm.
        detector_mm: from the source to the detector (SID), mm.
        pixel_mm: pixel step on the detector, mm.
        shape: detector's (H, W) in pixels.
    """

    centre: F64
    axes: F64
    source_mm: float
    detector_mm: float
    pixel_mm: float
    shape: tuple[int, int]

    @property
    def source(self) -> F64:
        """(3,) position of the source, mm."""
        return np.asarray(self.centre - self.source_mm * self.axes[2])

    @property
    def magnification(self) -> float:
        """Of what lies at `centre`."""
        return self.detector_mm / self.source_mm

    def project(self, points: F64) -> tuple[F64, F64]:
        """Detector positions (N, 2) in pixels (row, column), and magnifications (N,), of points (N, 3) mm."""
        local = (np.asarray(points, dtype=np.float64) - self.source) @ self.axes.T
        scale = self.detector_mm / local[:, 2]
        middle = (np.array(self.shape) - 1) / 2
        return local[:, :2] * scale[:, None] / self.pixel_mm + middle, scale

    def plane(self, distance: float, shift: Sequence[float] = (0, 0)) -> F64:
        """Origin, row step and column step (3, 3) mm of the plane at a distance from the source; `shift` in pixels."""
        row, col, along = self.axes
        step = self.pixel_mm * distance / self.detector_mm
        corner = [shift[0] - (self.shape[0] - 1) / 2, shift[1] - (self.shape[1] - 1) / 2]
        origin = self.source + along * distance + row * step * corner[0] + col * step * corner[1]
        return np.stack([origin, row * step, col * step])

    def obliquity(self) -> F32:
        """How much longer (H, W) each ray's path between two planes is than the central ray's."""
        v, u = ((np.arange(n) - (n - 1) / 2) * self.pixel_mm for n in self.shape)
        return np.sqrt(1 + (v[:, None] ** 2 + u[None, :] ** 2) / self.detector_mm**2).astype(np.float32)


@dataclass(frozen=True)
class Stack:
    """Labels along every ray of a beam.

    Attributes:
        beam: the geometry.
        labels: (K, H, W) label ids, from the source to the detector.
        planes: (K, 3, 3) each plane's origin, row step and column step, mm.
        step_mm: distance between planes, mm.
    """

    beam: Beam
    labels: U8
    planes: F64
    step_mm: float

    @cached_property
    def _counts(self) -> tuple[NDArray[np.intp], F32]:
        """Labels (M,) that occur, and how many planes (H * W, M) show each at each pixel."""
        present = np.flatnonzero(np.bincount(self.labels.ravel(), minlength=256))
        place = np.zeros(256, dtype=np.int32)
        place[present] = np.arange(len(present))
        pixels = self.labels[0].size
        at = place[self.labels.reshape(-1, pixels)] + np.arange(pixels, dtype=np.int32) * len(present)
        counts = np.bincount(at.ravel(), minlength=pixels * len(present))
        return present, counts.reshape(pixels, -1).astype(np.float32)

    def path(self, weights: F32) -> F32:
        """Length of each ray (H, W) in mm through labels, each mm times its weight (L,)."""
        present, counts = self._counts
        summed = (counts @ weights[present]).reshape(self.beam.shape)
        return np.asarray(summed * self.beam.obliquity() * np.float32(self.step_mm), dtype=np.float32)

    def with_labels(self, change: Callable[[U8, F64], U8]) -> Stack:
        """The stack with each plane's labels (H, W) changed; `change` gets the plane's axes (3, 3) too."""
        labels = np.stack([change(plane, axes) for plane, axes in zip(self.labels, self.planes, strict=True)])
        return Stack(self.beam, labels, self.planes, self.step_mm)


def cast(body: Solid, beam: Beam, depths: tuple[float, float], step_mm: float, rng: np.random.Generator) -> Stack:
    """Cut the body along a beam.

    Each pixel of a plane lies at another depth within the step, so that what is thinner than a step, as a rib, has its
    mean thickness over a few pixels. Each plane is shifted by up to half a pixel, so that outlines leave no stairs.

    Args:
        body: what is cut.
        beam: the geometry.
        depths: from where to where, mm along the beam from `beam.centre`.
        step_mm: distance between planes, mm.
        rng: for depths and shifts.
    """
    count = max(1, round((depths[1] - depths[0]) / step_mm))
    step = (depths[1] - depths[0]) / count
    at = beam.source_mm + depths[0] + step * (np.arange(count) + 0.5)
    shifts = rng.uniform(-0.5, 0.5, (count, 2))
    planes = np.stack([beam.plane(float(t), tuple(s)) for t, s in zip(at, shifts, strict=True)])
    # nearly level beams: heights stay, which keeps each row of a plane at one height; shapes are looked up faster so
    along = step * np.where(np.abs(beam.axes[2]) < _LEVEL, 0, beam.axes[2])
    offsets = along.astype(np.float32)[:, None, None, None] * _dither(count, beam.shape, rng)
    return Stack(beam, body.label_planes(planes, beam.shape, offsets), planes, step)


def _dither(count: int, shape: tuple[int, int], rng: np.random.Generator) -> F32:
    """Depths (count, H, W) within a step, -0.5 to 0.5: a pattern that is placed and started anew for each plane."""
    n = len(_ORDER)
    cells = ((rng.uniform(0, 1, (count, 1, 1)) + _ORDER) % 1 - 0.5).astype(np.float32)
    first = rng.integers(0, n, (count, 2))
    rows, cols = ((np.arange(size) + first[:, k, None]) % n for k, size in enumerate(shape))
    return np.asarray(cells[np.arange(count)[:, None, None], rows[:, :, None], cols[:, None, :]])
