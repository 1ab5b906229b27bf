"""Planted leaks must all be found, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.stores.leakage import leaks, normal_id, patient_hashes, refuse_leaks
from anatomy_clip.stores.store import DIGESTS, Store, pixel_digest

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
    digests = np.array([list(pixel_digest(image)) for image in images], np.uint8)
    return Store(path, images, Manifest(records), {DIGESTS: digests})


def test_six_spellings_are_one_patient():
    assert {normal_id(spelling) for spelling in SPELLINGS} == {"pat 7"}


@pytest.mark.parametrize(("a", "b"), [("1-12", "11-2"), ("s0001", "s0010"), ("a1", "b1"), ("-", "^"), ("0", "00x")])
def test_different_patients_stay_apart(a, b):
    assert normal_id(a) != normal_id(b)


def test_each_spelling_is_found_across_stores(tmp_path):
    train = store(tmp_path / "train", ["other", SPELLINGS[0]])
    for n, spelling in enumerate(SPELLINGS[1:]):
        (leak,) = leaks({"train": train, "test": store(tmp_path / f"test{n}", ["third", spelling], split="test")})
        assert (leak.first.store, leak.first.row, leak.second.store, leak.second.row) == ("train", 1, "test", 1)
        assert str(leak) == "same patient, spelled in two ways: train, row 1 (ct/train); test, row 1 (ct/test)"


def test_numbers_of_two_collections_are_not_one_patient_but_articles_are(tmp_path):
    ct = store(tmp_path / "ct", ["s0001", "PMC77"])
    mr = store(tmp_path / "mr", ["s0001", "PMC0077"], source="mr", split="test")
    (leak,) = leaks({"ct": ct, "mr": mr})
    assert leak.first.record.patient == "PMC77" and leak.slices == 0
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
    assert (found[0].first.row, found[0].second.row, found[0].slices) == (0, 1, 2)


def test_two_ids_in_one_store_are_found_but_repeats_of_one_patient_are_none(tmp_path):
    images = np.random.default_rng(6).integers(0, 256, (4, 8, 8), dtype=np.uint8)
    images[3] = images[2] = images[0]
    one = store(tmp_path / "one", ["a", "b", "A", "a"], images)
    assert leaks({"one": one}) == []
    two = store(tmp_path / "two", ["a", "b", "c", "a"], images)
    (leak,) = [leak for leak in leaks({"two": two}) if leak.first.record.patient == "a"]
    assert leak.second.record.patient == "c"


def blank(value, *pixels):
    """A slice of one value, but for a few pixels."""
    image = np.full((20, 20), value, np.uint8)
    image.ravel()[list(pixels)] = 255 - value
    return image


@pytest.mark.parametrize(("image", "leak"), [
    (blank(0), False), (blank(255), False), (blank(0, 3, 7, 9), False), (blank(255, 3), False),
    (blank(0, 3, 7, 9, 11), True), (blank(255, *range(40)), True),
])  # fmt: skip
def test_slices_that_show_next_to_nothing_are_no_duplicates(tmp_path, image, leak):
    images = np.stack([image, image])
    stores = {name: store(tmp_path / name, [name, f"{name}2"], images, split=name) for name in ("train", "test")}
    assert bool(leaks(stores)) == leak


@pytest.mark.parametrize(("a", "b", "same"), [
    (("ct", "LIDC-0007"), ("nodules", "lidc_7"), True),
    (("ct", "LIDC-IDRI-0007"), ("nodules", "lidc_7"), True),
    (("ct", "sub-verse004"), ("spine", "VerSe 4"), True),
    (("x", "TCGA-02-0003"), ("y", "tcga_02_0003"), True),
    (("x", "TCGA-02-0003"), ("y", "tcga_20_0003"), False),
    (("roco", "PMC4083729"), ("rocov2", "pmcid: PMC04083729.1"), True),
    (("roco", "PMC4083729_AJHP2014-1.jpg"), ("rocov2", "4083729"), True),
    (("roco", "4083729"), ("hospital", "4083729"), False),
    (("a", "1"), ("b", "1"), False),
    (("a", "s0001"), ("b", "s0001"), False),
    (("a", "PAT-007"), ("b", "pat 7"), False),
    (("a", "liver_12"), ("b", "liver_12"), False),
    (("a", "lidcx-7"), ("b", "lidcx 7"), False),
    (("a", "lidc"), ("b", "lidc"), False),
])  # fmt: skip
def test_patients_of_two_sources(tmp_path, a, b, same):
    first, second = (store(tmp_path / source, [patient], source=source) for source, patient in (a, b))
    assert len(leaks({"train": first, "test": second})) == same
    assert len(patient_hashes([a]) & patient_hashes([b])) == same  # what checkpoints carry


def test_stores_of_one_role_may_share_and_those_of_two_may_not(tmp_path):
    images = np.random.default_rng(8).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    stores = {
        "a": store(tmp_path / "a", ["x", "y", "z"], images),
        "b": store(tmp_path / "b", ["x", "p", "q"], images),
        "c": store(tmp_path / "c", ["r"], images[2:]),
    }
    refuse_leaks(stores, {name: {"training"} for name in stores})
    both = {"a": {"validation", "test"}, "b": {"other"}, "c": {"other"}}
    refuse_leaks({"a": stores["a"]}, both)  # not with itself
    found = leaks(stores, both)
    assert [(leak.first.store, leak.second.store, leak.slices) for leak in found] == [
        ("a", "b", 0), ("a", "b", 1), ("a", "b", 1), ("a", "b", 1), ("a", "c", 1)
    ]  # fmt: skip
    said = r"^leakage: same patient: a, row 0 \(ct/train\); b, row 0 .*; and 1 more\. Split these data by patient"
    with pytest.raises(ValueError, match=said):
        refuse_leaks(stores, both)


def test_digests_that_agree_in_half_are_other_slices(tmp_path):
    stores = {name: store(tmp_path / name, [name], split=name) for name in ("train", "test")}
    digests = {name: np.arange(16, dtype=np.uint8)[None] for name in stores}
    for half in (slice(0, 8), slice(8, 16)):
        digests["test"] = np.zeros((1, 16), np.uint8)
        digests["test"][:, half] = digests["train"][:, half]
        assert not leaks({name: replace(one, arrays={DIGESTS: digests[name]}) for name, one in stores.items()})
    assert leaks({name: replace(one, arrays={DIGESTS: digests["train"]}) for name, one in stores.items()})
