"""The reader against small volumes in the data set's own layout, and the real one where it lies at hand."""

import csv
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from anatomy_clip.core.refusals import Doubt
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.imaging.nifti import read_labels
from anatomy_clip.imaging.nifti_header import read_header
from anatomy_clip.sources.scans.slicing import Sampling
from anatomy_clip.sources.scans.totalsegmentator import TotalSegmentator, read_masks, read_multilabel

AFFINE = np.diag([-2.0, 2.0, 4.0, 1.0])  # LAS, 2 x 2 x 4 mm
SHAPE = (20, 16, 10)
STEPS = {"axial": 4, "coronal": 4, "sagittal": 4}
REAL = Path(os.environ.get("REAL_DATA", Path(__file__).parents[2].parent / "shared" / "realdata"))


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, AFFINE), path)


@pytest.fixture
def root(tmp_path):
    for subject in ("s0001", "s0002", "s0003"):
        voxels = np.full(SHAPE, -1000, np.int16)
        voxels[4:16, 2:14, :8] = 40  # a body that ends below the top
        save(tmp_path / subject / "ct.nii.gz", voxels)
        liver, spleen = np.zeros((2, *SHAPE), np.uint8)
        liver[5:8, 4:8, 2:5] = 1  # stored LAS: a low index is the patient's right
        spleen[12:14, 4:8, 3:4] = 1
        save(tmp_path / subject / "segmentations" / "liver.nii.gz", liver)
        save(tmp_path / subject / "segmentations" / "spleen.nii.gz", spleen)
    lines = ["image_id;age;split", "s0001;50;train", "s0003;;test", "s0002;61;train"]
    (tmp_path / "meta.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_splits_and_volumes_follow_meta_csv(root):
    source = TotalSegmentator(root, "CT", STEPS)
    assert source.splits() == ["train", "test"]
    assert source.volumes("train") == ["s0001", "s0002"]
    assert source.volumes("test") == ["s0003"]


def test_areas_are_counted_in_mm2_and_empty_slices_left_out(root):
    pairs = list(TotalSegmentator(root, "CT", STEPS, min_body_share=0.3).slices("train", "s0001"))
    axial = {r.index: r for _, r in pairs if r.orientation is Orientation.AXIAL}
    assert sorted(axial) == list(range(8))  # the two slices above the body are air
    assert axial[0].structures == {} and axial[0].organs == axial[0].stations == ()  # segmented: known to show none
    assert axial[2].organs is None is axial[2].stations
    assert axial[2].structures == {"liver": 3 * 4 * 2 * 2}
    assert axial[3].structures == {"liver": 48, "spleen": 2 * 4 * 2 * 2}
    coronal = [r for _, r in pairs if r.orientation is Orientation.CORONAL and r.structures]
    assert all(r.structures == {"liver": 3 * 3 * 2 * 4, "spleen": 2 * 1 * 2 * 4} for r in coronal)
    assert coronal[0].spacing_mm == pytest.approx((4, 2))
    assert coronal[0].thickness_mm == pytest.approx(2)


def test_values_that_cannot_be_hu_and_are_no_numbers_are_doubted(root):
    voxels = np.full(SHAPE, 24, np.float32)  # HU + 1024: the intercept got lost
    voxels[4:16, 2:14, :8] = 1064
    voxels[0] = np.nan
    save(root / "s0001" / "ct.nii.gz", voxels)
    doubts = [one for one in TotalSegmentator(root, "CT", STEPS).slices("train", "s0001") if isinstance(one, Doubt)]
    assert [("(NaN)" in str(one), "may not be HU" in str(one)) for one in doubts] == [(True, False), (False, True)]
    assert {one.where for one in doubts} == {"s0001"}


def test_the_liver_is_on_the_images_left(root):
    source = TotalSegmentator(root, "CT", STEPS)
    image, record = next(p for p in source.slices("train", "s0001") if p[1].index == 3)
    assert image.pixels.shape == (16, 20)
    labels, names = read_masks(root / "s0001" / "segmentations", root / "s0001" / "ct.nii.gz")
    assert names == {1: "liver", 2: "spleen"}
    liver = np.argwhere(labels == 1)[:, 0]
    assert liver.min() > np.argwhere(labels == 2)[:, 0].max()  # canonical x grows to the right
    assert (record.patient, record.series, record.licence) == ("s0001", "s0001-axial", "CC-BY-4.0")


def test_mr_has_its_own_file_and_no_sequence_name(root):
    save(root / "s0001" / "mri.nii.gz", np.random.default_rng(0).integers(1, 99, SHAPE).astype(np.int16))
    _, record = next(TotalSegmentator(root, "MR", {"axial": 4}).slices("train", "s0001"))
    assert (record.modality, record.protocol) == (Modality.MR, Protocol.OTHER)


def test_a_multilabel_file_gives_the_same_labels(root):
    image = root / "s0001" / "ct.nii.gz"
    labels, names = read_masks(root / "s0001" / "segmentations", image)
    joined = np.asanyarray(nib.load(root / "s0001/segmentations/liver.nii.gz").dataobj).copy()
    joined[np.asanyarray(nib.load(root / "s0001/segmentations/spleen.nii.gz").dataobj) > 0] = 2
    save(root / "all.nii.gz", joined)
    np.testing.assert_array_equal(read_multilabel(root / "all.nii.gz", image, names)[0], labels)
    with pytest.raises(ValueError, match=r"label\(s\) 2 have no name"):
        read_multilabel(root / "all.nii.gz", image, {1: "liver"})


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ("image_id,split\ns1,train\n", "no column image_id or split"),
        ("image_id;split\ns1;dev\n", "line 2: split 'dev'"),
        ("image_id;split\n../s1;train\n", "not a folder name"),
        (None, "the file is missing; unpack"),
    ],
)
def test_bad_meta_is_one_clear_message(root, meta, message):
    (root / "meta.csv").unlink()
    if meta is not None:
        (root / "meta.csv").write_text(meta)
    with pytest.raises(ValueError, match=message):
        TotalSegmentator(root, "CT", STEPS).splits()


def test_missing_parts_are_named(root):
    source = TotalSegmentator(root, "CT", STEPS)
    (root / "s0001" / "ct.nii.gz").unlink()
    with pytest.raises(ValueError, match=r"s0001.ct\.nii\.gz: the file is missing"):
        next(source.slices("train", "s0001"))
    for mask in (root / "s0002" / "segmentations").iterdir():
        mask.unlink()
    with pytest.raises(ValueError, match="contains no masks"):
        next(source.slices("train", "s0002"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("PET", STEPS), "'PET'"), (("CT", {"axal": 3}), "axal: no such plane"), (("CT", {"axial": 0}), "above 0 mm")],
)
def test_bad_arguments_are_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        TotalSegmentator(tmp_path, *arguments)


def test_positions_keep_their_distance_and_their_range():
    sampling = Sampling({Orientation.AXIAL: 6.0}, ranges={})
    assert list(sampling.positions(Orientation.AXIAL, 2.0, 10)) == [1, 4, 7]
    assert list(sampling.positions(Orientation.AXIAL, 5.0, 3)) == [0, 1, 2]
    assert list(sampling.positions(Orientation.AXIAL, 0.5, 4)) == [1]
    ranged = Sampling({Orientation.AXIAL: 6.0}, ranges={Orientation.AXIAL: (20, 26)})
    assert list(ranged.positions(Orientation.AXIAL, 2.0, 99)) == [21, 24]


@pytest.mark.skipif(not REAL.is_dir(), reason="real data not at hand")
def test_real_volume_is_the_right_way_round():
    root = REAL / "totalsegmentator_ct"
    pairs = list(TotalSegmentator(root, "CT", {"axial": 30}).slices("train", "s9001"))
    assert any("liver" in record.structures for _, record in pairs)
    liver = read_labels(root / "s9001/segmentations/liver.nii.gz", like=read_header(root / "s9001/ct.nii.gz"))
    spleen = read_labels(root / "s9001/segmentations/spleen.nii.gz", like=read_header(root / "s9001/ct.nii.gz"))
    hip = read_labels(root / "s9001/segmentations/hip_left.nii.gz", like=read_header(root / "s9001/ct.nii.gz"))
    x, _, z = np.argwhere(liver).mean(axis=0)
    assert x > np.argwhere(spleen).mean(axis=0)[0]
    assert z > np.argwhere(hip).mean(axis=0)[2]
    with (root / "meta.csv").open() as lines:
        assert {row["image_id"] for row in csv.DictReader(lines, delimiter=";")} >= {"s9001"}
