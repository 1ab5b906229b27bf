from functools import partial

import numpy as np
import pytest

from anatomy_clip.anatomy.records import SliceRecord
from anatomy_clip.anatomy.terms import Modality, Orientation, Protocol
from anatomy_clip.data.prepare import digest, prepare_split, up_to_date, without_paths
from anatomy_clip.data.store import SliceStore
from anatomy_clip.imaging.intensity import Display
from anatomy_clip.imaging.slices import Slice

VOLUMES = [f"v{n}" for n in range(6)]
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


def render(image):
    return Display().square(image, 8)


def prepare(folder, log, bad=(), workers=0, share=0.5, volumes=VOLUMES):
    log.mkdir(exist_ok=True)
    return prepare_split(
        partial(read, log, bad), volumes, folder / "train", render,
        settings=SETTINGS, workers=workers, max_bad_share=share,
    )  # fmt: skip


def test_store_is_the_same_with_any_number_of_workers(tmp_path):
    stores = []
    for workers in (0, 2):
        report = prepare(tmp_path / str(workers), tmp_path / "log", workers=workers)
        assert (report.slices, report.volumes, report.quarantine) == (12, 6, ())
        stores.append(SliceStore.open(tmp_path / str(workers) / "train", verify=True))
    np.testing.assert_array_equal(stores[0].images, stores[1].images)
    assert list(stores[0].manifest) == list(stores[1].manifest)
    assert [r.patient for r in stores[0].manifest][::2] == VOLUMES


def test_a_bad_volume_is_set_aside_with_its_reason(tmp_path):
    report = prepare(tmp_path, tmp_path / "log", bad=("v2",))
    assert report.quarantine == (("v2", "v2.nii.gz: truncated; download it again"),)
    assert "v2,v2.nii.gz: truncated" in (tmp_path / "train_quarantine.csv").read_text()
    assert {r.patient for r in SliceStore.open(tmp_path / "train").manifest} == set(VOLUMES) - {"v2"}


def test_too_many_bad_volumes_stop_and_the_next_run_reads_only_those(tmp_path):
    with pytest.raises(
        ValueError, match=r"2 of 6 volume\(s\) could not be read, more than max_bad_share=0.1: v0: v0.nii"
    ):
        prepare(tmp_path, tmp_path / "log", bad=("v0", "v3"), share=0.1)
    assert not (tmp_path / "train").exists()
    prepare(tmp_path, tmp_path / "second")
    assert {p.name for p in (tmp_path / "second").iterdir()} == {"v0", "v3"}
    assert not list(tmp_path.glob(".*"))


def test_up_to_date_means_whole_and_made_with_these_settings(tmp_path):
    assert not up_to_date(tmp_path / "train", digest(SETTINGS))
    prepare(tmp_path, tmp_path / "log")
    assert up_to_date(tmp_path / "train", digest(SETTINGS))
    assert not up_to_date(tmp_path / "train", digest({"source": "other"}))


def test_nothing_at_all_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="not one slice"):
        prepare(tmp_path, tmp_path / "log", volumes=[])


def test_a_store_names_no_folder_and_a_cured_split_no_quarantine(tmp_path):
    prepare(tmp_path, tmp_path / "log", bad=("v2",))
    assert {p.name for p in (tmp_path / "train").iterdir()} == {"images.npy", "manifest.parquet", "store.json"}
    prepare(tmp_path, tmp_path / "log")
    assert not (tmp_path / "train_quarantine.csv").exists()
    settings = {"source": {"root": "/home/someone/raw", "modality": "CT", "steps": [1.0, "a/b"]}}
    assert without_paths(settings) == {"source": {"root": "(path)", "modality": "CT", "steps": [1.0, "(path)"]}}
