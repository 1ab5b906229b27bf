"""Primitives against their formulas in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from anatomy_clip.sources.phantom.builder import Builder, rotation
from anatomy_clip.sources.phantom.shapes import Layer, Scene


def grid(step: float = 1.0, half: int = 40) -> np.ndarray:
    axis = np.arange(-half, half + 1) * step
    p = np.ones((4, len(axis), len(axis)), dtype=np.float32)
    p[0], p[1], p[2] = axis[:, None], axis[None, :], 3.0
    return p


def paint(scene: Scene, p: np.ndarray) -> np.ndarray:
    rects = np.tile([0, p.shape[1], 0, p.shape[2]], (len(scene.boxes.lo), 1))
    return scene.paint(p, rects)


def test_ellipsoid_matches_its_equation_after_a_turn() -> None:
    b, turn = Builder(), rotation(x=20, y=-30, z=40)
    b.ellipsoid((4, -3, 1), (25, 14, 9), turn).paint(Layer(0, 7))
    p = grid()
    q = np.einsum("ji,jhw->ihw", turn, p[:3] - np.array([4, -3, 1])[:, None, None])
    inside = ((q / np.array([25, 14, 9])[:, None, None]) ** 2).sum(axis=0) < 1
    assert (paint(b.scene(), p) == 7 * inside).mean() > 0.999


def test_round_cone_matches_distance_to_its_axis() -> None:
    b = Builder()
    a, e, ra, rb = np.array([-20.0, 0, 3]), np.array([20.0, 5, 3]), 4.0, 9.0
    b.cone(a, e, ra, rb).paint(Layer(0, 1))
    p = grid()
    v = p[:3] - a[:, None, None]
    t = np.clip(np.einsum("k,khw->hw", e - a, v) / ((e - a) @ (e - a)), 0, 1)
    near = np.linalg.norm(v - t * (e - a)[:, None, None], axis=0)
    assert (paint(b.scene(), p) == (near < ra + t * (rb - ra))).mean() > 0.999


def test_cylinder_has_flat_ends_and_an_elliptic_section() -> None:
    b = Builder()
    b.cylinder((0, 0, -10), (0, 0, 10), 20, (0, 1, 0), 2.0).paint(Layer(0, 1))
    p = grid()
    inside = (p[0] / 20) ** 2 + (p[1] / 10) ** 2 < 1
    assert (paint(b.scene(), p) == inside).mean() > 0.999
    p[2] = 10.5
    assert not paint(b.scene(), p).any()


def test_loft_is_a_squircle_with_its_own_front_and_back() -> None:
    b = Builder()
    b.loft((-10, 20), [(2, 1, 20, 12, 18, 0.5)] * 2, Layer(0, 3), smooth=1)
    p = grid()
    u = ((p[0] - 2) / 20) ** 2
    v = ((p[1] - 1) / np.where(p[1] > 1, 12, 18)) ** 2
    inside = (u + v - 0.5 * np.minimum(u * v, 1)) < 1
    assert (paint(b.scene(), p) == 3 * inside).mean() > 0.999


def test_layers_levels_planes_and_insets() -> None:
    b = Builder()
    b.ellipsoid((0, 0, 3), (20, 20, 20)).paint(Layer(5, 1), Layer(5, 2, 5.0, ((1, 0, 0, 0),)))
    b.ellipsoid((0, 0, 3), (30, 30, 30)).paint(Layer(1, 4))
    out = paint(b.scene(), grid())
    middle = 40
    assert out[middle + 10, middle] == 2 and out[middle - 10, middle] == 1
    assert out[middle + 17, middle] == 1 and out[middle + 25, middle] == 4 and out[middle + 35, middle] == 0


def test_culling_on_a_plane_loses_nothing() -> None:
    rng, b = np.random.default_rng(1), Builder()
    for k in range(40):
        b.ellipsoid(rng.uniform(-40, 40, 3), rng.uniform(3, 12, 3), rotation(*rng.uniform(0, 90, 3)))
        b.paint(Layer(k, k + 1))
        b.cone(rng.uniform(-40, 40, 3), rng.uniform(-40, 40, 3), 3, 5).paint(Layer(k, 60 + k))
    scene, p = b.scene(), grid()
    plane = np.array([[-40, -40, 3], [1, 0, 0], [0, 1, 0]], dtype=np.float64)
    np.testing.assert_array_equal(scene.paint(p, scene.boxes.plane_rects(plane[None], (81, 81), 0.0)), paint(scene, p))


def test_unpainted_shapes_are_an_error() -> None:
    b = Builder()
    b.ellipsoid((0, 0, 0), (1, 1, 1))
    with pytest.raises(ValueError, match="after the last paint"):
        b.scene()
