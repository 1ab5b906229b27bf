"""The heart of bodies for films: its factor widens it to the left, and sections know nothing of it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from anatomy_clip.sources.phantom.body import Body, make_body
from anatomy_clip.sources.phantom.structures import STRUCTURES
from anatomy_clip.sources.phantom.xray.views import pose_body, view_of

HEART = np.array([s.name in ("heart", "atrial_appendage_left") for s in STRUCTURES])
LUNG = np.array([s.tissue == "lung" for s in STRUCTURES])
STEP = 4.0


@cache
def posed(heart: float) -> Body:
    return pose_body(7, view_of("chest_pa"), -30.0, (0.3, 0.3), heart=heart)


@cache
def slab(heart: float) -> np.ndarray:
    """Labels (K, H, W) of axial planes from the diaphragm to the aortic arch; columns run from right to left."""
    body = posed(heart)
    z = float(body.landmarks["heart"][2])
    planes = [body.label_plane((180, 150, z + dz), (0, -STEP, 0), (-STEP, 0, 0), (75, 90)) for dz in range(-60, 101, 8)]
    return np.stack(planes)


def borders(heart: float) -> tuple[float, float]:
    """How far the heart reaches to the right and to the left of the middle, mm."""
    columns = np.nonzero(HEART[slab(heart)].any(axis=(0, 1)))[0]
    x = 180 - STEP * columns - posed(heart).landmarks["T7"][0]
    return float(x.max()), float(-x.min())


def test_about_two_thirds_of_the_heart_lie_left_of_the_midline() -> None:
    right, left = borders(1.0)
    assert 0.6 < left / (left + right) < 0.75


def test_the_factor_widens_the_heart_mostly_to_the_left() -> None:
    (right, left), (wide_right, wide_left) = borders(1.0), borders(1.4)
    assert wide_right + wide_left == pytest.approx(1.4 * (right + left), rel=0.08)
    assert wide_left - left > 2 * (wide_right - right) >= 0


def test_a_large_heart_takes_its_room_from_the_lungs_and_stays_in_the_chest() -> None:
    plain, large = slab(1.0), slab(1.4)
    gained = HEART[large] & ~HEART[plain]
    assert (HEART[plain] & ~HEART[large]).sum() < 0.04 * gained.sum()
    assert LUNG[plain][gained].mean() > 0.5
    outside = {STRUCTURES[k].name for k in np.unique(plain[gained])} & {"skin", "subcutaneous_fat", "background"}
    assert not outside


def test_a_body_for_films_has_a_patients_other_draws() -> None:
    section, film = (make_body(np.random.default_rng(3), arms="down", heart=heart) for heart in (None, 1.0))
    for name, mark in section.landmarks.items():
        np.testing.assert_array_equal(mark, film.landmarks[name])
    np.testing.assert_array_equal(section.warp.waves, film.warp.waves)
