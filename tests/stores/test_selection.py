"""Which patients a training gets."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.data.dataset import ChosenImages, JoinedImages
from anatomy_clip.stores.selection import first_patients

RECORD = SliceRecord(
    source="a", split="train", patient="", study="s", series="s", index=0,
    modality=Modality.CT, protocol=Protocol.NONE, orientation=Orientation.AXIAL,
)  # fmt: skip
# Two sources that share their patients' ids, and unequal numbers of slices.
RECORDS = [
    replace(RECORD, source=source, patient=f"p{n}", index=k) for source in "ab" for n in range(20) for k in range(n + 1)
]


def chosen(count, seed=0, records=RECORDS):
    return {(records[row].source, records[row].patient) for row in first_patients(Manifest(records), count, seed)}


def test_fewer_patients_lie_within_more_and_each_with_all_its_slices():
    draws = [chosen(n) for n in range(1, 41)]
    assert [len(draw) for draw in draws] == list(range(1, 41))
    assert all(a < b for a, b in pairwise(draws))
    rows = first_patients(Manifest(RECORDS), 13, 0)
    assert rows == [n for n, r in enumerate(RECORDS) if (r.source, r.patient) in draws[12]]


def test_the_draw_follows_ids_and_seed_not_the_order_of_the_rows():
    shuffled = [RECORDS[n] for n in np.random.default_rng(1).permutation(len(RECORDS))]
    assert chosen(10) == chosen(10, records=shuffled)
    assert chosen(10) != chosen(10, seed=1)
    often = sum(len(chosen(10, seed)) == 10 and ("a", "p3") in chosen(10, seed) for seed in range(200))
    assert 25 <= often <= 80  # 200 x 10 / 40 = 50 expected


@pytest.mark.parametrize("count", [0, 41])
def test_a_number_of_patients_that_cannot_be_had_is_refused(count):
    with pytest.raises(ValueError, match=rf"data.train_patients={count}: the training stores have 40"):
        first_patients(Manifest(RECORDS), count, 0)


def test_chosen_images_are_those_of_their_rows():
    parts = [np.arange(5, dtype=np.uint8).reshape(5, 1, 1), np.arange(5, 9, dtype=np.uint8).reshape(4, 1, 1)]
    images = ChosenImages(JoinedImages(parts), [7, 0, 5])
    assert len(images) == 3 and [int(images[n][0, 0]) for n in range(3)] == [7, 0, 5]
