"""Planted leaks must all be found, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.stores.leakage import duplicates, leaks, normal_id
from anatomy_clip.stores.store import SliceStore, write_store

RECORD = SliceRecord("ct", "train", "p", "s", "1", 0, Modality.CT, Protocol.NONE, Orientation.AXIAL)
SPELLINGS = [
    "PAT-007",
    "pat 7",
    "Pat^007",
    "pat_0007",
    " PAT007 ",
    "\uff30\uff21\uff34\uff10\uff10\uff17",
]  # last: full width


def store(path, patients, images=None, **fields):
    records = [replace(RECORD, patient=p, index=n, **fields) for n, p in enumerate(patients)]
    if images is None:
        seed = sum(map(ord, path.name))
        images = np.random.default_rng(seed).integers(0, 256, (len(patients), 8, 8), dtype=np.uint8)
    write_store(path, images, records, {})
    return SliceStore.open(path)


def test_six_spellings_are_one_patient():
    assert {normal_id(spelling) for spelling in SPELLINGS} == {"pat 7"}


@pytest.mark.parametrize(("a", "b"), [("1-12", "11-2"), ("s0001", "s0010"), ("a1", "b1"), ("-", "^"), ("0", "00x")])
def test_different_patients_stay_apart(a, b):
    assert normal_id(a) != normal_id(b)


def test_each_spelling_is_found_across_stores(tmp_path):
    train = store(tmp_path / "train", ["other", SPELLINGS[0]])
    for n, spelling in enumerate(SPELLINGS[1:]):
        (leak,) = leaks({"train": train, "test": store(tmp_path / f"test{n}", ["third", spelling], split="test")})
        assert leak.reason == f"same patient, written 'PAT-007' and {spelling!r}"
        assert (leak.first.store, leak.first.row, leak.second.store, leak.second.row) == ("train", 1, "test", 1)
        assert "train, row 1 (ct/train, patient PAT-007" in str(leak)


def test_numbers_of_two_collections_are_not_one_patient_but_articles_are(tmp_path):
    ct = store(tmp_path / "ct", ["s0001", "PMC77"])
    mr = store(tmp_path / "mr", ["s0001", "PMC0077"], source="mr", split="test")
    (leak,) = leaks({"ct": ct, "mr": mr})
    assert leak.reason == "same patient, written 'PMC77' and 'PMC0077'"
    assert len(leaks({"ct": ct, "mr": mr}, across_sources=True)) == 2


def test_one_roco_article_in_two_splits_is_found(tmp_path):
    train = store(tmp_path / "train", ["PMC1", "PMC2"], source="roco")
    test = store(tmp_path / "test", ["PMC3", "PMC2", "PMC2"], source="roco", split="test")
    (leak,) = leaks({"train": train, "test": test})
    assert (leak.reason, leak.first.record.patient, leak.second.row) == ("same patient", "PMC2", 1)


def test_the_same_pixels_under_two_ids_are_found(tmp_path):
    images = np.random.default_rng(5).integers(0, 256, (4, 8, 8), dtype=np.uint8)
    train = store(tmp_path / "train", ["a", "a", "b", "c"], images)
    test = store(tmp_path / "test", ["x", "x", "y"], np.stack([images[1], images[0], images[3] ^ 1]), split="test")
    found = leaks({"train": train, "test": test})
    assert [leak.reason for leak in found] == ["same pixels in 2 slice(s)"]
    assert (found[0].first.record.patient, found[0].second.record.patient) == ("a", "x")
    groups = duplicates({"train": train, "test": test})
    assert [[(p.store, p.row) for p in group] for group in groups] == [
        [("train", 0), ("test", 1)],
        [("train", 1), ("test", 0)],
    ]


def test_two_ids_in_one_store_are_found_but_repeats_of_one_patient_are_none(tmp_path):
    images = np.random.default_rng(6).integers(0, 256, (4, 8, 8), dtype=np.uint8)
    images[3] = images[2] = images[0]
    one = store(tmp_path / "one", ["a", "b", "A", "a"], images)
    assert duplicates({"one": one}) == []
    two = store(tmp_path / "two", ["a", "b", "c", "a"], images)
    (leak,) = [leak for leak in leaks({"two": two}) if leak.first.record.patient == "a"]
    assert leak.second.record.patient == "c"


def test_black_slices_are_no_duplicates(tmp_path):
    black = np.zeros((2, 8, 8), np.uint8)
    stores = {name: store(tmp_path / name, [name, f"{name}2"], black, split=name) for name in ("train", "test")}
    assert leaks(stores) == []
