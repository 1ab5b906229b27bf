"""Films: repeatable, the right way round, and as noisy and as large as their beam says."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from anatomy_clip.sources.phantom.structures import STRUCTURES
from anatomy_clip.sources.phantom.xray.detector import Detector, collimation, display, expose
from anatomy_clip.sources.phantom.xray.film import Film, make_film, take_stack
from anatomy_clip.sources.phantom.xray.nuisances import Nuisances, draw_nuisances
from anatomy_clip.sources.phantom.xray.sheet import film_sheet
from anatomy_clip.sources.phantom.xray.vessels import LUNG, lung_vessels
from anatomy_clip.sources.phantom.xray.views import make_beam, pose_body, view_of, views

STRAIGHT = Nuisances(
    quanta_mm2=5e4, scatter=0.3, gamma=1.0, turn_deg=(0, 0), field_scale=1.0, margins=(0, 0, 0, 0), marker="",
    marker_at=(0.05, 0.05), marker_mirrored=False, bubble_mm=0.0,
)  # fmt: skip


@cache
def body(view: str, breath: float = -20.0):
    return pose_body(7, view_of(view), breath, (0.2, 0.4))


@cache
def film(view: str, side: str = "", breath: float = -20.0) -> Film:
    rng = np.random.default_rng(3)
    return make_film(body(view, breath), view_of(view), rng, side=side, size=64, nuisances=STRAIGHT)


def columns(mask: np.ndarray) -> np.ndarray:
    return np.nonzero(mask.any(axis=0))[0]


def test_the_same_generator_state_gives_the_same_bytes() -> None:
    view = view_of("hand_pa")
    one, two, other = (
        make_film(body("hand_pa"), view, np.random.default_rng(seed), side="left", size=48) for seed in (5, 5, 6)
    )
    assert one.image.tobytes() == two.image.tobytes()
    assert one.nuisances == two.nuisances
    assert one.image.tobytes() != other.image.tobytes()
    assert (one.part, one.projection, one.side, one.image.dtype) == ("hand", "PA", "left", np.uint8)


def test_the_heart_is_on_the_right_of_a_frontal_picture_between_the_lungs() -> None:
    for name in ("chest_pa", "chest_ap"):
        masks = film(name).masks
        right, left, heart = (columns(masks[k]).mean() for k in ("lung_right", "lung_left", "heart"))
        assert right < 32 < heart < left
        # dense is bright: the heart in front of the spine outshines the lungs
        image = film(name).image
        only_lung = (masks["lung_right"] | masks["lung_left"]) & ~masks["heart"]
        assert image[masks["heart"]].mean() > image[only_lung].mean() + 40


def test_a_lateral_has_the_heart_in_front_of_the_spine_and_both_lungs_over_each_other() -> None:
    f = film("chest_lateral")
    view = view_of("chest_lateral")
    beam = make_beam(body("chest_lateral"), view, "", 64, 1.0, (0, 0))
    marks = body("chest_lateral").landmarks
    (spine,), _ = beam.project(marks["T7"][None])
    (heart,), _ = beam.project(marks["heart"][None])
    assert heart[1] < 32 < spine[1]
    assert columns(f.masks["heart"]).mean() < spine[1] - 5
    both = f.masks["lung_left"] & f.masks["lung_right"]
    assert both.sum() > 0.6 * f.masks["lung_left"].sum()


def test_a_portable_film_magnifies_the_heart() -> None:
    pa, ap = film("chest_pa"), film("chest_ap")
    assert ap.magnification > pa.magnification > 1
    width = {f.projection: np.ptp(columns(f.masks["heart"])) * f.spacing_mm for f in (pa, ap)}
    assert width["AP"] > 1.04 * width["PA"]


def test_deep_breath_lowers_the_diaphragm_and_leaves_the_rest_of_the_patient() -> None:
    def foot(breath: float) -> float:
        mask = film("chest_pa", "", breath).masks["lung_right"]
        column = columns(mask)[len(columns(mask)) // 2]
        return float(np.nonzero(mask[:, column])[0].max())

    assert foot(-40.0) > foot(10.0) + 2
    deep, flat = body("chest_pa", -40.0), body("chest_pa", 10.0)
    np.testing.assert_array_equal(deep.landmarks["carina"], flat.landmarks["carina"])
    assert deep.landmarks["liver_dome"].shape == (3,)


def test_poses_of_a_patient_share_the_anatomy() -> None:
    forward, up = body("chest_pa"), body("chest_lateral")
    for name in ("heart", "T7", "stomach_fundus", "knee_left"):
        np.testing.assert_array_equal(forward.landmarks[name], up.landmarks[name])
    z = float(forward.landmarks["heart"][2])
    planes = [b.label_plane((90, 80, z), (0, -4, 0), (-4, 0, 0), (36, 46)) for b in (forward, up)]
    assert (planes[0] == planes[1]).mean() > 0.99
    np.testing.assert_array_equal(forward.warp.waves, up.warp.waves)


def test_noise_falls_with_exposure_as_poisson_says() -> None:
    primary = np.full((64, 64), 0.2, np.float32)
    whole = collimation((64, 64), (0, 0, 0, 0))
    spread = {}
    for quanta in (100.0, 6400.0):
        signal = expose(
            primary, Detector(scatter=0.5, quanta_mm2=quanta, blur_px=0), whole, 2.0, np.random.default_rng(0)
        )
        assert signal.mean() == pytest.approx(0.3, rel=0.01)  # primary and half as much scatter
        spread[quanta] = signal.std()
        assert signal.std() == pytest.approx(np.sqrt(0.3 / (quanta * 4)), rel=0.06)
    assert spread[100.0] > 7 * spread[6400.0]


def test_what_is_denser_is_brighter_and_shutters_are_black() -> None:
    signal = np.repeat(np.linspace(0.5, 0.01, 64, dtype=np.float32)[None], 64, axis=0)
    field = collimation((64, 64), (0.25, 0, 0, 0))
    picture = display(signal * field, Detector(scatter=0, quanta_mm2=1, detail=0, flatten=0), field)
    assert (picture[:15] == 0).all()
    assert (np.diff(picture[40].astype(int)) >= 0).all()
    assert picture[40, 5] < 60 < 200 < picture[40, 58]
    assert field.mean() == pytest.approx(0.75, abs=0.01)


def test_gas_in_an_upright_stomach_lies_on_fluid() -> None:
    """Just above the level the ray meets gas, so the left upper belly is darker there than below."""
    f, view = film("chest_pa"), view_of("chest_pa")
    beam = make_beam(body("chest_pa"), view, "", 64, 1.0, (0, 0))
    (at,), _ = beam.project(body("chest_pa").landmarks["stomach_fundus"][None])
    row, column = round(at[0]), round(at[1])
    above, below = (f.image[row + d - 1 : row + d + 2, column - 1 : column + 2].mean() for d in (-3, 4))
    assert above < below - 15


def test_vessels_belong_to_the_body_and_lie_in_its_lungs() -> None:
    segments, radii = lung_vessels(body("chest_pa"))
    again, _ = lung_vessels(body("chest_pa"))
    np.testing.assert_array_equal(segments, again)
    assert LUNG[body("chest_pa").label(segments[:, 1].astype(np.float32))].all()
    carina = body("chest_pa").landmarks["carina"][0]
    assert 60 < (segments[:, 1, 0] > carina).sum() < len(segments) - 60
    assert radii.min() < 1.2 < 2.5 < radii.max()


@pytest.mark.parametrize("name", [n for n, v in views().items() if v.sided])
def test_limbs_fill_their_films_and_the_other_side_mirrors_them(name) -> None:
    view = view_of(name)
    bones = film(name, "left").masks["bones"]
    assert bones[16:48, 16:48].any()
    assert 0.01 < bones.mean() < 0.6
    left, right = (make_beam(body(name), view, side, 64, 1.0, (0, 0)) for side in ("left", "right"))
    if view.projection != "lateral":
        assert left.axes[1] @ right.axes[1] > 0.5  # seen from the same end: image right is the same side of the patient
    assert left.centre[0] < 0 < right.centre[0]


def test_a_limb_is_alone_on_its_film() -> None:
    stacks = {
        name: take_stack(body(name), view_of(name), STRAIGHT, np.random.default_rng(0), side="left", size=32)
        for name in ("knee_lateral", "hip_ap")
    }
    seen = {name: {STRUCTURES[k].name for k in np.unique(stack.labels)} for name, stack in stacks.items()}
    assert {"femur_left", "patella_left", "tibia_left"} < seen["knee_lateral"]
    assert not [name for name in seen["knee_lateral"] if name.endswith("_right")]
    assert "hip_left" in seen["hip_ap"]  # part of the trunk: what is beside it is seen
    assert seen["hip_ap"] & {"sacrum", "urinary_bladder", "colon", "small_bowel"}


def test_nuisances_are_drawn_independently_of_each_other() -> None:
    view = view_of("chest_pa")
    drawn = [draw_nuisances(view, "", np.random.default_rng(k)) for k in range(400)]
    table = np.array(
        [
            [
                np.log(d.quanta_mm2),
                d.scatter,
                d.gamma,
                *d.turn_deg,
                d.field_scale,
                *d.margins,
                d.marker == "L",
                d.bubble_mm,
            ]
            for d in drawn
        ]
    )
    correlation = np.corrcoef(table.T) - np.eye(table.shape[1])
    assert np.abs(correlation).max() < 0.2  # four standard errors at 400
    assert {d.marker for d in drawn} == {"L", "R", ""}
    assert np.abs([d.turn_deg for d in drawn]).max() <= 5
    assert {draw_nuisances(view_of("knee_ap"), "left", np.random.default_rng(k)).marker for k in range(20)} == {"L", ""}


@pytest.mark.parametrize(("marker", "half"), [("R", slice(0, 20)), ("L", slice(44, 64))])
def test_the_marker_stands_on_its_side_of_the_patient(marker, half) -> None:
    view = view_of("chest_pa")
    marked = make_film(
        body("chest_pa"), view, np.random.default_rng(3), size=64, nuisances=replace(STRAIGHT, marker=marker)
    )
    changed = np.nonzero(marked.image != film("chest_pa").image)
    assert len(changed[1]) > 4
    assert half.start <= changed[1].min() and changed[1].max() < half.stop
    assert changed[0].max() < 20


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="chest_pa"):
        view_of("chest_pe")
    with pytest.raises(ValueError, match="arms are 'forward'"):
        make_film(body("chest_pa"), view_of("chest_lateral"), np.random.default_rng(0))
    with pytest.raises(ValueError, match="use 'left' or 'right'"):
        make_film(body("knee_ap"), view_of("knee_ap"), np.random.default_rng(0))
    with pytest.raises(ValueError, match="no films"):
        film_sheet([], None)


def test_the_sheet_has_a_row_a_view(tmp_path) -> None:
    films = [film("chest_pa"), film("chest_ap"), film("chest_pa")]
    film_sheet(films, tmp_path / "sheet.png", tile=64, outlines=True)
    sheet = cv2.imread(str(tmp_path / "sheet.png"), cv2.IMREAD_GRAYSCALE)
    assert sheet.shape == (2 * 64, 110 + 2 * 64)
    assert sheet[64:, 110 + 64 :].max() == 0  # the second row has one film
    assert sheet[:64, 110 + 64 :].std() > 20
