import numpy as np
import pytest

from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.imaging.intensity import Display, SeveralDisplays, ct_window, percentile_scale, to_square
from anatomy_clip.imaging.slices import Slice


def make_slice(pixels, modality=Modality.CT, spacing=(1.0, 1.0)):
    return Slice(np.asarray(pixels, np.float32), spacing, 1.0, modality, Protocol.NONE, Orientation.AXIAL)


def test_window_by_hand():
    hu = np.array([[-1000, -160, 39, 41, 240, 3000]], np.float32)
    assert ct_window(hu, 40, 400).tolist() == [[0, 0, 127, 128, 255, 255]]
    assert ct_window(hu, 40, 400).dtype == np.uint8


def test_percentiles_by_numpy_and_a_constant_image():
    values = np.random.default_rng(0).gamma(2, 50, (40, 30)).astype(np.float32)
    low, high = np.quantile(values, [0.05, 0.95])
    expected = np.clip((values - low) / (high - low), 0, 1) * 255
    np.testing.assert_allclose(percentile_scale(values, 5, 95), expected, atol=0.51)
    assert not percentile_scale(np.full((4, 4), 7, np.float32), 1, 99).any()


def test_a_few_bright_pixels_on_an_even_ground_are_not_lost():
    pixels = np.zeros((40, 40), np.float32)
    pixels[0, 0] = 5
    assert percentile_scale(pixels, 0.5, 99.5)[0, 0] == 255


def test_modality_chooses_the_scaling():
    pixels = np.linspace(-1000, 1000, 64).reshape(8, 8)
    display = Display(level=0, width=100, low=0, high=100)
    assert (display.grey(make_slice(pixels)) == ct_window(pixels.astype(np.float32), 0, 100)).all()
    assert len(np.unique(display.grey(make_slice(pixels, Modality.MR)))) == 64


def test_square_keeps_the_scale_and_the_centre():
    square = to_square(np.full((20, 20), 255, np.uint8), (2.0, 1.0), 40)  # 40 mm high, 20 mm wide
    assert square.shape == (40, 40)
    assert (square[:, 10:30] == 255).all()
    assert not square[:, :10].any()
    assert not square[:, 30:].any()


def test_shrinking_averages():
    image = np.random.default_rng(0).integers(0, 256, (16, 16)).astype(np.uint8)
    expected = image.reshape(8, 2, 8, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(to_square(image, (1.0, 1.0), 8), expected, atol=1.01)


def test_thick_reformats_average_columns_while_rows_are_stretched():
    image = np.tile(np.array([0, 200], np.uint8), (8, 32))  # 8 rows of 8 mm, 64 columns of 1 mm
    assert (to_square(image, (8.0, 1.0), 32) == 100).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"width": 0}, "width"), ({"low": 99, "high": 1}, "percentiles"), ({"high": 101}, "percentiles")],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Display(**settings)


@pytest.mark.parametrize(
    ("shape", "spacing"), [((0, 4), (1.0, 1.0)), ((4, 4), (0.0, 1.0)), ((4, 4), (1.0, float("nan")))]
)
def test_a_slice_without_extent_is_refused(shape, spacing):
    with pytest.raises(ValueError, match="no extent"):
        to_square(np.zeros(shape, np.uint8), spacing, 8)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        Display().grey(make_slice([[np.nan, 0.0]]))


def test_several_displays_give_each_slice_one_of_theirs_and_always_the_same():
    windows, percentiles = [(40, 400), (-600, 1500), (400, 1800)], [(0, 100), (5, 95)]
    several = SeveralDisplays(windows, percentiles)
    ct, mr = [], []
    for seed in range(40):
        pixels = np.random.default_rng(seed).normal(0, 400, (16, 16)).astype(np.float32)
        square = several.square(make_slice(pixels), 16)
        assert (square == several.square(make_slice(pixels.copy()), 16)).all()
        ct.append([(square == ct_window(pixels, *window)).all() for window in windows])
        square = several.square(make_slice(pixels, Modality.MR), 16)
        mr.append([(square == percentile_scale(pixels, *pair)).all() for pair in percentiles])
    for fits in (np.array(ct), np.array(mr)):
        assert (fits.sum(axis=1) == 1).all() and fits.any(axis=0).all()


@pytest.mark.parametrize(("ct", "mr"), [([], [(0, 100)]), ([(40, 400)], [])])
def test_several_displays_need_some(ct, mr):
    with pytest.raises(ValueError, match="at least one"):
        SeveralDisplays(ct, mr)
