import itertools

import numpy as np
import pytest

from anatomy_clip.data.sampler import EpochSampler, OrderedSampler, epoch_order


def sampler(rows=10, seed=0, *, batch_size=3, epoch=0, **options):
    made = EpochSampler(rows, seed, batch_size=batch_size, **options)
    made.set_epoch(epoch)
    return made


def test_order_is_a_permutation_in_passes_over_all_rows():
    order = epoch_order(10, 3, seed=0, epoch=0)
    assert sorted(order) == list(range(30))
    passes = (order % 10).reshape(3, 10)
    assert all(sorted(p) == list(range(10)) for p in passes)
    assert len({tuple(p) for p in passes}) == 3
    assert (order // 10).tolist() == [0] * 10 + [1] * 10 + [2] * 10


def test_order_is_a_pure_function_of_seed_and_epoch():
    orders = {(s, e): tuple(epoch_order(50, 1, s, e)) for s in range(3) for e in range(3)}
    assert len(set(orders.values())) == 9
    np.random.seed(5)
    assert orders == {key: tuple(epoch_order(50, 1, *key)) for key in orders}


def test_yields_index_and_epoch_in_whole_batches():
    items = list(sampler(epoch=4))
    assert len(items) == len(sampler()) == 9
    assert {epoch for _, epoch in items} == {4}
    assert items == list(sampler(epoch=4)) != list(sampler(epoch=5))


@pytest.mark.parametrize(("rows", "passes"), [(2, 12), (10, 3), (100, 1)])
def test_few_rows_are_passed_through_until_an_epoch_has_its_batches(rows, passes):
    made = sampler(rows, batch_size=4, least_batches=3, world_size=2)
    indices = [n for rank in range(2) for n, _ in sampler(rows, batch_size=4, least_batches=3, world_size=2, rank=rank)]
    assert len(made) >= 3 * 4 and len(set(indices)) == len(indices) <= rows * passes < len(indices) + 8
    counts = np.bincount(np.array(indices) % rows, minlength=rows)
    assert counts.max() - counts.min() <= 1 and counts.max() == passes


def test_an_epoch_goes_on_after_the_batches_that_are_done():
    whole = list(sampler(50, batch_size=4, epoch=2, rank=1, world_size=2))
    for done in (0, 1, 5, 6):
        rest = sampler(50, batch_size=4, rank=1, world_size=2, position=lambda done=done: (2, done))
        assert list(rest) == whole[4 * done :]
        assert len(rest) == len(whole)  # of the epoch, as Lightning counts


def test_every_slice_is_seen_over_the_epochs():
    seen = {index for epoch in range(30) for index, _ in sampler(epoch=epoch)}
    assert seen == set(range(10))


@pytest.mark.parametrize("images_per_image", [1, 3])
def test_global_batches_are_the_same_on_any_number_of_ranks(images_per_image):
    def batches(world):
        size = 8 // world
        ranks = [
            [i for i, _ in sampler(50, batch_size=size, images_per_image=images_per_image, rank=r, world_size=world)]
            for r in range(world)
        ]
        assert len({len(rank) for rank in ranks}) == 1
        assert len(ranks[0]) % size == 0
        steps = len(ranks[0]) // size
        return [sorted(itertools.chain(*(r[b * size : (b + 1) * size] for r in ranks))) for b in range(steps)]

    assert batches(1) == batches(2) == batches(4) == batches(8)
    assert len(set(itertools.chain(*batches(2)))) == 50 * images_per_image // 8 * 8


@pytest.mark.parametrize("world", [1, 2, 3, 7, 12])
def test_evaluation_loses_and_repeats_no_row(world):
    ranks = [OrderedSampler(10, rank=r, world_size=world) for r in range(world)]
    rows = [index for rank in ranks for index, _ in rank]
    assert sorted(rows) == list(range(10))
    assert [len(rank) for rank in ranks] == [len(list(rank)) for rank in ranks]
    assert not hasattr(ranks[0], "set_epoch")


def test_messages():
    with pytest.raises(ValueError, match=r"10 slice\(s\) x 1 variant\(s\).*batch of 16"):
        EpochSampler(10, 0, batch_size=16)
    with pytest.raises(ValueError, match="rank 2"):
        OrderedSampler(10, rank=2, world_size=2)
