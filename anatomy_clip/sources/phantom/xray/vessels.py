"""Vessels within the lungs, finer than a body's own: they make the lungs' markings on a film.

They belong to the patient, not to the film: the same body has the same tree.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.sources.phantom.body import Body
from anatomy_clip.sources.phantom.structures import STRUCTURES
from anatomy_clip.sources.phantom.xray.geometry import F32, F64, Beam

LUNG = np.array([s.tissue == "lung" for s in STRUCTURES])

_STEMS = 12  # from each hilum
_LEVELS = 5
_ROOT_MM = 2.8  # radius of a stem
_SHRINK = 0.75  # radius from level to level (2 ** (-1 / 3) = 0.79 would be Murray's law)
_FIRST_MM = 36.0  # length of a stem
_RINGS = 6  # points in a cross-section
_ALONG_MM = 1.5
_HILUM_MM = (43.0, -2.0, -36.0)  # from the carina: to the side, to the front, up


@lru_cache(maxsize=4)  # the films of a study show the same body
def lung_vessels(body: Body) -> tuple[F64, F64]:
    """Segments (N, 2, 3) mm and radii (N,) mm, not to be changed, of the vessels that lie within the lungs."""
    rng = np.random.default_rng(zlib.crc32(body.warp.waves.tobytes()))
    side = np.repeat([1.0, -1.0], _STEMS)
    elevation = np.tile(np.linspace(-1.25, 1.25, _STEMS), 2) + rng.normal(0, 0.15, 2 * _STEMS)
    azimuth = rng.uniform(-1.2, 1.2, 2 * _STEMS)
    sideways, forward = side * np.cos(azimuth), np.sin(azimuth)
    way = np.stack([sideways * np.cos(elevation), forward * np.cos(elevation), np.sin(elevation)], axis=1)
    start = body.landmarks["carina"] + np.array(_HILUM_MM) * np.stack([side, side * side, side * side], axis=1)
    found, radii = [], []
    for level in range(_LEVELS):
        step = way * (_FIRST_MM * 0.88**level * rng.uniform(0.6, 1.25, len(way)))[:, None]
        tries = np.stack(
            [start + step, start + 0.4 * step]
        )  # (2, N, 3): a shorter branch where a long one leaves the lung
        whole, short = LUNG[body.label(tries.astype(np.float32))]
        inside = whole | short
        end = np.where(whole[:, None], tries[0], tries[1])[inside]
        found.append(np.stack([start[inside], end], axis=1))
        radii.append(np.full(len(end), _ROOT_MM * _SHRINK**level))
        start, way = np.repeat(end, 2, axis=0), np.repeat(way[inside], 2, axis=0)
        way = way + rng.normal(0, 0.38, way.shape)
        way /= np.linalg.norm(way, axis=1, keepdims=True)
    return np.concatenate(found), np.concatenate(radii)


def vessel_path(segments: F64, radii: F64, beam: Beam) -> F32:
    """Length of each ray (H, W) within vessels, mm.

    Each vessel is filled with points of equal volume. A point adds to the four pixels about it its volume over the area
    that a pixel covers there, so that the sum over the image is right however thin the vessel.

    Args:
        segments: (N, 2, 3) ends of round vessels, mm.
        radii: (N,) mm.
        beam: the geometry.
    """
    points, volumes = _filled(segments, radii)
    at, scale = beam.project(points)
    depth = volumes * (scale / beam.pixel_mm) ** 2  # mm of path when one pixel takes all of it
    corner = np.floor(at).astype(np.int64)
    part = at - corner
    out = np.zeros(beam.shape[0] * beam.shape[1])
    for di in (0, 1):
        for dj in (0, 1):
            i, j = corner[:, 0] + di, corner[:, 1] + dj
            share = np.abs(1 - di - part[:, 0]) * np.abs(1 - dj - part[:, 1])
            seen = (i >= 0) & (i < beam.shape[0]) & (j >= 0) & (j < beam.shape[1])
            where = i[seen] * beam.shape[1] + j[seen]
            out += np.bincount(where, (share * depth)[seen], minlength=len(out))
    return np.asarray(out.reshape(beam.shape), dtype=np.float32)


def _filled(segments: F64, radii: F64) -> tuple[F64, NDArray[np.float64]]:
    """Points (M, 3) mm that fill the vessels, and their volumes (M,) mm3."""
    along = segments[:, 1] - segments[:, 0]
    length = np.linalg.norm(along, axis=1)
    count = np.maximum(1, np.ceil(length / _ALONG_MM)).astype(int)
    owner = np.repeat(np.arange(len(count)), count)
    order = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    middle = segments[owner, 0] + along[owner] * ((order + 0.5) / count[owner])[:, None]
    ray = along / length[:, None]
    u = np.cross(ray, np.where(np.abs(ray[:, 2:]) < 0.9, [[0.0, 0, 1]], [[1.0, 0, 0]]))
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(ray, u)
    k = np.arange(_RINGS)
    r, angle = np.sqrt((k + 0.5) / _RINGS), k * np.pi * (3 - np.sqrt(5))  # a sunflower's even disc
    offset = radii[:, None, None] * (
        u[:, None] * (r * np.cos(angle))[:, None] + v[:, None] * (r * np.sin(angle))[:, None]
    )
    points = middle[:, None] + offset[owner]  # (M / rings, rings, 3)
    volume = np.pi * radii**2 * length / (count * _RINGS)
    return points.reshape(-1, 3), np.repeat(volume[owner], _RINGS)
