"""The beam and the attenuation: projections of a sphere and a slab against their closed forms."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from anatomy_clip.sources.phantom.structures import STRUCTURES, label_id
from anatomy_clip.sources.phantom.xray.attenuation import (
    attenuation,
    attenuation_table,
    label_mixtures,
    spectrum,
    transmission,
)
from anatomy_clip.sources.phantom.xray.geometry import Beam, cast
from anatomy_clip.sources.phantom.xray.vessels import vessel_path

MUSCLE = label_id("skeletal_muscle")
ONLY_MUSCLE = np.array([i == MUSCLE for i in range(len(STRUCTURES))], dtype=np.float32)
AXES = np.array([[0.0, 0, -1], [-1, 0, 0], [0, 1, 0]])


@dataclass
class Shape:
    """Muscle where `inside(points)` holds."""

    inside: object
    landmarks: dict = field(default_factory=dict)

    def label_planes(self, planes, shape, offsets):
        origin, row, col = np.moveaxis(planes, 1, 0)[:, :, None, None]
        i, j = np.arange(shape[0])[:, None, None], np.arange(shape[1])[None, :, None]
        points = origin + i * row + j * col + np.moveaxis(offsets, 0, -1)
        return np.where(self.inside(points), MUSCLE, 0).astype(np.uint8)


def beam(source_mm: float = 800.0, pixel_mm: float = 2.0, n: int = 81) -> Beam:
    return Beam(np.zeros(3), AXES, source_mm, 1000.0, pixel_mm, (n, n))


def muscle(shape: Shape, b: Beam, depth: float, step: float = 1.0) -> np.ndarray:
    return cast(shape, b, (-depth, depth), step, np.random.default_rng(0)).path(ONLY_MUSCLE)


def test_a_slab_is_as_thick_as_its_rays_are_long() -> None:
    b = beam(pixel_mm=8.0)
    path = muscle(Shape(lambda p: np.abs(p[..., 1]) < 20), b, 40)
    v = (np.arange(81) - 40) * 8.0
    expected = 40 * np.sqrt(1 + (v[:, None] ** 2 + v[None] ** 2) / 1000**2)
    np.testing.assert_allclose(path, expected, rtol=0.06)  # a plane more or less at both faces
    assert path[0, 0] / path[40, 40] == pytest.approx(np.sqrt(1 + 2 * 0.32**2), rel=1e-5)


@pytest.mark.parametrize("source_mm", [600.0, 900.0])
def test_a_sphere_has_its_chords_and_its_magnified_outline(source_mm) -> None:
    radius, b = 40.0, beam(source_mm)
    path = muscle(Shape(lambda p: (p**2).sum(-1) < radius**2), b, 50)
    v = (np.arange(81) - 40) * 2.0
    r2 = v[:, None] ** 2 + v[None] ** 2
    miss2 = source_mm**2 * r2 / (r2 + 1000**2)  # squared distance of each ray from the centre
    chord = 2 * np.sqrt(np.clip(radius**2 - miss2, 0, None))
    well_inside = miss2 < (0.9 * radius) ** 2
    np.testing.assert_allclose(path[well_inside], chord[well_inside], atol=4)
    assert abs((path - chord).mean()) < 0.15
    assert (path[miss2 > (radius + 2.5) ** 2] == 0).all()
    # the outline's tangent: tan of the cone's half angle at the detector
    expected = 1000 * radius / np.sqrt(source_mm**2 - radius**2) / 2.0
    assert np.sqrt((path > 0).sum() / np.pi) == pytest.approx(expected, abs=0.7)


def test_points_land_where_the_planes_show_them() -> None:
    b = beam()
    at, scale = b.project(np.array([[-30.0, 50.0, 20.0]]))
    assert scale[0] == pytest.approx(1000 / 850)
    np.testing.assert_allclose(at[0], [40 - 20 * scale[0] / 2, 40 + 30 * scale[0] / 2])
    origin, row, col = b.plane(850.0)
    np.testing.assert_allclose(origin + at[0, 0] * row + at[0, 1] * col, [-30, 50, 20], atol=1e-9)


def test_a_vessel_adds_its_volume() -> None:
    b, radius = beam(source_mm=900.0), 1.5
    path = vessel_path(np.array([[[-25.0, 0, -10], [20, 0, 15]]]), np.array([radius]), b)
    area = (b.pixel_mm / b.magnification) ** 2
    volume = np.pi * radius**2 * np.hypot(45, 25)
    assert path.sum() * area == pytest.approx(volume, rel=1e-3)


def test_transmission_is_beer_lambert_by_hand() -> None:
    paths = np.array([[10.0, 10.0, 0.0], [0.0, 0.5, 0.0]], dtype=np.float32)
    got = transmission(paths, {50: 0.25, 80: 0.75})
    first = 0.25 * np.exp(-2.269) + 0.75 * np.exp(-1.836)
    second = 0.25 * np.exp(-2.269 - 0.4071) + 0.75 * np.exp(-1.836 - 0.21395)
    np.testing.assert_allclose(got, [first, second, 1.0], rtol=1e-5)


def test_bone_loses_more_contrast_with_energy_than_water() -> None:
    assert attenuation("cortical_bone", 40) / attenuation("water", 40) > 4.5
    assert attenuation("cortical_bone", 80) / attenuation("water", 80) < 2.4
    between = attenuation("water", 55)
    assert attenuation("water", 60) < between < attenuation("water", 50)
    with pytest.raises(ValueError, match="30 keV"):
        attenuation("water", 30)
    with pytest.raises(ValueError, match="leather"):
        attenuation("leather", 60)
    with pytest.raises(ValueError, match="no spectrum 'foot'"):
        spectrum("foot")


@pytest.mark.parametrize("kev", [40, 50, 60, 70, 80])
def test_spongy_bone_as_a_mixture_agrees_with_its_own_row(kev) -> None:
    """ICRU-44 spongy bone (1.18 g/cm3) by element, beside the mixture of water and cortical bone of equal HU."""
    row = dict(zip([40, 50, 60, 70, 80], [0.4575, 0.3374, 0.2810, 0.2511, 0.2299], strict=True))
    share = (row[70] - 0.1936) / (0.4992 - 0.1936)
    mixed = (1 - share) * attenuation("water", kev) + share * attenuation("cortical_bone", kev)
    assert mixed == pytest.approx(row[kev], rel=0.01)


def test_labels_are_mixtures_of_what_they_are_made_of() -> None:
    water, bone = label_mixtures()
    assert water[0] == 0 and bone[0] == 0
    assert water[MUSCLE] == pytest.approx(1.054)
    assert (water[label_id("humerus_left", "cortical_bone")], bone[label_id("humerus_left", "cortical_bone")]) == (0, 1)
    marrow = label_id("femur_left", "trabecular_bone")
    assert water[marrow] + bone[marrow] == pytest.approx(1)
    assert 0.05 < bone[marrow] < 0.2
    shell, core = label_id("rib_left_5"), label_id("rib_marrow")
    assert bone[shell] == bone[core] == pytest.approx(0.5)
    assert water[shell] + bone[shell] == pytest.approx(1)
    assert bone[[s.tissue in ("muscle", "lung", "fat", "air") for s in STRUCTURES]].max() == 0


def test_spectra_share_all_photons() -> None:
    for name in attenuation_table()["spectra"]:
        assert sum(spectrum(name).values()) == pytest.approx(1)
