import json
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from describe.studies import SECRETS, body, uid
from PIL import Image
from pydicom.data import get_testdata_file

import anatomy_clip
from anatomy_clip.core.limits import Limits
from anatomy_clip.data.augment import ImageAugment
from anatomy_clip.data.dataset import SliceDataset
from anatomy_clip.describe import reading
from anatomy_clip.describe.predictor import Describer
from anatomy_clip.sources.scans.folder import DicomFolder
from anatomy_clip.stores.prepare import prepare_split
from anatomy_clip.stores.store import Store


@pytest.fixture
def study(write, tmp_path):
    """Two axial CT series, out of order by name, and a coronal MR."""
    for n in range(7):
        write(f"study/ct/{9 - n}.dcm", z=5.0 * n, BodyPartExamined="CHEST")
    for n in range(3):
        write(f"study/ct/x{n}.dcm", z=5.0 * n, SeriesInstanceUID=uid("other"))
    for n in range(2):
        plane = dict(ImageOrientationPatient=[1, 0, 0, 0, 0, -1], ImagePositionPatient=[0, 4.0 * n, 0])
        write(f"study/mr/{n}", modality="MR", SeriesInstanceUID=uid("mr"), RescaleSlope=None, RescaleIntercept=None,
              EchoTime=90, RepetitionTime=4000, ScanningSequence="SE", pixels=body(n + 50), **plane)  # fmt: skip
    return tmp_path / "study"


def test_a_study_becomes_series(describer, study):
    found = describer.describe(study, workers=2)
    assert [(one.path, one.modality, one.protocol, one.orientation, len(one.slices)) for one in found.series] == [
        (str(study / "ct"), "CT", "", "axial", 7),
        (str(study / "ct"), "CT", "", "axial", 3),
        (str(study / "mr"), "MR", "T2", "coronal", 2),
    ]
    assert not found.refusals
    ct, _, mr = found.series
    assert [one.position_mm for one in ct.slices] == [0, 5, 10, 15, 20, 25, 30]
    assert [one.source.path.name for one in ct.slices] == [f"{9 - n}.dcm" for n in range(7)]
    assert len({one.source.sop_instance_uid for one in ct.slices}) == 7
    assert {(one.source.study_uid, one.source.series_uid) for one in ct.slices} == {(uid("study"), uid("series"))}
    assert (ct.body_part, mr.body_part) == ("CHEST", "")
    assert "Echo Time (0018,0081) 90 ms" in mr.evidence
    assert all(0 <= f.score <= 1 for one in found.series for f in (*one.stations, *one.organs))


@pytest.mark.parametrize(("workers", "batch_size"), [(0, 32), (1, 32), (3, 32), (2, 2)])
def test_the_answer_is_the_same_with_any_number_of_workers(describer, study, workers, batch_size):
    expected = describer.describe(study, workers=2).plain()
    found = describer.describe(study, workers=workers, batch_size=batch_size).plain()
    if batch_size == 32:
        assert found == expected
    else:  # another batch: other last digits
        assert [one["caption"] for one in found["series"]] == [one["caption"] for one in expected["series"]]


def test_slices_are_prepared_as_training_prepared_them(describer, study, tmp_path):
    """Against the store that prepare writes and the data set that evaluation reads, as the network gets them."""
    kept = describer.bundle.preprocessing
    source = DicomFolder(study)
    volumes = source.volumes("all")
    prepare_split(
        lambda volume: source.slices("all", volume), volumes, tmp_path / "store",
        lambda image, record: (kept.display.square(image, kept.side), record, {}), settings={}, workers=0,
        max_bad_share=0,
    )  # fmt: skip
    store = Store.open(tmp_path / "store")
    found = describer.describe(study, workers=0, pictures=True)
    squares = np.stack([one.picture for series in found.series for one in series.slices])
    assert np.array_equal(squares, np.asarray(store.images))
    dataset = SliceDataset(
        store.images, store.manifest, describer.bundle.taxonomy, augment=ImageAugment(kept.image_size),
        seed=0, name="x",
    )  # fmt: skip
    inputs = np.stack([dataset[n, 0].images[0] for n in range(len(dataset))])
    assert np.array_equal(kept.input(squares), inputs)


def test_a_nifti_volume_and_its_modality(describer, tmp_path):
    rng = np.random.default_rng(0)
    hu = rng.integers(-1000, 500, (20, 24, 5)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(hu, np.diag([-2.0, -2.0, 3.0, 1])), tmp_path / "ct.nii.gz")
    nibabel.save(nibabel.Nifti1Image(hu - hu.min(), np.diag([2.0, 2.0, -3.0, 1])), tmp_path / "mr.nii")
    (tmp_path / "bad.nii.gz").write_bytes(b"no")
    found = describer.describe(sorted(tmp_path.glob("*.nii*")), workers=1)
    ct, mr = found.series
    assert [one.position_mm for one in ct.slices] == [0.0, 3.0, 6.0, 9.0, 12.0]
    assert mr.modality == "MR"  # no value is as low as fat in HU
    assert any("estimated from the image" in note for note in (*ct.notes, *mr.notes))
    assert found.refusals[0].where.endswith("bad.nii.gz")
    assert found.refusals[0].reason.startswith("can't be read as NIfTI")
    said = describer.describe(tmp_path / "ct.nii.gz", modality="MR", workers=0).series[0]
    assert (said.modality, said.notes) == ("MR", ())


def test_slices_run_as_they_are_stored(describer, tmp_path):
    """Whichever way the third axis runs, index 0 is the first slice of the file."""
    grey = np.zeros((8, 8, 4), np.int16)
    grey[:, :, 1] = np.arange(64).reshape(8, 8)
    for name, z in (("up", 2.0), ("down", -2.0)):
        nibabel.save(nibabel.Nifti1Image(grey, np.diag([2.0, 2.0, z, 1])), tmp_path / f"{name}.nii")
    for one in describer.describe(tmp_path, workers=0, modality="MR", pictures=True).series:
        assert [bool(each.picture.any()) for each in one.slices] == [False, True, False, False]
        assert [each.abstained for each in one.slices][2:] == [True, True]  # there is nothing to see


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "I;16"])
def test_pictures(describer, tmp_path, mode):
    if mode == "I;16":
        Image.fromarray(body().astype(np.uint16) * 30).save(tmp_path / "a.png")
    else:
        Image.fromarray((body() % 256).astype(np.uint8)).convert(mode).save(tmp_path / "a.png")
    one = describer.describe(tmp_path / "a.png", workers=0, pictures=True).series[0]
    assert one.slices[0].position_mm is None
    assert one.slices[0].picture.std() > 10
    assert "estimated from the image" in one.notes[0]
    if mode == "L":
        assert describer.describe(tmp_path / "a.png", workers=0, modality="CT").series[0].modality == "CT"


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_a_picture_is_shown_as_its_exif_orientation_says(describer, tmp_path, tag, ending):
    """Stored pixels and the picture as the EXIF standard has it, tag 0x0112: where row 0 and column 0 are."""
    upright = np.zeros((64, 48), np.uint8)
    upright[:16, :32] = 250
    upright[:40, :16] = 120
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T,
        6: upright.T[::-1], 7: upright.T[::-1, ::-1], 8: upright.T[:, ::-1],
    }[tag]  # fmt: skip
    exif = Image.Exif()
    exif[0x112] = tag
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / f"a.{ending}", exif=exif, quality=100)
    Image.fromarray(upright).save(tmp_path / "b.png")
    turned, plain = describer.describe([tmp_path / f"a.{ending}", tmp_path / "b.png"], workers=0, pictures=True).series
    difference = turned.slices[0].picture.astype(int) - plain.slices[0].picture
    assert np.abs(difference).max() <= 4  # JPEG loses a little


def test_an_archive_and_a_dicomdir(describer, study, tmp_path):
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as opened:
        for path in sorted(study.rglob("*")):
            opened.write(path, path.relative_to(study))
    plain, packed = describer.describe(study, workers=1), describer.describe(tmp_path / "s.zip", workers=1)
    assert [one.path for one in packed.series] == [str(tmp_path / "s.zip" / d) for d in ("ct", "ct", "mr")]
    assert packed.series[0].slices[0].source.path.is_file()  # for who makes a document of it
    for a, b in zip(plain.series, packed.series, strict=True):
        assert replace(a, path="", slices=()) == replace(b, path="", slices=())
        assert [s.organs for s in a.slices] == [s.organs for s in b.slices]
    scratch = packed.series[0].slices[0].source.path
    describer.close()
    assert not scratch.exists()


def test_files_that_a_dicomdir_names_are_described_or_refused(describer):
    path = Path(get_testdata_file("DICOMDIR", download=False))
    found = describer.describe(path, workers=2)
    told = {one.path for one in found.series} | {one.where for one in found.refusals}
    assert len(told) > 5
    assert all(str(path.parent) in one for one in told)
    assert any(one.modality == "CT" for one in found.series)


def test_bad_files_cost_only_themselves(describer, study, write, tmp_path):
    good = study / "ct" / "5.dcm"
    (study / "ct" / "cut.dcm").write_bytes(good.read_bytes()[:-500])
    (study / "ct" / "words.txt").write_text("hello")
    shutil.copy(good, study / "ct" / "again.dcm")
    write("study/ct/xr.dcm", Modality="CR")
    found = describer.describe(study, workers=2)
    assert [len(one.slices) for one in found.series] == [7, 3, 2]
    reasons = {Path(one.where).name: one.message for one in found.refusals}
    assert set(reasons) == {"cut.dcm", "words.txt", "5.dcm", "xr.dcm"} or set(reasons) == {
        "cut.dcm", "words.txt", "again.dcm", "xr.dcm",
    }  # fmt: skip
    assert "cut off" in reasons["cut.dcm"]
    assert "is not CT or MR: it is a radiograph (CR)" in reasons["xr.dcm"]
    assert all("; " in reason for reason in reasons.values())


def test_a_frame_that_brings_its_worker_down_is_found_and_refused(describer, study, monkeypatch):
    """A slice kills its process, as a codec can: the others of its batch are described all the same."""
    real = reading.load

    def deadly(series, index, reader, blank=False):
        if series.frames[index].path.name == "7.dcm":
            os.kill(os.getpid(), 9)
        return real(series, index, reader, blank)

    monkeypatch.setattr(reading, "load", deadly)
    found = describer.describe(study, workers=2)
    assert [len(one.slices) for one in found.series] == [6, 3, 2]
    assert [each.index for each in found.series[0].slices] == [0, 1, 3, 4, 5, 6]
    assert [Path(one.where).name for one in found.refusals] == ["7.dcm"]
    assert "SIGKILL" in found.refusals[0].reason


def test_a_file_that_takes_too_long_is_refused(describer, study, monkeypatch):
    real = reading.read_headers

    def slow(path):
        while path.name == "x1.dcm":
            pass
        return real(path)

    monkeypatch.setattr(reading, "read_headers", slow)
    found = describer.describe(study, workers=2, limits=Limits(seconds=1, memory_gb=1))
    assert [(Path(one.where).name, "took longer than seconds=1" in one.reason) for one in found.refusals] == [
        ("x1.dcm", True)
    ]
    assert [len(one.slices) for one in found.series] == [7, 2, 2]


def test_nothing_of_the_patient_in_what_is_printed(describer, study):
    found = describer.describe(study, workers=1)
    text = json.dumps(found.plain()) + repr(found) + repr(found.series[0].slices)
    for secret in (*SECRETS, uid("study"), uid("series")):
        assert secret not in text
    assert "source" not in json.dumps(found.plain())


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"modality": "US"}, "give one of CT, MR"), ({"batch_size": 0}, "batch_size=0"), ({"workers": -1}, "workers=-1")],
)
def test_wrong_arguments(describer, study, wrong, words):
    with pytest.raises(ValueError, match=words):
        describer.describe(study, **wrong)


def test_the_front_door(bundle_folder):
    assert anatomy_clip.Describer is Describer
    with pytest.raises(AttributeError, match="nothing"):
        _ = anatomy_clip.nothing


def test_real_series_have_the_modality_protocol_and_orientation_of_their_labels(describer, real):
    rows = [line.split(",") for line in (real / "labels.csv").read_text().splitlines()[1:]]
    wanted = {r[0]: (r[2], r[3], r[4]) for r in rows if r[0].startswith("dicom/") and "fo_dicom" not in r[0]}
    small = [path for path in wanted if "ibsi" not in path]
    found = describer.describe([real / path for path in small], workers=2)
    for path in small:
        parts = [one for one in found.series if Path(one.path).is_relative_to(real / path)]
        assert parts, path
        for one in parts:
            modality, protocol, orientation = wanted[path]
            assert (one.modality, one.orientation) == (modality, orientation), path
            assert one.protocol == protocol or protocol in ("", "other"), path
