"""Bones along the rays of a film, and what a break does to them: a gap opens, and the fragment beyond it moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.sources.phantom.xray.attenuation import label_mixtures
from anatomy_clip.sources.phantom.xray.findings.effects import Mask, path_at, splat
from anatomy_clip.sources.phantom.xray.geometry import F32, F64, Beam, Stack

_CUT_MM = 9.0  # bone this near to the cut is the finding's mask
BONE_MM = 2.0  # path that makes a pixel part of the mask


@dataclass(frozen=True)
class Break:
    """Where and how a bone is broken.

    Attributes:
        site: (3,) middle of the cut, mm.
        axis: (3,) unit vector at right angles to the cut, to the fragment that moves.
        shift: (3,) how far the fragment moves at the cut, mm.
        gap: mm.
        reach: how far along the bone the fragment moves, ever less, mm.
    """

    site: F64
    axis: F64
    shift: F64
    gap: float
    reach: float


@dataclass(frozen=True)
class Bone:
    """Samples of a bone along the rays of a film.

    Attributes:
        points: (N, 3) mm.
        pixel: (N,) index of the pixel, row by row.
        excess: (2, N) mm of water and cortical bone on the ray, less the mm of water that soft tissue would be there.
        length: (N,) mm of the ray.
    """

    points: F64
    pixel: NDArray[np.int64]
    excess: F64
    length: F64

    def near(self, kept: Mask) -> Bone:
        """The samples where `kept` (N,) holds."""
        return Bone(self.points[kept], self.pixel[kept], self.excess[:, kept], self.length[kept])


def gather_bone(stack: Stack, chosen: Mask) -> Bone:
    """The samples of chosen labels (L,) on a film."""
    k, i, j = np.nonzero(chosen[stack.labels])
    planes = stack.planes[k]
    points = planes[:, 0] + i[:, None] * planes[:, 1] + j[:, None] * planes[:, 2]
    pixel = i * stack.beam.shape[1] + j
    length = stack.step_mm * stack.beam.obliquity().ravel()[pixel].astype(np.float64)
    excess = label_mixtures()[:, stack.labels[k, i, j]] - np.array([[1.0], [0.0]])
    return Bone(points, pixel, excess * length, length)


def break_bone(bone: Bone, how: Break, beam: Beam) -> tuple[F32, Mask]:
    """What a fracture adds to each ray, (2, H, W) mm of water and cortical bone, and its mask (H, W)."""
    h, w = beam.shape
    along = (bone.points - how.site) @ how.axis
    wide = max(how.gap, beam.pixel_mm / beam.magnification)
    left = 1 - np.clip(1 - np.abs(along) / wide, 0, 1) * how.gap / wide  # as much is lost as the gap is wide
    moved = np.where(along > 0, np.clip(1 - along / how.reach, 0, 1), 0)
    touched = (moved > 0) | (left < 1)
    at, _ = beam.project(bone.points + moved[:, None] * how.shift)
    after = [splat(at[touched], (left * one)[touched], beam.shape) for one in bone.excess]
    before = [np.bincount(bone.pixel[touched], one[touched], minlength=h * w).reshape(h, w) for one in bone.excess]
    close = np.abs(along) < _CUT_MM
    path = np.maximum(
        splat(at[close], bone.length[close], beam.shape), path_at(bone.pixel[close], bone.length[close], beam.shape)
    )
    return np.asarray(np.stack(after) - np.stack(before), dtype=np.float32), path >= BONE_MM
