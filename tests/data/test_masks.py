"""Masks of joined stores, row by row."""

import numpy as np
import pytest
from films import SIDE, make_record

from anatomy_clip.core.radiographs import RADIOGRAPHS
from anatomy_clip.data.masks import JoinedMasks
from anatomy_clip.stores.store import MASKS, Store, write_store

NAMES = ("heart", "nodule")


def stores(folder):
    """Two stores of three films; the second draws hearts alone."""
    rng = np.random.default_rng(0)
    for number, drawn in enumerate((NAMES, NAMES[:1])):
        records = [make_record(n, "test", image=f"{number}-{n}", masks=drawn) for n in range(3)]
        bits = rng.integers(0, 1 << len(drawn), (3, SIDE, SIDE)).astype(np.uint8)
        write_store(folder / str(number), np.zeros((3, SIDE, SIDE), np.uint8), records, {MASKS: NAMES}, {MASKS: bits})
    return [Store.open(folder / str(number), kind=RADIOGRAPHS) for number in range(2)]


@pytest.mark.parametrize("size", [SIDE, SIDE // 2])
def test_masks_are_those_of_their_store_at_the_size_of_the_images(tmp_path, size):
    opened = stores(tmp_path)
    joined = JoinedMasks(opened, size)
    for row in range(6):
        own = opened[row // 3].masks(row % 3)
        assert joined[row].keys() == own.keys() == set(NAMES[: 2 - row // 3])
        for name, mask in joined[row].items():
            assert mask.shape == (size, size) and mask.dtype == bool
            step = SIDE // size
            starts = [own[name][y::step, x::step] for y in range(step) for x in range(step)]
            assert any((mask == each).all() for each in starts)  # a nearest pixel, the same for all
