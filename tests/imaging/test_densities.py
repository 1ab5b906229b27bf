"""Values that can't be HU are noted, whatever share of the picture the body fills."""

import os
from pathlib import Path

import numpy as np
import pytest

from anatomy_clip.core.terms import Modality
from anatomy_clip.imaging.densities import Densities, densities, density_note
from anatomy_clip.imaging.nifti import read_volume

REAL = Path(os.environ.get("REAL_DATA", Path(__file__).parents[2].parent / "shared" / "realdata"))


def torso(radius, side=128, slices=4):
    """A cylinder in air: skin and fat round muscle, with a lung and a bone in it; (N, H, W) HU."""
    rows, columns = np.mgrid[:side, :side] - side / 2
    around = np.hypot(rows, columns) / radius
    hu = np.select([around < 0.7, around < 1], [50.0, -90.0], -1000.0)
    hu[np.hypot(rows / radius, columns / radius - 0.4) < 0.2] = 600.0
    hu[np.hypot(rows / radius, columns / radius + 0.4) < 0.2] = -850.0
    return (hu + np.random.default_rng(0).normal(0, 15, (slices, side, side))).clip(-1024).astype(np.float32)


def padded(hu, value=-2000.0):
    """A field of view that is a circle, as scanners fill it."""
    rows, columns = np.mgrid[: hu.shape[1], : hu.shape[2]] - hu.shape[1] / 2
    return np.where(np.hypot(rows, columns) < hu.shape[1] / 2, hu, value).astype(np.float32)


RIGHT = {
    "as it is": lambda hu: hu,
    "padded": padded,
    "cut off at a window": lambda hu: hu.clip(-160, 240),
    "a crop without air": lambda hu: hu[:, 10:40, 50:78],
}
WRONG = {
    "intercept missing": lambda hu: hu + 1024,
    "intercept missing, padded": lambda hu: padded(hu + 1024),
    "intercept twice": lambda hu: hu - 1024,
    "slope of 2": lambda hu: 2 * (hu + 1024) - 1024,
    "slope of a half": lambda hu: (hu + 1024) / 2 - 1024,
    "slope of -1": lambda hu: -(hu + 1024) - 1024,
    "0 to 1": lambda hu: (hu + 1024) / 4095,
    "-1 to 1": lambda hu: hu.clip(-1000, 1000) / 1000,
    "a picture": lambda hu: (hu.clip(-160, 240) + 160) / 400 * 255,
    "signed read as unsigned": lambda hu: np.where(hu < 0, hu + 65536, hu),
}


@pytest.mark.parametrize("radius", [60, 30, 8])
@pytest.mark.parametrize("kind", [*RIGHT, *WRONG])
def test_what_can_t_be_hu_is_noted_whatever_the_body_fills(kind, radius):
    if kind == "a crop without air" and radius < 60:
        pytest.skip("no crop of a small body is without air")
    note = density_note((RIGHT | WRONG)[kind](torso(radius)))
    assert bool(note) is (kind in WRONG)
    assert not note or "may not be HU: are Rescale Slope and Rescale Intercept" in note


def test_a_mask_says_which_pixels_count():
    hu = torso(30)
    odd = hu.copy()
    odd[:, :, :64] = 3000.0
    kept = np.zeros(hu.shape, bool)
    kept[:, :, 64:] = True
    assert density_note(odd) and not density_note(odd, kept)
    assert density_note(odd, ~kept) and not density_note(hu, np.zeros(hu.shape, bool))


def test_densities_are_counted_within_their_borders():
    hu = np.array([[-3000, -1000, -501, -500, -300, -200, -51, -50, 0, 300, 301, 2000]], np.float32)
    assert densities(hu) == Densities(air=2, fat=2, water=3, odd=4)  # the least, below all HU, is padding
    assert densities(np.append(hu, [[-2000]], axis=1)).odd == 5  # below all HU, and no padding
    assert Densities(air=90, water=2, odd=7).note() == "" == Densities().note()
    assert "2 % of its pixels have the HU of soft tissue (-200 to 300), 10 %" in Densities(88, 1, 1, 10).note()


def test_real_ct_has_no_note():
    files = [*REAL.glob("nifti/**/CT_*.nii.gz"), *REAL.glob("totalsegmentator_ct*/*/ct.nii.gz")]
    if not files:
        pytest.skip(f"no real data at {REAL}; REAL_DATA names another place")
    for path in files:
        hu = np.moveaxis(read_volume(path, Modality.CT).array, 2, 0)
        assert density_note(hu) == "", path
        assert density_note(hu + 1024) and density_note(hu / 2 - 512), path
