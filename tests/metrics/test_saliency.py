"""Saliency maps against masks: plain loops, SciPy's Spearman, and what a flat map must get."""

import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr

from anatomy_clip.metrics.saliency import equal_area_iou, grown, pointing, rank_correlation

SHAPE = (12, 7, 9)


def cases(levels):
    """Maps of few levels, so that many pixels are equal, and masks of all sizes."""
    rng = np.random.default_rng(levels)
    shares = np.linspace(0.02, 0.98, SHAPE[0])[:, None, None]
    masks = rng.random(SHAPE) < shares
    masks[:, 2, 3] = True  # none is empty
    return rng.integers(0, levels, SHAPE).astype(float), masks


@pytest.mark.parametrize("levels", [2, 5, 10_000])
def test_pointing_is_the_share_of_the_highest_pixels_in_the_mask(levels):
    maps, masks = cases(levels)
    for found, values, mask in zip(pointing(maps, masks), maps, masks, strict=True):
        top = [(y, x) for y in range(SHAPE[1]) for x in range(SHAPE[2]) if values[y, x] == values.max()]
        assert found == pytest.approx(sum(mask[at] for at in top) / len(top))


@pytest.mark.parametrize("levels", [2, 5, 10_000])
def test_iou_is_that_of_the_expected_intersection_over_orders_of_equal_pixels(levels):
    maps, masks = cases(levels)
    rng = np.random.default_rng(0)
    found = equal_area_iou(maps, masks)
    for n, (values, mask) in enumerate(zip(maps.reshape(12, -1), masks.reshape(12, -1), strict=True)):
        area, common = int(mask.sum()), []
        for _ in range(1000 if levels < 10 else 1):
            order = rng.permutation(len(values))
            chosen = order[np.argsort(-values[order], kind="stable")][:area]
            common.append(mask[chosen].sum())
        expected = np.mean(common)
        assert found[n] == pytest.approx(expected / (2 * area - expected), abs=0.015 if levels < 10 else 1e-12)


def test_the_iou_of_few_pixels_is_exact_over_all_orders():
    values, mask = np.array([3.0, 1, 1, 1, 0, 0]), np.array([0, 1, 1, 0, 0, 1], bool)
    common = [mask[[0, *pair]].sum() for pair in itertools.combinations((1, 2, 3), 2)]  # the highest, and two of three
    found = equal_area_iou(values.reshape(1, 2, 3), mask.reshape(1, 2, 3))
    assert found == pytest.approx(np.mean(common) / (6 - np.mean(common)))


def test_a_flat_map_gets_what_chance_gives_and_a_map_of_the_mask_gets_all():
    _, masks = cases(2)
    share = masks.mean(axis=(1, 2))
    flat = np.full(SHAPE, 0.3)
    np.testing.assert_allclose(pointing(flat, masks), share)
    np.testing.assert_allclose(equal_area_iou(flat, masks), share / (2 - share))
    np.testing.assert_allclose(pointing(masks, masks), 1)
    np.testing.assert_allclose(equal_area_iou(masks, masks), 1)
    assert np.isnan(rank_correlation(flat, masks)).all()


def test_an_empty_mask_has_no_iou_and_is_never_pointed_at():
    maps, masks = cases(5)
    masks[3] = False
    assert np.flatnonzero(np.isnan(equal_area_iou(maps, masks))).tolist() == [3] and pointing(maps, masks)[3] == 0
    assert equal_area_iou(maps, np.ones(SHAPE)) == pytest.approx(1)
    assert not grown(masks, 50.0)[3].any() and grown(masks, 50.0)[2].all()


@pytest.mark.parametrize("tolerance", [0, 1, 1.5, 2.9])
def test_a_margin_takes_in_what_is_near_the_mask(tolerance):
    masks = np.random.default_rng(1).random((3, 11, 8)) < 0.05
    for found, mask in zip(grown(masks, tolerance), masks, strict=True):
        for y, x in np.ndindex(mask.shape):
            near = [np.hypot(y - v, x - u) <= tolerance for v, u in np.argwhere(mask)]
            assert found[y, x] == any(near)


def test_rank_correlation_is_spearmans():
    maps, _ = cases(5)
    others = np.random.default_rng(3).normal(size=SHAPE) + maps
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(maps, others, strict=True)]
    np.testing.assert_allclose(rank_correlation(maps, others), expected)
    np.testing.assert_allclose(rank_correlation(maps, -(maps**3)), -1)


def test_what_is_no_map_is_refused():
    maps, masks = cases(5)
    with pytest.raises(ValueError, match=r"must both be \(images, height, width\)"):
        pointing(maps, masks[:1])
    maps[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="did the model diverge"):
        equal_area_iou(maps, masks)
