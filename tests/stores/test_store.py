import tracemalloc

import numpy as np
import pytest

from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.stores.store import Store, pixel_digest, read_meta, write_store


def records(n):
    return [
        SliceRecord(
            "test", "train", f"p{i}", "s", "1", i, Modality.CT, Protocol.NONE, Orientation.AXIAL, {"liver": 300.0}
        )
        for i in range(n)
    ]


def images(n):
    return np.random.default_rng(0).integers(0, 256, (n, 8, 8), dtype=np.uint8)


def test_what_was_written_comes_back(tmp_path):
    write_store(tmp_path / "train", images(3), records(3), {"digest": "abc"})
    store = Store.open(tmp_path / "train", verify=True)
    assert isinstance(store.images, np.memmap)
    np.testing.assert_array_equal(store.images, images(3))
    assert list(store.manifest) == records(3)
    assert read_meta(tmp_path / "train")["digest"] == "abc"


def test_a_new_store_replaces_the_old_one_and_an_orphan(tmp_path):
    write_store(tmp_path / "train", images(3), records(3), {})
    (tmp_path / ".train.partial").mkdir()
    (tmp_path / ".train.partial" / "images.npy").write_bytes(b"half")
    write_store(tmp_path / "train", images(2), records(2), {})
    assert len(Store.open(tmp_path / "train").images) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["train"]


def test_a_missing_image_is_one_clear_message(tmp_path):
    write_store(tmp_path / "train", images(3), records(3), {})
    np.save(tmp_path / "train" / "images.npy", images(2))
    with pytest.raises(ValueError, match=r"2 image\(s\), 3 record\(s\), 3 expected; prepare the data again"):
        Store.open(tmp_path / "train")


def test_named_arrays_lie_beside_the_images(tmp_path):
    arrays = {"masks": np.arange(24, dtype=np.uint8).reshape(3, 2, 4), "ages": np.array([3.5, 0, 80], np.float32)}
    write_store(tmp_path / "train", images(3), records(3), {}, arrays)
    found = Store.open(tmp_path / "train", verify=True).arrays
    assert set(found) == {"masks", "ages", "digests"}
    for name, array in arrays.items():
        assert isinstance(found[name], np.memmap) and not found[name].flags.writeable
        np.testing.assert_array_equal(found[name], array)
    np.save(tmp_path / "train" / "masks.npy", arrays["masks"][:2])
    with pytest.raises(ValueError, match=r"masks\.npy: contains \(2, 2, 4\) for 3 image\(s\); prepare the data again"):
        Store.open(tmp_path / "train")


@pytest.mark.parametrize("name", ["images", "digests", "../masks", "a.b", ""])
def test_an_array_of_a_name_that_a_store_can_not_use_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=rf"array '{name}': give it a name that is one word"):
        write_store(tmp_path / "train", images(3), records(3), {}, {name: np.zeros(3)})
    assert not list(tmp_path.iterdir())


def test_an_array_with_another_number_of_rows_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"2 row\(s\) in masks\.npy do not match 3 record\(s\)"):
        write_store(tmp_path / "train", images(3), records(3), {}, {"masks": np.zeros(2)})
    assert not list(tmp_path.iterdir())


def test_digests_tell_pixels_and_shape(tmp_path):
    pixels = images(3)
    pixels[2] = pixels[0]
    write_store(tmp_path / "train", (part for part in (pixels[:1], pixels[1:])), records(3), {})
    digests = Store.open(tmp_path / "train").arrays["digests"]
    assert digests.shape == (3, 16) and digests.dtype == np.uint8
    assert (digests[0] == digests[2]).all() and (digests[0] != digests[1]).any()
    assert digests[1].tobytes() == pixel_digest(pixels[1]) != pixel_digest(pixels[1].reshape(4, 16))


@pytest.mark.parametrize("name", ["images.npy", "manifest.parquet", "digests.npy", "masks.npy"])
def test_a_flipped_byte_is_found_by_its_checksum(tmp_path, name):
    write_store(tmp_path / "train", images(3), records(3), {}, {"masks": np.ones((3, 8))})
    path = tmp_path / "train" / name
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match=rf"{name}: its checksum"):
        Store.open(tmp_path / "train", verify=True)


def test_half_a_store_is_no_store(tmp_path):
    write_store(tmp_path / "train", images(3), records(3), {})
    for name in ("images.npy", "digests.npy", "manifest.parquet", "store.json"):
        copy = tmp_path / f"without-{name}"
        copy.mkdir()
        for file in (tmp_path / "train").iterdir():
            if file.name != name:
                (copy / file.name).write_bytes(file.read_bytes())
        with pytest.raises(ValueError, match="prepare the data again"):
            Store.open(copy)


@pytest.mark.parametrize(
    ("source", "command"),
    [
        ({"_target_": "anatomy_clip.sources.phantom.source.PhantomSource"}, "prepare source=phantom"),
        ({"_target_": "anatomy_clip.sources.roco.RocoV2", "root": "(path)"}, "prepare source=rocov2"),
        ({"_target_": "elsewhere.PhantomSource"}, r"prepare source=\.\.\."),
        ("phantom", r"prepare source=\.\.\."),
    ],
)
def test_a_store_of_version_1_is_refused_with_the_command_that_makes_it_again(tmp_path, source, command):
    store = tmp_path / "data" / "phantom" / "train"
    write_store(store, images(1), records(1), {"settings": {"source": source}, "version": 1})
    said = rf"{store}/store\.json: version 1, expected 2; .*anatomy-clip {command} paths\.data={tmp_path}/data$"
    with pytest.raises(ValueError, match=said):
        Store.open(store)


def test_counts_must_agree_when_writing(tmp_path):
    with pytest.raises(ValueError, match=r"2 row\(s\) in images.npy do not match 3 record\(s\)"):
        write_store(tmp_path / "train", images(2), records(3), {})


def test_parts_are_written_one_by_one(tmp_path):
    side, each, parts = 256, 16, 24
    whole = np.random.default_rng(0).integers(0, 256, (1, each, side, side), np.uint8)
    tracemalloc.start()
    write_store(tmp_path / "train", (whole[0] + np.uint8(n) for n in range(parts)), records(each * parts), {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    store = Store.open(tmp_path / "train", verify=True)
    assert store.images.shape == (each * parts, side, side) and peak < store.images.nbytes / 4
    np.testing.assert_array_equal(store.images[-each:], whole[0] + np.uint8(parts - 1))


def test_parts_must_fit_each_other_and_a_failure_leaves_nothing(tmp_path):
    for parts, match in (
        ([np.zeros((1, 8, 8), np.uint8), np.zeros((1, 9, 9), np.uint8)], r"a part has uint8 \(1, 9, 9\)"),
        ([np.zeros((2, 8, 8), np.float32)], r"a part has float32"),
        ([], r"0 row\(s\) in images.npy do not match 2 record\(s\)"),
    ):
        with pytest.raises(ValueError, match=match):
            write_store(tmp_path / "train", iter(parts), records(2), {})
    assert not list(tmp_path.iterdir())
