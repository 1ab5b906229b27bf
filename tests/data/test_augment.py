import pickle

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy import ndimage

from anatomy_clip.core.radiographs import Box
from anatomy_clip.core.rng import sample_rng
from anatomy_clip.data.augment import ImageAugment
from anatomy_clip.data.warp import move_boxes, move_mask, resize, warp

SIDE = 64
OPERATIONS = {
    "horizontal_flip": {},
    "vertical_flip": {},
    "rotation": {"degrees": [-15, 15]},
    "translation": {"share": [-0.2, 0.2]},
    "crop": {"scale": [0.4, 0.8], "ratio": [0.8, 1.25]},
    "clahe": {"clip_limit": [1.0, 4.0], "tiles": 4},
    "contrast": {"factor": [0.4, 0.9]},
    "gamma": {"gamma": [0.5, 0.9]},
    "jitter": {"brightness": [0.5, 0.9], "contrast": [0.5, 0.9]},
    "blur": {"sigma": [0.5, 1.5]},
    "noise": {"std": [0.02, 0.1]},
}
ALL = {name: {"p": 0.5, **options} for name, options in OPERATIONS.items()}


@pytest.fixture
def image():
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3).astype(float)
    out = 20 + 200 * (smooth - smooth.min()) / np.ptp(smooth)
    return out.astype(np.uint8)


def one(name, image, **options):
    return ImageAugment(len(image), **{name: {"p": 1, **options}})(image, sample_rng(0, 0, 0))


def gap(a, b):
    return int(np.abs(a.astype(int) - np.asarray(b).astype(int)).max())


# Each operation against an independent one.


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1.7])
def test_contrast_is_pils(image, factor):
    expected = ImageEnhance.Contrast(Image.fromarray(image)).enhance(factor)
    assert gap(one("contrast", image, factor=[factor, factor]), expected) <= 1


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.2])
def test_gamma_is_a_power(image, gamma):
    assert gap(one("gamma", image, gamma=[gamma, gamma]), 255 * (image / 255.0) ** gamma) <= 1


def test_clahe_is_opencvs(image):
    expected = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(4, 4)).apply(image)
    assert gap(one("clahe", image, clip_limit=[2, 2], tiles=4), expected) == 0
    assert gap(expected, image) > 5


@pytest.mark.parametrize("factor", [0.5, 1.2])
def test_jitter_brightness_is_pils(image, factor):
    expected = ImageEnhance.Brightness(Image.fromarray(image)).enhance(factor)
    assert gap(one("jitter", image, brightness=[factor, factor], contrast=[1, 1]), expected) <= 1


def test_blur_is_scipys(image):
    expected = ndimage.gaussian_filter(image.astype(float), 1.0, mode="mirror")
    inner = slice(8, -8)
    assert gap(one("blur", image, sigma=[1, 1])[inner, inner], expected[inner, inner]) <= 2


def test_noise_has_its_spread_and_no_bias():
    grey = np.full((200, 200), 128, np.uint8)
    difference = one("noise", grey, std=[0.04, 0.04]).astype(float) - 128
    assert abs(difference.std() - 0.04 * 255) < 0.4
    assert abs(difference.mean()) < 0.6


def test_flips(image):
    assert (one("horizontal_flip", image) == image[:, ::-1]).all()
    assert (one("vertical_flip", image) == image[::-1]).all()


@pytest.mark.parametrize("degrees", [-30.0, 12.0])
def test_rotation_is_scipys(image, degrees):
    low = int(image.min())
    expected = ndimage.rotate(image, degrees, reshape=False, order=1, cval=low)
    inside = ndimage.rotate(np.full(image.shape, 99, np.uint8), degrees, reshape=False, order=1, cval=0) == 99
    rotated = one("rotation", image, degrees=[degrees, degrees])
    assert gap(rotated[inside], expected[inside]) <= 3
    assert rotated[0, 0] == low


def test_quarter_turn_is_counter_clockwise(image):
    assert gap(warp(image, 90, 0, 0), np.rot90(image)) <= 1


def test_translation_moves_whole_pixels_and_fills_with_the_minimum(image):
    moved = one("translation", image, share=[0.25, 0.25])
    quarter = SIDE // 4
    assert (moved[quarter:, quarter:] == image[:-quarter, :-quarter]).all()
    assert (moved[:quarter] == image.min()).all() and (moved[:, :quarter] == image.min()).all()


def test_crop_keeps_its_share_of_the_area():
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[None], 200, axis=0)  # grey = column
    for n in range(50):
        augment = ImageAugment(100, crop={"p": 1, "scale": [0.25, 0.36], "ratio": [1, 1]})
        width = int(np.ptp(augment(ramp, sample_rng(0, 0, n)))) + 1
        assert 0.5 - 0.03 <= width / 200 <= 0.6 + 0.03


def test_resize_is_an_area_average(image):
    expected = image.reshape(SIDE // 2, 2, SIDE // 2, 2).mean((1, 3))
    assert gap(resize(image, SIDE // 2), expected) <= 1
    assert resize(image, 2 * SIDE).shape == (2 * SIDE, 2 * SIDE)


# Draws.


def test_everything_off_only_resizes_and_draws_nothing(image):
    rng = sample_rng(0, 0, 0)
    out = ImageAugment(48)(image, rng)
    assert (out == resize(image, 48)).all()
    assert rng.random() == sample_rng(0, 0, 0).random()


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_alone_changes_the_image_and_repeats(image, name):
    augment = ImageAugment(SIDE, **{name: ALL[name] | {"p": 1.0}})
    first, again = (augment(image, sample_rng(0, 0, 1)) for _ in range(2))
    assert first.shape == (SIDE, SIDE) and first.dtype == np.uint8 and first.flags.c_contiguous
    assert (first == again).all() and gap(first, image) > 2
    off = ImageAugment(SIDE, **{name: ALL[name] | {"p": 0.0}})(image, sample_rng(0, 0, 1))
    assert (off == image).all()


def test_draws_repeat_for_the_same_triple_only(image):
    augment = ImageAugment(48, **ALL | {"noise": {"p": 1, "std": [0.02, 0.1]}})
    before = image.copy()
    triples = [(s, e, i) for s in range(2) for e in range(3) for i in range(8)]
    images = {t: augment(image, sample_rng(*t)).tobytes() for t in triples}
    assert len(set(images.values())) == len(triples)
    np.random.seed(1)  # whatever global state, order or process: a fresh copy draws the same
    other = pickle.loads(pickle.dumps(augment))
    assert all(other(image, sample_rng(*t)).tobytes() == images[t] for t in reversed(triples))
    assert (image == before).all()


def test_combinations_differ(image):
    augment = ImageAugment(SIDE, horizontal_flip={"p": 0.5}, vertical_flip={"p": 0.5})
    seen = {augment(image, sample_rng(0, 0, n)).tobytes() for n in range(60)}
    assert len(seen) == 4


def test_generators_of_different_triples_differ():
    numbers = [0, 1, 2**32 - 1, 2**32, 2**40]
    draws = {sample_rng(s, e, i).random() for s in numbers for e in numbers for i in numbers}
    assert len(draws) == len(numbers) ** 3
    assert sample_rng(1, 2, 3).integers(1 << 32) == 2651448300  # kept over versions and platforms
    with pytest.raises(ValueError, match="epoch is -1"):
        sample_rng(0, -1, 0)


# Messages.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clahe": {"p": 1, "clip_limt": [1, 2], "tiles": 4}}, "did you mean 'clip_limit'"),
        ({"rotation": {"p": 1}}, r"augment\.rotation: option\(s\) degrees missing"),
        ({"gamma": {"p": 1.5, "gamma": [1, 2]}}, r"augment\.gamma\.p is 1\.5"),
        ({"gamma": {"p": 1, "gamma": [2, 1]}}, r"give it as \[low, high\]"),
        ({"gamma": {"p": 1, "gamma": 2}}, r"give it as \[low, high\]"),
        ({"blur": {"p": 1, "sigma": [-1, 1]}}, "can't be negative"),
        ({"clahe": {"p": 1, "clip_limit": [1, 2], "tiles": 0}}, "must be 1 or more"),
        ({"images_per_image": 0}, "images_per_image is 0"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ImageAugment(SIDE, **options)


@pytest.mark.parametrize("bad", [np.zeros((4, 5), np.uint8), np.zeros((4, 4)), np.zeros((4, 4, 3), np.uint8)])
def test_only_square_grey_bytes(bad):
    with pytest.raises(ValueError, match="square"):
        ImageAugment(4)(bad, sample_rng(0, 0, 0))


# Masks and boxes move with the pixels.

MOVES = ("horizontal_flip", "vertical_flip", "rotation", "translation", "crop")


def blot():
    """A bright ellipse off the middle, its mask and its box."""
    y, x = np.mgrid[:SIDE, :SIDE]
    mask = ((x - 25) / 9) ** 2 + ((y - 38) / 5) ** 2 < 1
    rows, columns = np.nonzero(mask)
    low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()]) + 1
    return np.where(mask, 255, 0).astype(np.uint8), mask, Box("nodule", *low, *(high - low))


@pytest.mark.parametrize("names", [*[(name,) for name in MOVES], MOVES, ()], ids="-".join)
@pytest.mark.parametrize("size", [SIDE, 96, 40])
def test_masks_and_boxes_move_with_the_pixels(names, size):
    image, mask, box = blot()
    augment = ImageAugment(size, **{name: ALL[name] | {"p": 0.7} for name in names})
    seen = 0
    for n in range(30):
        moved = augment.moved(image, sample_rng(0, 0, n))
        np.testing.assert_array_equal(moved.image, augment(image, sample_rng(0, 0, n)))
        there = move_mask(mask, moved.motion, size)
        bright = moved.image > 127
        assert (there ^ bright).sum() <= 0.12 * max(there.sum(), bright.sum()) + 8
        if bright.sum() < 20:
            continue
        seen += 1
        rows, columns = np.nonzero(bright)
        (around,) = move_boxes([box], moved.motion, size)
        assert around.left - 1 <= columns.min() and columns.max() + 1 <= around.left + around.width + 1
        assert around.top - 1 <= rows.min() and rows.max() + 1 <= around.top + around.height + 1
        if "rotation" not in names:  # a turned box encloses its corners, and is larger than what it holds
            assert around.width <= np.ptp(columns) + 4 and around.height <= np.ptp(rows) + 4
    assert seen > 15


def test_only_a_flip_from_left_to_right_mirrors(image):
    assert ImageAugment(SIDE, horizontal_flip={"p": 1}).moved(image, sample_rng(0, 0, 0)).mirrored
    for name in MOVES[1:]:
        assert not ImageAugment(SIDE, **{name: ALL[name] | {"p": 1}}).moved(image, sample_rng(0, 0, 0)).mirrored


def test_a_box_outside_is_dropped_and_one_at_the_edge_is_cut():
    boxes = [Box("a", 0, 0, 10, 10), Box("b", 20, 20, 8, 4), Box("c", 38, 38, 8, 8)]
    motion = np.array([[2.0, 0, -40], [0, 2, -40]])  # the square from 20 to 40, twice as large
    assert move_boxes(boxes, motion, 40) == (Box("b", 0, 0, 16, 8), Box("c", 36, 36, 4, 4))
