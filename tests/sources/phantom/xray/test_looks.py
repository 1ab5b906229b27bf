"""How films look: brightness, fine structures, poses, and what a site changes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from anatomy_clip.sources.phantom.body import Body
from anatomy_clip.sources.phantom.structures import STRUCTURES
from anatomy_clip.sources.phantom.xray.film import make_film
from anatomy_clip.sources.phantom.xray.geometry import Beam, cast
from anatomy_clip.sources.phantom.xray.nuisances import Nuisances, Site, draw_nuisances
from anatomy_clip.sources.phantom.xray.views import View, make_beam, pose_body, view_of

STRAIGHT = Nuisances(
    quanta_mm2=5e4, scatter=0.3, gamma=1.0, turn_deg=(0, 0), field_scale=1.0, margins=(0, 0, 0, 0), marker="",
    marker_at=(0.05, 0.05), marker_mirrored=False, bubble_mm=0.0,
)  # fmt: skip


@cache
def body(view: str, habitus: float = 0.3) -> Body:
    return pose_body(11, view_of(view), -25.0, (habitus, habitus))


@pytest.mark.parametrize("name", ["chest_pa", "chest_ap", "chest_lateral"])
@pytest.mark.parametrize("habitus", [0.05, 0.5, 1.0])
def test_lungs_are_grey_and_hardly_anything_is_white(name, habitus) -> None:
    film = make_film(body(name, habitus), view_of(name), np.random.default_rng(1), size=64, nuisances=STRAIGHT)
    lungs = (film.masks["lung_left"] | film.masks["lung_right"]) & ~film.masks["heart"]
    assert 70 < film.image[lungs].mean() < 150
    assert (film.image > 250).mean() < 0.01
    if film.projection != "lateral":  # there shoulders and spine lie over the lungs too
        assert film.image[film.masks["heart"]].mean() > film.image[lungs].mean() + 40


def test_what_is_thinner_than_a_step_has_its_thickness_over_a_few_pixels() -> None:
    class Sheet:
        """Label 1 from 0 to 5 mm behind the middle."""

        def label_planes(self, planes, shape, offsets):
            depth = planes[:, 0, 1][:, None, None] + offsets[1]
            return ((depth > 0) & (depth < 5)).astype(np.uint8)

    beam = Beam(np.zeros(3), np.array([[0.0, 0, -1], [-1, 0, 0], [0, 1, 0]]), 800.0, 1000.0, 2.0, (32, 32))
    only = np.arange(len(STRUCTURES), dtype=np.float32) == 1
    path = cast(Sheet(), beam, (-48, 48), 6.0, np.random.default_rng(0)).path(only.astype(np.float32))
    blocks = path.reshape(8, 4, 8, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(blocks, 5, atol=0.45)


def test_an_elbow_is_flexed_in_the_lateral_and_straight_in_the_frontal_view() -> None:
    for name, low, high in (("elbow_ap", 150, 180), ("elbow_lateral", 80, 100)):
        marks = body(name).landmarks
        for side in ("left", "right"):
            arm, fore = (marks[f"{joint}_{side}"] - marks[f"elbow_{side}"] for joint in ("shoulder", "wrist"))
            cosine = arm @ fore / np.linalg.norm(arm) / np.linalg.norm(fore)
            assert low < np.degrees(np.arccos(cosine)) < high


def test_the_detector_of_a_pa_film_touches_the_chest() -> None:
    posed, view = body("chest_pa"), view_of("chest_pa")
    beam = make_beam(posed, view, "", 64, 1.0, (0, 0))
    detector = beam.source + beam.axes[2] * beam.detector_mm
    assert detector[1] - posed.landmarks["trunk_front"][1] == pytest.approx(view.gap)
    assert posed.hi[1] > posed.landmarks["trunk_front"][1] + 20  # hands and elbows are in front of it


def test_a_site_sets_every_film_and_shifts_no_other_draw() -> None:
    view = view_of("chest_pa")
    site = Site(
        quanta_mm2=(100.0, 200.0), scatter=(2.0, 2.0), blur_px=(1.0, 1.2), gamma=(1.3, 1.4), flatten=(0.5, 0.5),
        detail=(0.1, 0.2), spectra={"chest": "portable"}, marker_share=1.0, shutter_share=0.0, field_scale=(1.2, 1.2),
    )  # fmt: skip
    for seed in range(20):
        here, there = (draw_nuisances(view, "", np.random.default_rng(seed), s) for s in (Site(), site))
        assert 100 <= there.quanta_mm2 <= 200 and 1.0 <= there.blur_px <= 1.2 and 1.3 <= there.gamma <= 1.4
        assert (there.flatten, there.field_scale, there.margins) == (0.5, 1.2, (0, 0, 0, 0))
        assert there.scatter == pytest.approx(2 * here.scatter)
        assert there.marker in ("L", "R") and there.spectrum == "portable"
        assert (there.turn_deg, there.marker_at, there.bubble_mm) == (here.turn_deg, here.marker_at, here.bubble_mm)
    assert draw_nuisances(view_of("knee_ap"), "left", np.random.default_rng(0), site).spectrum == ""
    detector = replace(STRAIGHT, flatten=2.0).detector(view)
    assert (detector.flatten, detector.rim, detector.knee_at) == (1.0, view.rim, view.knee_at)


def test_fewer_quanta_make_a_grainier_film() -> None:
    view: View = view_of("chest_ap")
    grain = {}
    for quanta in (300.0, 3e5):
        images = [
            make_film(
                body("chest_ap"), view, np.random.default_rng(5), size=48, nuisances=replace(STRAIGHT, quanta_mm2=q)
            ).image.astype(float)
            for q in (quanta, 1e9)
        ]
        grain[quanta] = (images[0] - images[1]).std()
    assert grain[300.0] > 5 * grain[3e5]
