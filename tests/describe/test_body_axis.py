from itertools import product

import numpy as np
import pytest

from anatomy_clip.describe.body_axis import CHANGE, ranges, smooth

STATIONS = ("head", "chest", "abdomen", "pelvis")


def best_of_all(probabilities, seen, weight, headwards):
    """The same by trying every path."""
    share = np.maximum(probabilities, 1e-3)
    gain = weight * np.log(share / share.sum(axis=1, keepdims=True))
    best, value = None, -np.inf
    for path in product(range(probabilities.shape[1]), repeat=len(probabilities)):
        steps = np.diff(path)
        if headwards is True and (steps > 0).any():
            continue
        if headwards is False and (steps < 0).any():
            continue
        total = sum(gain[n, k] for n, k in enumerate(path) if seen[n]) - CHANGE * np.abs(steps).sum()
        if total > value + 1e-12:
            best, value = path, total
    return np.array(best)


@pytest.mark.parametrize("headwards", [True, False, None])
@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_best_of_all_paths(seed, headwards):
    rng = np.random.default_rng(seed)
    probabilities = rng.random((6, 4)) ** 4
    seen = rng.random(6) < 0.8
    step = float(rng.choice([1.0, 5.0, 20.0]))
    expected = best_of_all(probabilities, seen, min(1, step / 10), headwards)
    assert smooth(probabilities, seen, step, headwards).tolist() == expected.tolist()


def test_one_odd_slice_is_overruled_and_a_real_change_is_kept():
    chest, pelvis = [0.02, 0.9, 0.02, 0.02], [0.02, 0.02, 0.02, 0.9]
    probabilities = np.array([chest] * 10 + [pelvis] + [chest] * 9)
    assert set(smooth(probabilities, np.ones(20, bool), 5.0, True)) == {1}
    probabilities = np.array([pelvis] * 10 + [chest] * 10)
    path = smooth(probabilities, np.ones(20, bool), 5.0, True)
    assert path.tolist() == [3] * 10 + [1] * 10
    # towards the feet the chest can't follow the pelvis
    assert len(set(smooth(probabilities, np.ones(20, bool), 5.0, False))) == 1


def test_slices_that_say_nothing_take_what_their_neighbours_say():
    head, foot = [0.9, 0.01, 0.01, 0.01], [0.01, 0.01, 0.01, 0.9]
    seen = np.array([True, True, False, True])
    assert smooth(np.array([head, head, foot, head]), seen, 50.0, None).tolist() == [0] * 4


def test_ranges_by_hand():
    path = np.array([3, 3, 2, 2, 2, 1])
    seen = np.array([False, True, True, False, True, False])
    found = ranges(path, seen, STATIONS, [-10.0, -5.0, 0.0, 5.0, 10.0, 15.0])
    assert [(r.station, r.first, r.last, r.from_mm, r.to_mm) for r in found] == [
        ("pelvis", 1, 1, 5.0, 5.0),
        ("abdomen", 2, 4, 10.0, 20.0),
    ]
    assert ranges(path[:1], np.array([True]), STATIONS, [None])[0].from_mm is None


def test_no_range_runs_across_a_hole():
    path, seen = np.array([2, 2, 2, 2, 1]), np.array([True, True, True, False, True])
    found = ranges(path, seen, STATIONS, [0.0, 8.0, 56.0, 64.0, 72.0], holes={1})
    assert [(r.station, r.first, r.last, r.to_mm) for r in found] == [
        ("abdomen", 0, 1, 8.0),
        ("abdomen", 2, 2, 56.0),
        ("chest", 4, 4, 72.0),
    ]
