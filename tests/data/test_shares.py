import numpy as np
import pytest

from anatomy_clip.data.sampler import EpochSampler
from anatomy_clip.data.shares import Weighing, balanced_weights, repeat_weights, source_weights, weighted_order


def sources(**counts):
    return [source for source, count in counts.items() for _ in range(count)]


def test_a_source_gets_its_share_whatever_its_size():
    weights = source_weights(sources(big=90, small=5), {"big": 3, "small": 1})
    assert weights.sum() == pytest.approx(1)
    assert weights[90:].sum() == pytest.approx(0.25)
    rows = weighted_order(weights, 4, seed=0, epoch=0) % 95
    counts = np.bincount(rows, minlength=95)
    assert abs(counts[90:].sum() - 95) <= 1
    assert counts[90:].tolist() == [19] * 5
    assert set(counts[:90]) <= {3, 4}


def test_no_sample_comes_twice_so_that_each_draws_its_own_augmentation():
    order = weighted_order(source_weights(sources(big=50, small=2), {"big": 1, "small": 1}), 2, seed=3, epoch=1)
    assert len(order) == len(set(order.tolist())) == 104


def test_draws_are_a_function_of_seed_and_epoch():
    weights = source_weights(sources(big=90, small=5), {"big": 1, "small": 1})
    first = weighted_order(weights, 1, seed=1, epoch=2)
    np.testing.assert_array_equal(first, weighted_order(weights, 1, seed=1, epoch=2))
    assert (first != weighted_order(weights, 1, seed=1, epoch=3)).any()
    assert (first != np.sort(first)).any()


def test_global_batches_of_weighted_draws_are_the_same_on_any_number_of_ranks():
    weights = source_weights(sources(big=40, small=8), {"big": 1, "small": 1})

    def batches(world):
        size = 8 // world
        ranks = [
            [i for i, _ in EpochSampler(48, 0, batch_size=size, rank=r, world_size=world, weights=weights)]
            for r in range(world)
        ]
        return [set().union(*(rank[n : n + size] for rank in ranks)) for n in range(0, len(ranks[0]), size)]

    assert batches(1) == batches(2) == batches(4)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"big": 1}, "share for small too"),
        ({"big": 1, "smal": 1, "small": 1}, r"smal: .* \(did you mean 'small'\?\)"),
        ({"big": 1, "small": 0}, "small=0"),
        ({"big": 1, "small": float("nan")}, "small=nan"),
    ],
)
def test_bad_shares_are_refused(shares, message):
    with pytest.raises(ValueError, match=message):
        source_weights(sources(big=3, small=2), shares)


def test_rare_labels_come_up_more_often():
    labels = np.zeros((100, 3), dtype=bool)
    labels[:80, 0] = labels[80:84, 1] = labels[0, 1] = labels[99, 2] = True
    weights = repeat_weights(labels, 0.2)
    rare, rarest = (0.2 / 0.05) ** 0.5, (0.2 / 0.01) ** 0.5
    np.testing.assert_allclose(weights / weights[1], [rare, *[1.0] * 79, *[rare] * 4, *[1.0] * 15, rarest])
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(repeat_weights(np.zeros((4, 2), dtype=bool), 0.5), 0.25)
    with pytest.raises(ValueError, match="rare_below=0"):
        repeat_weights(labels, 0)


def test_slices_of_unknown_labels_make_no_label_rare():
    labels = (np.random.default_rng(0).random((50, 3)) < [0.5, 0.1, 0.04]).astype(np.int8)
    weights = repeat_weights(np.concatenate([labels, np.full((450, 3), -1, np.int8)]), 0.2)
    np.testing.assert_allclose(weights[:50] / weights[:50].sum(), repeat_weights(labels, 0.2))
    np.testing.assert_allclose(weights[50:], weights.min())


OWNERS = [("a", "1")] * 9 + [("a", "2")] + [("b", "1")] * 16 + [("c", "1")] * 4


def test_patients_and_sources_have_the_votes_of_square_roots():
    """By hand: patients have 3, 1, 4 and 2 votes, sources the roots of 4, 4 and 2."""
    weights = balanced_weights(OWNERS, {})
    total = 2 + 2 + np.sqrt(2)
    expected = [2 / total * 3 / 4 / 9] * 9 + [2 / total * 1 / 4] + [2 / total / 16] * 16 + [np.sqrt(2) / total / 4] * 4
    np.testing.assert_allclose(weights, expected, rtol=1e-12)
    assert weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("factors", [None, np.random.default_rng(0).uniform(1, 3, len(OWNERS))], ids=["plain", "rare"])
def test_named_sources_get_their_share_and_the_others_divide_the_rest(factors):
    weights = balanced_weights(OWNERS, {"b": 0.4, "c": 0.1}, factors)
    assert weights[10:26].sum() == pytest.approx(0.4) and weights[26:].sum() == pytest.approx(0.1)
    assert weights[:10].sum() == pytest.approx(0.5)
    if factors is not None:
        within = balanced_weights(OWNERS, {"b": 0.4, "c": 0.1}) * factors
        for group in (slice(10), slice(10, 26), slice(26, None)):
            np.testing.assert_allclose(weights[group] / weights[group].sum(), within[group] / within[group].sum())


def test_rare_labels_come_up_more_often_within_the_shares():
    labels = np.zeros((30, 2), np.int8)
    labels[:, 0], labels[3, 1] = 1, 1
    records = Owned(OWNERS)
    plain = Weighing(balance={"b": 0.4}).weights(records, labels)
    weights = Weighing(rare_below=0.3, balance={"b": 0.4}).weights(records, labels)
    assert weights[3] / weights[2] == pytest.approx(3)  # sqrt(0.3 / (1 / 30))
    np.testing.assert_allclose(plain[2], plain[3])
    assert weights[10:26].sum() == pytest.approx(0.4)
    np.testing.assert_array_equal(Weighing(rare_below=0.3).weights(records, labels), repeat_weights(labels, 0.3))
    assert Weighing().weights(records, labels) is None


class Owned:
    def __init__(self, owners):
        self.owners = lambda: owners


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"phantm": 0.4}, r"data\.balance\.phantm: no slice comes from this source; the stores contain a, b, c"),
        ({"b": 0}, r"data\.balance\.b=0: give a share above 0"),
        ({"b": 0.7, "c": 0.3}, "sum to 1; give shares that sum to less than 1"),
        ({"a": 0.3, "b": 0.3, "c": 0.3}, "sum to 0.9; give shares that sum to 1, because there is no other source"),
    ],
)
def test_shares_that_cannot_be_are_refused(shares, message):
    with pytest.raises(ValueError, match=message):
        balanced_weights(OWNERS, shares)


def test_shares_go_with_no_other_weights():
    for other in ({"rare_below": 0.1}, {"balance": {}}):
        with pytest.raises(ValueError, match=rf"data\.shares and data\.{next(iter(other))} both set the weights"):
            Weighing(shares={"a": 1}, **other)
