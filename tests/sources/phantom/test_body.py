"""The phantom's bodies: repeatable, complete, the right way round, and of a human size."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest

from anatomy_clip.sources.phantom.body import Body, make_body
from anatomy_clip.sources.phantom.structures import SIDES, SPINE, STRUCTURES, label_id

NAMES = np.array([s.name for s in STRUCTURES])

# one structure (or more, any of which will do) behind each of the 20 organs
ORGANS = {
    "brain": ["brain"],
    "mandible": ["mandible"],
    "neck": ["vertebrae_C5", "thyroid_gland"],
    "shoulder": ["scapula_left", "clavicula_left"],
    "humerus": ["humerus_left", "humerus_right"],
    "elbow": ["ulna_left", "humerus_left"],
    "forearm": ["radius_left", "ulna_right"],
    "wrist": ["carpal_left", "carpal_right"],
    "hand": ["metacarpal_left", "phalanges_hand_right"],
    "lungs": ["lung_upper_lobe_left", "lung_middle_lobe_right", "lung_lower_lobe_left"],
    "heart": ["heart"],
    "liver": ["liver"],
    "kidneys": ["kidney_left", "kidney_right"],
    "intestine": ["small_bowel", "colon", "duodenum"],
    "pelvic bone": ["hip_left", "hip_right", "sacrum"],
    "thigh": ["femur_left", "quadriceps_femoris_right"],
    "knee": ["patella_left", "patella_right"],
    "leg": ["tibia_left", "fibula_right"],
    "ankle": ["tarsal_left", "tibia_left"],
    "foot": ["metatarsal_left", "phalanges_feet_right"],
}


@cache
def body(seed: int, arms: str | None = None, sex: str | None = None) -> Body:
    return make_body(np.random.default_rng(seed), arms=arms, sex=sex, habitus_range=(0.1, 0.6))


def axial(b: Body, z: float, step: float = 4.0) -> np.ndarray:
    shape = (int((b.hi[1] - b.lo[1]) / step), int((b.hi[0] - b.lo[0]) / step))
    return b.label_plane((b.hi[0], b.hi[1], z), (0, -step, 0), (-step, 0, 0), shape)


@cache
def volumes(seed: int, arms: str, sex: str) -> Counter[str]:
    """Millilitres by name, from axial planes 8 mm apart."""
    b, total = body(seed, arms, sex), np.zeros(len(STRUCTURES))
    for z in np.arange(b.lo[2], b.hi[2], 8.0):
        total += np.bincount(axial(b, z).ravel(), minlength=len(STRUCTURES))
    out: Counter[str] = Counter()
    for name, count in zip(NAMES, total, strict=True):
        out[name] += count * 4 * 4 * 8 / 1000
    return out


def test_the_same_generator_state_gives_the_same_body() -> None:
    one, two = (make_body(np.random.default_rng(5)) for _ in range(2))
    other = make_body(np.random.default_rng(6))
    z = float(one.landmarks["L2"][2])
    np.testing.assert_array_equal(axial(one, z), axial(two, z))
    assert one.landmarks.keys() == two.landmarks.keys()
    assert all(np.array_equal(one.landmarks[k], two.landmarks[k]) for k in one.landmarks)
    assert other.height_mm != one.height_mm


def test_labels_fit_a_byte_and_names_are_unique_by_tissue() -> None:
    assert len(STRUCTURES) <= 256
    assert len({(s.name, s.tissue) for s in STRUCTURES}) == len(STRUCTURES)
    assert STRUCTURES[0].name == STRUCTURES[0].tissue == "air"
    assert len(set(NAMES)) >= 110


@pytest.mark.parametrize(("seed", "arms", "sex"), [(0, "up", "male"), (1, "down", "female")])
def test_every_organ_and_structure_occurs(seed: int, arms: str, sex: str) -> None:
    seen = {name for name, ml in volumes(seed, arms, sex).items() if ml > 0}
    for organ, names in ORGANS.items():
        assert seen.issuperset(names), organ
    absent = {"uterus", "breast_left", "breast_right"} if sex == "male" else {"prostate", "genitals"}
    small = {
        "eye_lens_left",
        "eye_lens_right",
        "atrial_appendage_left",
        "adrenal_gland_left",
        "adrenal_gland_right",
    }
    assert set(NAMES) - seen <= absent | small
    assert not (absent & seen)


@pytest.mark.parametrize(("seed", "arms", "sex"), [(0, "up", "male"), (1, "down", "female")])
def test_volumes_lie_in_human_ranges(seed: int, arms: str, sex: str) -> None:
    v = volumes(seed, arms, sex)
    lungs = sum(ml for name, ml in v.items() if name.startswith("lung"))
    assert 1800 < lungs < 7000  # CT without a held deep breath up to total capacity
    assert 1000 < v["liver"] < 2300
    assert 60 < v["spleen"] < 420
    assert 1000 < v["brain"] < 1750  # with its ventricles and cisterns
    for side in SIDES:
        assert 75 < v[f"kidney_{side}"] < 260
        assert 250 < v[f"femur_{side}"] < 750
    assert 280 < v["heart"] < 950
    mass = sum(ml for name, ml in v.items() if name != "air") - 0.75 * lungs
    bmi = mass / 1000 / (body(seed, arms, sex).height_mm / 1000) ** 2
    assert 16 < bmi < 40


@pytest.mark.parametrize("arms", ["up", "down", "across"])
def test_sides_are_where_they_belong(arms: str) -> None:
    b = body(3, arms)
    for name in ("hip", "shoulder", "elbow", "knee", "ankle", "foot", "thigh", "leg"):
        assert b.landmarks[f"{name}_right"][0] > 0 > b.landmarks[f"{name}_left"][0]
    step = 4.0
    height, width = int((b.hi[2] - b.lo[2]) / step), int((b.hi[0] - b.lo[0]) / step)
    # sum of x over a few coronal planes: right structures lie at positive x
    for y in (-40.0, -10.0, 10.0):
        plane = b.label_plane((b.hi[0], y, b.hi[2]), (0, 0, -step), (-step, 0, 0), (height, width))
        x = b.hi[0] - step * np.arange(width)
        for pair in ("kidney", "femur", "hip", "humerus", "lung_lower_lobe"):
            for side, sign in (("right", 1), ("left", -1)):
                _, columns = np.nonzero(np.isin(plane, np.flatnonzero(NAMES == f"{pair}_{side}")))
                if len(columns) > 5:
                    assert sign * x[columns].mean() > 0, (pair, side)
        for name, sign in (("liver", 1), ("spleen", -1)):
            _, columns = np.nonzero(np.isin(plane, np.flatnonzero(NAMES == name)))
            if len(columns) > 5:
                assert sign * x[columns].mean() > 0, name


def test_landmarks_sit_in_their_structures() -> None:
    b = body(4, "down")
    marks = {v: f"vertebrae_{v}" for v in SPINE if v not in ("C1", "C2")}
    marks |= {"brain_center": "brain", "hip_left": "femur_left", "hip_right": "femur_right"}
    for mark, name in marks.items():
        near = b.landmarks[mark] + np.stack(np.meshgrid(*[[-6.0, 0.0, 6.0]] * 3), axis=-1).reshape(-1, 3)
        assert name in NAMES[b.label(near.astype(np.float32))], mark
    wanted = "vertex orbits mandible neck sternal_notch carina heart liver_dome liver kidneys L3 iliac_crest symphysis"
    assert set(wanted.split()) <= b.landmarks.keys()
    for joint in ("shoulder", "elbow", "wrist", "hand", "hip", "thigh", "knee", "leg", "ankle", "foot"):
        assert {f"{joint}_left", f"{joint}_right"} <= b.landmarks.keys()


def test_points_and_planes_agree() -> None:
    b = body(2, "down")
    shape, origin = (60, 70), b.landmarks["L1"] + np.array([140.0, 120.0, 0.0])
    rng = np.random.default_rng(0)
    for turn in (0.0, 0.2):
        row = 4 * np.array([0, -np.cos(turn), np.sin(turn)])
        column = np.array([-4.0, 0, 0])
        points = origin + np.arange(60)[:, None, None] * row + np.arange(70)[None, :, None] * column
        plane = b.label_plane(origin, row, column, shape)
        free = b.label(points.astype(np.float32))
        assert plane.shape == free.shape == shape
        # both round to float32 in another order, so a rare boundary pixel may differ
        assert (plane == free).mean() > 0.998
    inside = rng.uniform(b.lo, b.hi, (50, 3)).astype(np.float32)
    assert b.label(inside).dtype == np.uint8


def test_the_box_holds_the_body_and_air_lies_outside() -> None:
    b = body(7, "down")
    for z in (b.lo[2] - 1, b.hi[2] + 1):
        assert not axial(b, z).any()
    far = np.array([b.hi + 1, b.lo - 1], dtype=np.float32)
    assert (b.label(far) == label_id("air")).all()


def test_habitus_and_arms_follow_the_arguments() -> None:
    lean, stout = (make_body(np.random.default_rng(9), habitus_range=(u, u), arms="up", sex="male") for u in (0.0, 0.9))
    area = [np.count_nonzero(axial(x, float(x.landmarks["L3"][2]))) for x in (lean, stout)]
    assert area[1] > 1.5 * area[0]
    up, down = body(8, "up"), body(8, "down")
    assert up.landmarks["hand_left"][2] > up.landmarks["shoulder_left"][2]
    assert down.landmarks["hand_left"][2] < down.landmarks["iliac_crest"][2]


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="arms='sideways'"):
        make_body(np.random.default_rng(0), arms="sideways")
    with pytest.raises(ValueError, match="sex='x'"):
        make_body(np.random.default_rng(0), sex="x")
    with pytest.raises(ValueError, match="no label for 'tail'"):
        label_id("tail")


def test_planes_painted_together_are_those_painted_one_by_one() -> None:
    b = body(3)
    z = float(b.landmarks["heart"][2])
    planes = np.array([[(180, 150, z + 5 * k), (0, -6, 0), (-6, 0, 0)] for k in range(8)], dtype=np.float64)
    together = b.label_planes(planes, (50, 60))
    alone = np.stack([b.label_plane(*plane, (50, 60)) for plane in planes])
    # a coat of fat around a muscle ends with the rectangle that its shape is looked for in
    assert (together == alone).mean() > 0.999
    moved = b.label_planes(
        planes, (50, 60), np.broadcast_to(np.float32([0, 0, 5])[:, None, None, None], (3, 8, 50, 60))
    )
    assert (moved[:-1] == alone[1:]).mean() > 0.999
