"""CT of a label image: right HU in the right place, noise by dose, field of view."""

from dataclasses import replace

import numpy as np
import pytest

from anatomy_clip.core.terms import Orientation
from anatomy_clip.sources.phantom.ct import (
    OUTSIDE_HU,
    CtScanner,
    CtSeries,
    acquire_ct,
    correlated_noise,
    draw_ct,
    draw_hu,
)
from anatomy_clip.sources.phantom.planes import make_plane
from anatomy_clip.sources.phantom.structures import label_id
from anatomy_clip.sources.phantom.tissues import label_tissues

SIZE = 96
PLANE = make_plane(np.zeros(3), np.eye(3), Orientation.AXIAL, (300, 300), SIZE, 3.0)
QUIET = CtSeries(label_tissues().hu, label_tissues().hu_texture * 0, 0.0, 0.3, 0.5, 0.0)
PATCHES = {"air": slice(0, 24), "fat": slice(24, 48), "liver": slice(48, 72), "bone": slice(72, 96)}


@pytest.fixture
def labels():
    image = np.zeros((SIZE, SIZE), np.uint8)
    image[:, PATCHES["fat"]] = label_id("subcutaneous_fat")
    image[:, PATCHES["liver"]] = label_id("liver")
    image[:, PATCHES["bone"]] = label_id("sternum", "cortical_bone")
    return image


def inner(image, name):
    return image[8:-8, PATCHES[name].start + 6 : PATCHES[name].stop - 6]


def shot(labels, series, seed=0):
    return acquire_ct(labels, PLANE, series, np.random.default_rng(seed))


def test_without_noise_a_tissue_has_the_tables_value(labels):
    hu = shot(labels, QUIET)
    assert hu.dtype == np.float32
    for name, label in (("air", "air"), ("fat", "subcutaneous_fat"), ("liver", "liver")):
        assert inner(hu, name) == pytest.approx(label_tissues().hu[label_id(label)], abs=1)


def test_regions_are_in_the_order_of_density(labels):
    series = draw_ct(np.random.default_rng(1), CtScanner(), -100.0, (), 0.0)
    means = [inner(shot(labels, replace(series, table=())), name).mean() for name in PATCHES]
    assert means == sorted(means)


def test_noise_rises_when_the_dose_falls(labels):
    low, high = (shot(labels, replace(QUIET, noise_hu=noise)) for noise in (16.0, 4.0))
    assert inner(low, "liver").std() == pytest.approx(4 * inner(high, "liver").std(), rel=0.05)


def test_draw_ct_turns_dose_into_noise_by_the_square_root():
    full, quarter = (
        draw_ct(np.random.default_rng(3), CtScanner(noise_hu=(8, 8), dose=(d, d)), 0.0, (), 0.0) for d in (1.0, 0.25)
    )
    assert quarter.noise_hu == pytest.approx(2 * full.noise_hu)


@pytest.mark.parametrize("sigma", [0.0, 0.5, 1.5])
def test_correlated_noise_keeps_unit_variance_and_correlates_as_theory_says(sigma):
    noise = correlated_noise(np.random.default_rng(0), (400, 400), sigma)
    assert noise.std() == pytest.approx(1, abs=0.04)
    lag = float((noise[:, 1:] * noise[:, :-1]).mean())
    # A Gaussian blur's autocorrelation at one pixel is exp(-1 / (4 sigma^2)).
    expected = np.exp(-1 / (4 * sigma**2)) if sigma > 1 else None
    assert expected is None or lag == pytest.approx(expected, abs=0.04)


def test_outside_of_the_reconstruction_circle_there_is_no_measurement(labels):
    hu = shot(labels, replace(QUIET, noise_hu=9.0, circle=(10.0, -5.0, 100.0)))
    far = np.hypot(PLANE.coordinate(0) - 10, PLANE.coordinate(1) + 5) > 100
    assert (hu[far] == OUTSIDE_HU).all()
    assert (hu[~far & (labels > 0)] > -900).any()


def test_the_table_lies_beneath_the_patient_and_only_in_air(labels):
    body = labels.copy()
    body[SIZE // 2 :] = 0
    table = replace(QUIET, blur_mm=0.0, table=(-60.0, 20.0, 200.0, 30.0, 100.0))
    with_table, without = shot(body, table), shot(body, replace(QUIET, blur_mm=0.0))
    rows = np.nonzero((with_table != without).any(axis=1))[0]
    assert len(rows)
    assert PLANE.coordinate(1)[rows, 0].max() < 0
    assert (with_table[body > 0] == without[body > 0]).all()


def test_contrast_agent_changes_organs_not_fat():
    plain, enhanced = (draw_hu(np.random.default_rng(5), contrast) for contrast in (False, True))
    assert enhanced[label_id("liver")] > plain[label_id("liver")] + 20
    assert enhanced[label_id("aorta")] > plain[label_id("aorta")] + 60
    assert enhanced[label_id("torso_fat")] == pytest.approx(plain[label_id("torso_fat")], abs=3)


def test_a_fine_label_image_gives_partial_volume():
    fine = np.zeros((SIZE * 2, SIZE * 2), np.uint8)
    fine[:, : SIZE + 1] = label_id("liver")  # half of the pixel column 48 is liver
    hu = acquire_ct(fine, PLANE, replace(QUIET, blur_mm=0.0), np.random.default_rng(0))
    liver = float(label_tissues().hu[label_id("liver")])
    assert hu[10, SIZE // 2] == pytest.approx((liver - 1000) / 2, abs=1)
