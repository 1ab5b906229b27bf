"""What findings do to rays: films drawn by hand, whose volumes, masks and boxes are computed independently."""

from __future__ import annotations

import numpy as np
import pytest

from anatomy_clip.core.radiographs import Finding
from anatomy_clip.core.terms import Side, State, Visibility
from anatomy_clip.sources.phantom.structures import label_id
from anatomy_clip.sources.phantom.xray.attenuation import attenuation, label_mixtures
from anatomy_clip.sources.phantom.xray.findings.bones import Break, break_bone, gather_bone
from anatomy_clip.sources.phantom.xray.findings.devices import device_table, mixture
from anatomy_clip.sources.phantom.xray.findings.effects import lung_change, pieces, sphere_path, tidy
from anatomy_clip.sources.phantom.xray.findings.heart import cardiomegaly, cardiothoracic_ratio
from anatomy_clip.sources.phantom.xray.findings.lungs import gather_lungs
from anatomy_clip.sources.phantom.xray.findings.plan import Plan
from anatomy_clip.sources.phantom.xray.findings.pleura import effusion, fill, pneumothorax
from anatomy_clip.sources.phantom.xray.findings.truth import all_findings, box_of, contrast_to_noise
from anatomy_clip.sources.phantom.xray.geometry import Beam, Stack

AXES = np.array([[0.0, 0, -1], [-1, 0, 0], [0, 1, 0]])  # a PA film: rows down, the patient's right on the left
FAR, PIXEL, N, STEP = 1e7, 4.0, 64, 5.0
UP = np.array([0.0, 0.0, 1.0])
LUNGS = {1: label_id("lung_lower_lobe_right"), -1: label_id("lung_lower_lobe_left")}
INNER, OUTER, DEPTH, LOW, HIGH = 20.0, 104.0, 60.0, -100.0, 100.0  # box-shaped lungs, mm


def beam(source_mm: float = FAR) -> Beam:
    return Beam(np.zeros(3), AXES, source_mm, source_mm + 200, PIXEL, (N, N))


def drawn(inside: dict[int, object]) -> Stack:
    """A stack of parallel planes, in which each label fills where its function of points (..., 3) holds."""
    b = beam()
    planes = np.stack([b.plane(FAR + t) for t in np.arange(-DEPTH - 10 + STEP / 2, DEPTH + 10, STEP)])
    i, j = np.arange(N)[:, None, None], np.arange(N)[None, :, None]
    labels = np.zeros((len(planes), N, N), np.uint8)
    for plane, out in zip(planes, labels, strict=True):
        points = plane[0] + i * plane[1] + j * plane[2]
        for label, holds in inside.items():
            out[holds(points)] = label
    return Stack(b, labels, planes, STEP)


def box_lungs() -> Stack:
    def lung(side: int):
        def holds(p):
            x = side * p[..., 0]
            return (x > INNER) & (x < OUTER) & (abs(p[..., 1]) < DEPTH) & (p[..., 2] > LOW) & (p[..., 2] < HIGH)

        return holds

    return drawn({label: lung(side) for side, label in LUNGS.items()})


@pytest.fixture(scope="module")
def stack() -> Stack:
    return box_lungs()


@pytest.fixture(scope="module")
def lungs(stack):
    return gather_lungs(stack, np.zeros(3), -200.0, np.zeros((0, 3)))


def plan(name: str, size: float, side: Side | None = Side.RIGHT, zone: str = "lower") -> Plan:
    return Plan(name, "moderate", size, 3, side, zone)


def test_lungs_have_their_volume_and_their_walls(lungs) -> None:
    assert lungs.volume.sum() == pytest.approx(2 * (OUTER - INNER) * 2 * DEPTH * (HIGH - LOW), rel=0.02)
    right = lungs.points[lungs.sign > 0]
    assert right[:, 0].min() > INNER and right[:, 0].max() < OUTER
    middle = np.abs(lungs.points[:, 1]) < 20
    np.testing.assert_allclose(lungs.depth("outer")[middle], (OUTER - np.abs(lungs.points[:, 0]))[middle], atol=4)
    assert lungs.span[1][0] == pytest.approx(LOW, abs=5)
    assert lungs.span[-1][1] == pytest.approx(HIGH, abs=5)


@pytest.mark.parametrize("ml", [150.0, 400.0, 900.0])
def test_an_effusion_has_its_volume_and_its_mask_is_what_is_deep_enough(stack, lungs, ml) -> None:
    effect = effusion(plan("pleural_effusion", ml), lungs, UP, (N, N))
    assert effect.measure == pytest.approx(ml, rel=0.01)
    # the water that the rays gain, over a parallel beam's pixels
    gained, _ = lung_change([effect], lungs, (N, N))
    lung = label_mixtures()[0, LUNGS[1]]
    assert gained.sum() * PIXEL**2 / (1 - lung) / 1000 == pytest.approx(ml, rel=0.02)
    # by hand: the meniscus over the box, filled to the volume, and each ray's count of planes
    x, y, z = np.meshgrid(
        np.arange(INNER + 2, OUTER, 4), np.arange(-DEPTH + 2.5, DEPTH, 5), np.arange(LOW + 2, HIGH, 4), indexing="ij"
    )
    wall = np.minimum(OUTER - 2 - x, DEPTH - 2.5 - abs(y))
    level = z - 60 * np.exp(-wall / 14)
    fluid = level <= np.sort(level.ravel())[round(ml * 1000 / (4 * 5 * 4))]
    by_hand = (fluid.sum(axis=1) * 5 >= 4).T[::-1]  # rows from above, patient's right to the left is x falling
    rows, columns = np.nonzero(effect.mask)
    got = effect.mask[N // 2 - 25 : N // 2 + 25, N // 2 - round(OUTER / 4) : N // 2 - round(INNER / 4)][:, ::-1]
    assert (got & by_hand).sum() / (got | by_hand).sum() > 0.95
    (box,) = box_of("pleural_effusion", effect.mask)
    assert (box.left, box.top) == (columns.min(), rows.min())
    assert (box.width, box.height) == (np.ptp(columns) + 1, np.ptp(rows) + 1)
    assert box.left + box.width < N / 2  # the patient's right
    assert box.height == pytest.approx(by_hand.any(axis=1).sum(), abs=1)


def test_fluid_climbs_at_the_wall_and_lies_behind_in_a_patient_who_lies(lungs) -> None:
    upright = effusion(plan("pleural_effusion", 500), lungs, UP, (N, N)).weight > 0
    lying = effusion(plan("pleural_effusion", 500), lungs, np.array([0, 1.0, 0]), (N, N)).weight > 0
    depth = lungs.depth("outer")
    near, far = (lungs.on(Side.RIGHT) & part & (abs(lungs.points[:, 1]) < 20) for part in (depth < 8, depth > 40))
    assert lungs.points[upright & near, 2].max() > lungs.points[upright & far, 2].max() + 20
    assert lungs.points[lying, 1].mean() < -20
    assert not upright[lungs.on(Side.LEFT)].any()


def test_both_sides_have_a_part_each(lungs) -> None:
    effect = effusion(plan("pleural_effusion", 300, Side.BOTH), lungs, UP, (N, N))
    boxes = [box for part in effect.parts for box in box_of(effect.name, part)]
    assert len(boxes) == 2
    assert {box.left + box.width / 2 > N / 2 for box in boxes} == {True, False}
    assert 300 < effect.measure <= 600


def test_fill_takes_the_lowest_first() -> None:
    level, volume = np.array([3.0, 1, 2, 9]), np.array([10.0, 10, 10, 10])
    np.testing.assert_array_equal(fill(level, volume, 20, np.ones(4, bool)), [0, 1, 1, 0])
    np.testing.assert_array_equal(fill(level, volume, 20, np.array([1, 0, 1, 1], bool)), [0, 0, 1, 0])


def test_a_pneumothorax_is_a_rim_of_its_width_without_lung_or_vessels(stack) -> None:
    vessels = np.array([[98.0, 0, 60], [60, 0, -60], [-98, 0, 60]])
    scene = gather_lungs(stack, np.zeros(3), -200.0, vessels)
    effect = pneumothorax(plan("pneumothorax", 30), scene, True, (N, N))
    columns = np.nonzero(effect.mask[N // 2])[0]  # half way up the lung: 0.5 + 0.6 / 2 of the width
    assert len(columns) * PIXEL == pytest.approx(0.8 * 30, abs=PIXEL)
    assert columns.min() == N / 2 - OUTER / PIXEL
    _, share = lung_change([effect], scene, (N, N))
    np.testing.assert_allclose(share, [0, 1, 1], atol=1e-6)
    gained, _ = lung_change([effect], scene, (N, N))
    # the lung keeps its mass, but for what is lost into the pleura's line
    assert gained[N // 2, columns[1]] < 0 < gained[N // 2, columns.max() + 4]


def test_a_ball_has_its_volume_chord_and_outline() -> None:
    b, radius = beam(1000.0), 14.0
    path = sphere_path(np.array([10.0, 5, -8]), radius, b)
    scale = b.detector_mm / (b.source_mm + 5)
    assert path.sum() * (PIXEL / scale) ** 2 == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.01)
    assert path.max() == pytest.approx(2 * radius, rel=0.02)
    expected = np.pi * (radius**2 - 1.5**2) * (scale / PIXEL) ** 2
    assert (path >= 3).sum() == pytest.approx(expected, rel=0.12)


def test_a_broken_bone_keeps_its_mass_and_its_fragment_moves() -> None:
    label = label_id("femur_left", "cortical_bone")
    bone = drawn({label: lambda p: (abs(p[..., 0]) < 12) & (abs(p[..., 1]) < 10) & (abs(p[..., 2]) < 90)})
    samples = gather_bone(bone, np.arange(256) == label)
    shift = np.array([-8.0, 0, 0])  # two pixels to the image's right
    how = Break(np.zeros(3), np.array([0, 0, -1.0]), shift, gap=0.0, reach=1e9)
    added, mask = break_bone(samples, how, bone.beam)
    assert added.sum() == pytest.approx(0, abs=0.5)
    path = bone.path((np.arange(256) == label).astype(np.float32)) + added[1]
    middle = (path * np.arange(N)).sum(axis=1) / np.maximum(path.sum(axis=1), 1)
    upper, lower = middle[N // 2 - 10 : N // 2 - 2], middle[N // 2 + 2 : N // 2 + 10]
    np.testing.assert_allclose(upper, (N - 1) / 2, atol=0.01)
    np.testing.assert_allclose(lower, (N - 1) / 2 + 2, atol=0.01)
    rows = np.nonzero(mask.any(axis=1))[0]
    assert len(rows) * PIXEL == pytest.approx(18, abs=PIXEL + 1)
    gapped, _ = break_bone(samples, Break(np.zeros(3), np.array([0, 0, -1.0]), 0 * shift, 3.0, 1e9), bone.beam)
    assert -gapped[1].sum() * PIXEL**2 == pytest.approx(24 * 20 * 3, rel=0.02)


def test_the_cardiothoracic_ratio_of_masks_drawn_by_hand() -> None:
    heart, lungs = np.zeros((20, 40), bool), np.zeros((20, 40), bool)
    lungs[2:18, 4:14], lungs[2:18, 26:36] = True, True
    lungs[10, 2] = lungs[10, 37] = True  # 36 wide at its widest
    heart[9:15, 12:26], heart[11, 12:30] = True, True  # 18 from end to end
    assert cardiothoracic_ratio(heart, lungs) == 18 / 36
    assert cardiomegaly(heart, lungs, "PA") == Finding(State.NEGATIVE, measure=0.5)
    heart[12, 30] = True
    borderline = cardiomegaly(heart, lungs, "PA")
    assert (borderline.severity, borderline.visibility) == ("mild", Visibility.CLEAR)
    assert borderline.measure == pytest.approx(19 / 36)
    assert cardiomegaly(heart, lungs, "AP").visibility is Visibility.SUBTLE
    assert cardiomegaly(heart, lungs, "lateral") is None
    assert cardiomegaly(np.zeros_like(heart), lungs, "PA") is None


@pytest.mark.parametrize("material", ["barium_plastic", "titanium", "steel"])
def test_devices_weaken_the_beam_as_their_material_does(material) -> None:
    water, bone = mixture(material)
    for kev, own in zip(device_table()["energies_kev"], device_table()["materials"][material], strict=True):
        mixed = water * attenuation("water", kev) + bone * attenuation("cortical_bone", kev)
        assert mixed == pytest.approx(own, rel=0.03)


def test_contrast_to_noise_grows_with_contrast_and_falls_with_noise() -> None:
    rng = np.random.default_rng(0)
    anatomy = (120 + 6 * rng.normal(size=(64, 64))).astype(np.float32)
    v, u = np.mgrid[:64, :64] - 31.5
    disc = np.hypot(v, u) < 4
    none = np.zeros((64, 64), np.float32)
    one = contrast_to_noise(anatomy + 10 * disc, anatomy, disc, none)
    assert contrast_to_noise(anatomy + 20 * disc, anatomy, disc, none) == pytest.approx(2 * one, rel=1e-3)
    assert contrast_to_noise(anatomy + 10, anatomy, disc, none) == pytest.approx(0, abs=1e-3)  # the same everywhere
    noisy = rng.normal(0, 20, (64, 64)).astype(np.float32)
    assert contrast_to_noise(anatomy + 10 * disc, anatomy, disc, noisy) < 0.5 * one
    small = np.hypot(v, u) < 1.5
    assert contrast_to_noise(anatomy + 10 * small, anatomy, small, none) < 0.7 * one
    assert contrast_to_noise(anatomy + 10 * disc, anatomy, none > 0, none) == 0


def test_masks_are_tidied_and_parted() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:8, 2:8], mask[12:16, 10:16], mask[18, 18] = True, True, True
    kept = tidy(mask)
    assert kept.sum() == 36 + 24
    assert sorted(int(part.sum()) for part in pieces(kept)) == [24, 36]
    assert not tidy(np.zeros((4, 4), bool)).any()
    assert box_of("nodule", np.zeros((4, 4), bool)) == ()


def test_devices_alone_are_no_finding() -> None:
    there = Finding(State.POSITIVE, visibility=Visibility.CLEAR)
    hidden = Finding(State.POSITIVE, visibility=Visibility.INVISIBLE)
    assert all_findings("chest", {"support_devices": there}, ())["no_finding"].state is State.POSITIVE
    assert all_findings("chest", {"nodule": hidden}, ())["no_finding"].state is State.POSITIVE
    assert all_findings("chest", {"nodule": there}, ())["no_finding"].state is State.NEGATIVE
    assert "cardiomegaly" not in all_findings("chest", {}, ["cardiomegaly"])
    assert list(all_findings("knee", {}, ())) == ["limb_fracture", "support_devices", "no_finding"]
