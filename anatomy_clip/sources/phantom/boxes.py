"""Boxes around shapes: which of them a plane can meet, and where on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


class Boxes:
    """Boxes along the patient's axes, mm."""

    def __init__(self, lo: F32, hi: F32) -> None:
        """Keeps the lowest and highest corners (N, 3)."""
        self.lo, self.hi = lo, hi
        self._centre = (lo + hi) / 2
        self._half = (hi - lo) / 2

    def plane_rects(self, planes: F64, shape: tuple[int, int], margin: float) -> NDArray[np.int64]:
        """Index rectangles (N, 4) row0, row1, col0, col1 of all boxes on parallel planes (row1 <= row0: not seen).

        Args:
            planes: (K, 3, 3) origin, row step, column step in mm.
            shape: image size (H, W).
            margin: mm by which boxes grow.
        """
        out = np.zeros((len(self.lo), 4), dtype=np.int64)
        near = self._near(planes, margin)
        rects = np.stack([self._plane_rects(plane, shape, margin, near) for plane in planes])
        seen = (rects[..., 1] > rects[..., 0]) & (rects[..., 3] > rects[..., 2])
        out[near, 0::2] = np.where(seen[..., None], rects[..., 0::2], max(shape)).min(axis=0)
        out[near, 1::2] = np.where(seen[..., None], rects[..., 1::2], 0).max(axis=0)
        return out

    def _near(self, planes: F64, margin: float) -> NDArray[np.int64]:
        """Indices of the boxes that reach between the first and the last of some parallel planes."""
        normal = np.cross(planes[0, 1], planes[0, 2])
        middle, half = self._centre @ normal, (self._half + margin) @ np.abs(normal)
        ends = planes[[0, -1], 0] @ normal
        slack = 1e-6 * np.abs(ends).max()
        return np.flatnonzero((middle + half >= ends.min() - slack) & (middle - half <= ends.max() + slack))

    def _plane_rects(
        self, plane: F64, shape: tuple[int, int], margin: float, boxes: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        origin, row, col = plane
        normal = np.cross(row, col)
        axes = np.stack([row / (row @ row), col / (col @ col), normal / np.linalg.norm(normal)])
        mid = (self._centre[boxes] - origin) @ axes.T
        half = (self._half[boxes] + margin) @ np.abs(axes).T
        top = np.array([shape[0], shape[1]])
        lo = np.clip(np.ceil(mid[:, :2] - half[:, :2]), 0, top).astype(np.int64)
        hi = np.clip(np.floor(mid[:, :2] + half[:, :2]) + 1, 0, top).astype(np.int64)
        hi[np.abs(mid[:, 2]) > half[:, 2]] = 0
        return np.stack([lo[:, 0], hi[:, 0], lo[:, 1], hi[:, 1]], axis=1)

    def point_rects(self, p: F32, margin: float) -> NDArray[np.int64]:
        """As `plane_rects` for free points p (4, 1, N): all of them, or none where the boxes don't meet."""
        low, high = p[:3].min(axis=(1, 2)), p[:3].max(axis=(1, 2))
        seen = np.all((self.lo - margin <= high) & (self.hi + margin >= low), axis=1)
        rects = np.zeros((len(seen), 4), dtype=np.int64)
        rects[seen] = (0, 1, 0, p.shape[2])
        return rects
