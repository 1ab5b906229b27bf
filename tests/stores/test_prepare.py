import ctypes
import faulthandler
import json
import time
from contextlib import nullcontext
from functools import partial

import numpy as np
import pyarrow.parquet  # noqa: F401  here, so that no worker spends its time on it
import pytest

from anatomy_clip.core.limits import Limits
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.refusals import Doubt, Refusal
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.imaging.intensity import Display
from anatomy_clip.imaging.slices import Slice
from anatomy_clip.stores.prepare import digest, prepare_split, up_to_date, without_paths
from anatomy_clip.stores.selection import Selection
from anatomy_clip.stores.store import Store

VOLUMES = [f"v{n}" for n in range(6)]
AXIAL = Orientation.AXIAL
SETTINGS = {"source": "test"}


def read(log, bad, volume):
    """Two slices a volume; `bad` volumes can't be read; every call is noted in a file."""
    (log / volume).touch()
    if volume in bad:
        raise ValueError(f"{volume}.nii.gz: truncated; download it again")
    for index in range(2):
        pixels = np.random.default_rng([int(volume[1:]), index]).normal(0, 100, (9, 6)).astype(np.float32)
        record = SliceRecord("test", "train", volume, "s", "1", index, Modality.CT, Protocol.NONE, Orientation.AXIAL)
        yield Slice(pixels, (1.0, 1.5), 2.0, Modality.CT, Protocol.NONE, Orientation.AXIAL), record


def render(image, record):
    return Display().square(image, 8), record, {}


def prepare(folder, log, bad=(), workers=0, share=0.5, volumes=VOLUMES):
    log.mkdir(exist_ok=True)
    return prepare_split(
        partial(read, log, bad), volumes, folder / "train", render,
        settings=SETTINGS, workers=workers, max_bad_share=share,
    )  # fmt: skip


def test_store_is_the_same_with_any_number_of_workers(tmp_path):
    stores = []
    for workers in (0, 2):
        summary = prepare(tmp_path / str(workers), tmp_path / "log", workers=workers)
        assert (summary.images, summary.volumes, summary.refusals) == (12, 6, ())
        stores.append(Store.open(tmp_path / str(workers) / "train", verify=True))
    np.testing.assert_array_equal(stores[0].images, stores[1].images)
    assert list(stores[0].manifest) == list(stores[1].manifest)
    assert [r.patient for r in stores[0].manifest][::2] == VOLUMES


def test_a_bad_volume_is_refused_with_its_reason(tmp_path):
    summary = prepare(tmp_path, tmp_path / "log", bad=("v2",))
    assert summary.refusals == (Refusal("v2.nii.gz: truncated", "download it again", "v2"),)
    rows = (tmp_path / "train_refusals.csv").read_text().split()
    assert rows == ["volume,kind,reason,remedy", *"v2,refused,v2.nii.gz: truncated,download it again".split()]
    assert {r.patient for r in Store.open(tmp_path / "train").manifest} == set(VOLUMES) - {"v2"}


def test_too_many_bad_volumes_stop_and_the_next_run_reads_only_those(tmp_path):
    with pytest.raises(
        ValueError, match=r"2 of 6 volume\(s\) could not be read, more than max_bad_share=0.2: v0: v0.nii"
    ):
        prepare(tmp_path, tmp_path / "log", bad=("v0", "v5"), share=0.2)
    assert not (tmp_path / "train").exists()
    rows = (tmp_path / "train_refusals.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["volume", "v0", "v5"]
    prepare(tmp_path, tmp_path / "second")
    assert {p.name for p in (tmp_path / "second").iterdir()} == {"v0", "v5"}
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("share", [0.05, 0.0])
def test_one_bad_volume_stops_only_where_none_is_allowed(tmp_path, share):
    with nullcontext() if share else pytest.raises(ValueError, match="1 of 6 volume"):
        assert len(prepare(tmp_path, tmp_path / "log", bad=("v3",), share=share).refusals) == 1


def test_it_stops_as_soon_as_too_many_are_bad(tmp_path):
    with pytest.raises(ValueError, match=r"2 of 6 volume\(s\) could not be read"):
        prepare(tmp_path, tmp_path / "log", bad=("v0", "v1", "v5"), share=0.2)
    assert {p.name for p in (tmp_path / "log").iterdir()} == {"v0", "v1"}
    prepare(tmp_path, tmp_path / "log", bad=("v0",), share=1 / 6)  # just what is allowed


class Panic(BaseException):
    """What a Rust decoder raises."""


def segfault():
    faulthandler.disable()
    ctypes.string_at(0)


def panic():
    raise Panic("slice index out of range")


DEEDS = {"v0": segfault, "v2": lambda: time.sleep(60), "v3": lambda: np.ones(2**30, np.uint8).sum(), "v5": panic}


def hostile(log, deeds, volume):
    deeds.get(volume, lambda: None)()
    yield from read(log, (), volume)


def test_a_crash_a_hang_a_memory_bomb_and_a_panic_cost_their_volumes_only(tmp_path):
    stores = []
    for name, deeds in (("hostile", DEEDS), ("tame", {})):
        (tmp_path / name).mkdir()
        volumes = VOLUMES if deeds else [v for v in VOLUMES if v not in DEEDS]
        summary = prepare_split(
            partial(hostile, tmp_path / name, deeds), volumes, tmp_path / name / "train", render,
            settings=SETTINGS, workers=2, max_bad_share=0.7, limits=Limits(seconds=3, memory_gb=0.5),
        )  # fmt: skip
        files = ("images.npy", "digests.npy", "manifest.parquet")
        stores.append([(tmp_path / name / "train" / file).read_bytes() for file in files])
        if deeds:
            assert [(one.where, one.reason) for one in summary.refusals] == [
                ("v0", "its process was ended by SIGSEGV"),
                ("v2", "took longer than seconds=3"),
                ("v3", "needs too much memory, more than memory_gb=0.5"),
                ("v5", "Panic: slice index out of range"),
            ]
            assert all(one.remedy for one in summary.refusals)
    assert stores[0] == stores[1]


def test_files_that_a_reader_refuses_are_listed_too(tmp_path):
    def partly(volume):
        yield Refusal("is not an image", "leave it out", str(tmp_path / f"{volume}.dcm"))
        yield from read(tmp_path, (), volume)

    for workers in (0, 2):
        summary = prepare_split(
            partly, VOLUMES[:2], tmp_path / "train", render, settings=SETTINGS, workers=workers, max_bad_share=0
        )
        assert (summary.images, summary.volumes) == (4, 2)
        assert [str(one) for one in summary.refusals] == [
            f"{tmp_path}/v{n}.dcm: is not an image; leave it out" for n in (0, 1)
        ]


def test_doubts_stand_in_the_summary_and_as_notes_in_the_table(tmp_path):
    def doubtful(volume):
        yield from read(tmp_path, ("v2",), volume)
        if volume == "v1":
            yield Doubt("its values may not be HU", volume)

    for workers in (0, 2):
        summary = prepare_split(
            doubtful, VOLUMES[:3], tmp_path / "train", render, settings=SETTINGS, workers=workers, max_bad_share=0.5
        )
        assert (summary.volumes, len(summary.refusals)) == (2, 1)
        assert summary.doubts == (Doubt("its values may not be HU", "v1"),)
        assert (tmp_path / "train_refusals.csv").read_text().splitlines() == [
            "volume,kind,reason,remedy",
            "v1,note,its values may not be HU,",
            "v2,refused,v2.nii.gz: truncated,download it again",
        ]


def test_images_are_the_bytes_that_one_array_would_give(tmp_path):
    prepare(tmp_path, tmp_path / "log", workers=2)
    store = Store.open(tmp_path / "train")
    np.save(tmp_path / "whole.npy", np.array(store.images))
    assert (tmp_path / "train" / "images.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


@pytest.mark.parametrize(
    ("selection", "kept"),
    [
        (Selection(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (Selection(every=3), [0, 3, 6, 9]),
        (Selection(at_most=3), [0, 4, 9]),
        (Selection(at_most=1), [5]),
        (Selection(skip_empty=True), [2, 3, 4, 5, 6, 7]),
        (Selection(every=2, at_most=2, skip_empty=True), [2, 6]),
    ],
)
def test_slices_are_selected(tmp_path, selection, kept):
    def read(volume):
        for index in range(10):
            pixels = np.full((9, 9), -1000, np.float32)
            pixels[3:6, 3:6] = 40 if 2 <= index < 8 else -1000
            record = SliceRecord("test", "train", volume, "s", "1", index, Modality.CT, Protocol.NONE, AXIAL)
            yield Slice(pixels, (1.0, 1.0), 2.0, Modality.CT, Protocol.NONE, AXIAL), record

    prepare_split(
        read, ["v"], tmp_path / "train", render,
        settings=SETTINGS, workers=0, max_bad_share=0, selection=selection,
    )  # fmt: skip
    assert [record.index for record in Store.open(tmp_path / "train").manifest] == kept


def test_a_selection_that_takes_nothing_is_refused():
    with pytest.raises(ValueError, match=r"selection\.every=0: give a whole number of at least 1"):
        Selection(every=0)
    assert not Selection() and Selection(at_most=5)


def test_up_to_date_means_whole_and_made_with_these_settings(tmp_path):
    assert not up_to_date(tmp_path / "train", digest(SETTINGS))
    prepare(tmp_path, tmp_path / "log")
    assert up_to_date(tmp_path / "train", digest(SETTINGS))
    assert not up_to_date(tmp_path / "train", digest({"source": "other"}))
    meta = tmp_path / "train" / "store.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"version": 1}))
    assert not up_to_date(tmp_path / "train", digest(SETTINGS))
    prepare(tmp_path, tmp_path / "log")
    assert up_to_date(tmp_path / "train", digest(SETTINGS))


def test_nothing_at_all_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="gave no image"):
        prepare(tmp_path, tmp_path / "log", volumes=[])


def test_a_store_names_no_folder_and_a_cured_split_no_refusals(tmp_path):
    prepare(tmp_path, tmp_path / "log", bad=("v2",))
    files = {"images.npy", "digests.npy", "manifest.parquet", "store.json"}
    assert {p.name for p in (tmp_path / "train").iterdir()} == files
    prepare(tmp_path, tmp_path / "log")
    assert not (tmp_path / "train_refusals.csv").exists()
    settings = {"source": {"root": "/home/someone/raw", "modality": "CT", "steps": [1.0, "a/b"]}}
    assert without_paths(settings) == {"source": {"root": "(path)", "modality": "CT", "steps": [1.0, "(path)"]}}
