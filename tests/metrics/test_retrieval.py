"""Retrieval against every order that scores allow, written out."""

from itertools import pairwise, permutations

import numpy as np
import pytest

from anatomy_clip.metrics.retrieval import first_rank, precision_at, recall_at, weighted_median


def orders(scores):
    """Every order of the candidates that are in, higher scores first; equal ones in all orders."""
    places = [n for n, score in enumerate(scores) if score > -np.inf]
    for order in permutations(places):
        if all(scores[a] >= scores[b] for a, b in pairwise(order)):
            yield order


def cases(count=60):
    rng = np.random.default_rng(0)
    for _ in range(count):
        scores = rng.integers(0, 3, 6).astype(float)  # many are equal
        scores[rng.random(6) < 0.2] = -np.inf
        relevant = (rng.random(6) < 0.4) & (scores > -np.inf)
        yield scores, relevant


@pytest.mark.parametrize("cutoff", [1, 2, 4])
def test_values_are_means_over_the_orders_of_equal_scores(cutoff):
    seen = 0
    for scores, relevant in cases():
        each = list(orders(scores))
        (precision,), (recall,) = (f([scores], [relevant], cutoff) for f in (precision_at, recall_at))
        if each and len(each[0]) >= cutoff:
            assert precision == pytest.approx(np.mean([relevant[list(one[:cutoff])].mean() for one in each]))
        else:
            assert np.isnan(precision)
        if relevant.any():
            seen += 1
            assert recall == pytest.approx(np.mean([relevant[list(one[:cutoff])].any() for one in each]))
            ranks = [1 + next(n for n, place in enumerate(one) if relevant[place]) for one in each]
            assert first_rank([scores], [relevant])[0] == pytest.approx(np.mean(ranks))
        else:
            assert np.isnan(recall) and np.isnan(first_rank([scores], [relevant])[0])
    assert seen > 30


def test_a_model_that_scores_all_alike_gets_what_chance_gives():
    relevant = np.arange(40) < 8
    assert precision_at(np.zeros((1, 40)), relevant[None], 10)[0] == pytest.approx(8 / 40)
    draws = np.random.default_rng(0).random((4000, 40))
    shown = np.tile(relevant, (4000, 1))
    assert recall_at(np.zeros((1, 40)), relevant[None], 5)[0] == pytest.approx(
        recall_at(draws, shown, 5).mean(), abs=0.03
    )
    assert first_rank(np.zeros((1, 40)), relevant[None])[0] == pytest.approx(first_rank(draws, shown).mean(), abs=0.2)


def test_shapes_that_differ_and_scores_that_are_none_are_refused():
    with pytest.raises(ValueError, match="must both be"):
        precision_at(np.zeros((1, 3)), np.zeros((1, 2), bool), 1)
    with pytest.raises(ValueError, match="NaN"):
        recall_at([[np.nan, 1.0]], [[True, False]], 1)


def test_the_weighted_median_is_numpys_of_repeated_values():
    rng = np.random.default_rng(1)
    values, counts = rng.normal(size=9), rng.integers(0, 4, (50, 9)).astype(float)
    expected = [np.median(np.repeat(values, one.astype(int))) for one in counts]
    np.testing.assert_allclose(weighted_median(values, counts), expected)
