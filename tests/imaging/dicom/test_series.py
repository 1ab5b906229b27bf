"""Series from files: the real ones against their labels, and small ones with every fault."""

import csv
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pydicom
import pytest

from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.imaging.dicom.series import find_series

SECRET = "SECRET^PERSON"
SLICES = {  # from the data's README
    "dcm4che/left_wrist_mr": 16, "totalsegmentator/abdomen_ct": 20, "seg3d/chest_mr": 11, "ibsi/STS_019/CT": 47,
    "ibsi/STS_019/MR_T1": 47, "ibsi/STS_028/CT": 68, "ibsi/STS_028/MR_T1": 68, "visible_human/pelvis_ct_female": 19,
    "fnndsc/adi_brain_t2_axial": 14, "dcm_qa_ct/head_ct_tilted": 10, "fo_dicom/abdomen_survey_mr": 11,
    "pydicom_data/enhanced_ct": 2,
}  # fmt: skip


def one(paths):
    series, refusals = find_series(paths)
    assert refusals == []
    assert len(series) == 1
    return series[0]


def heights(path):
    """Projection on the normal, straight from the header."""
    data = pydicom.dcmread(path, stop_before_pixels=True)
    cosines = np.array(data.ImageOrientationPatient, float).reshape(2, 3)
    return float(np.cross(*cosines) @ np.array(data.ImagePositionPatient, float))


def test_every_labelled_series_is_found_as_labelled(real):
    rows = defaultdict(list)
    for row in csv.DictReader((real / "labels.csv").open()):
        if row["path"].startswith("dicom/"):
            rows[row["path"]].append(row)
    assert len(rows) == 18
    for path, labels in rows.items():
        folder = real / path if (real / path).is_dir() else (real / path).parent
        series, refusals = find_series([folder])
        assert refusals == [], path
        for label in labels:
            stacks = [s for s in series if s.orientation == label["orientation"]]
            assert stacks, (path, label)
            assert {s.modality for s in stacks} == {label["modality"]}
            assert {s.protocol for s in stacks} == {label["protocol"]}, (path, [s.evidence for s in stacks])
            assert sum(len(s.frames) for s in stacks) > int(label["last_slice"])
        wanted = SLICES.get(path.removeprefix("dicom/"))
        assert wanted is None or sum(len(s.frames) for s in series) == wanted, path


def test_slices_are_ordered_by_their_place(real):
    for name in SLICES:
        for stack in find_series([real / "dicom" / name])[0]:
            assert list(stack.positions_mm) == sorted(stack.positions_mm)
            if "enhanced" not in name:
                assert stack.positions_mm == pytest.approx([heights(f.path) for f in stack.frames], abs=1e-4)


def test_all_real_files_are_accounted_for(real):
    files = {p for p in (real / "dicom").rglob("*") if p.is_file()}
    series, refusals = find_series(sorted(files))
    used = {frame.path for stack in series for frame in stack.frames}
    assert used | {Path(r.where) for r in refusals} == files
    assert {Path(r.where).parent.name for r in refusals} == {"enhanced_mr"}  # multi-frame, and no functional groups
    assert all("geometry" in r.reason for r in refusals)


def test_a_survey_is_three_series(real):
    series, _ = find_series([real / "dicom" / "fo_dicom"])
    found = {stack.orientation: len(stack.frames) for stack in series}
    assert found == {Orientation.CORONAL: 5, Orientation.SAGITTAL: 3, Orientation.AXIAL: 3}
    assert len({stack.series_uid for stack in series}) == 1


def test_oblique_planes_keep_their_nearest_name(real):
    degrees = {}
    for path in sorted((real / "dicom/prostatex/ProstateX-0000").iterdir()):
        degrees[path.name] = {round(s.degrees_off_axis, 1) for s in find_series([path])[0]}
    assert degrees == {
        "adc_axial": {18.5}, "dwi_axial": {18.5}, "pd_axial": {18.5}, "t2_axial": {18.5}, "t2_coronal": {18.5},
        "t2_sagittal": {0.0},
    }  # fmt: skip


def test_b_values_are_told_apart(real):
    series, _ = find_series([real / "dicom/prostatex/ProstateX-0000/dwi_axial"])
    assert [(s.b_value, len(s.frames)) for s in series] == [(50, 5), (400, 5), (800, 5)]
    assert all("0019,100C" in s.evidence[0] for s in series)
    (adc,), _ = find_series([real / "dicom/prostatex/ProstateX-0000/adc_axial"])
    assert (adc.protocol, adc.b_value) == (Protocol.ADC, None)


def test_order_and_spacing_come_from_positions(write):
    paths = [write(f"{i}.dcm", z=z, InstanceNumber=i) for i, z in enumerate((7.5, 0.0, 5.0, 2.5))]
    stack = one(paths)
    assert [f.path.name for f in stack.frames] == ["1.dcm", "3.dcm", "2.dcm", "0.dcm"]
    assert (stack.spacing_mm, stack.thickness_mm) == (2.5, 2.0)
    assert stack.pixel_spacing_mm == (0.8, 0.5)


def test_copies_are_refused(write, tmp_path):
    paths = [write(f"{z}.dcm", z=z) for z in (0, 2, 4)]
    shutil.copy(paths[1], tmp_path / "copy.dcm")  # the same instance
    pixels = pydicom.dcmread(paths[2]).pixel_array
    twin = write("twin.dcm", pixels, z=4)  # another instance of the same pixels
    series, refusals = find_series([tmp_path])
    assert [f.path for s in series for f in s.frames] == paths
    assert {Path(r.where).name: r.reason.split(" of ")[0] for r in refusals} == {
        "copy.dcm": "has the SOP Instance UID (0008,0018), position and pixels",
        "twin.dcm": "frame 1 has the position and pixels",
    }
    assert str(twin) in {r.where for r in refusals}


@pytest.mark.parametrize(
    ("field", "said"),
    [("EchoTime", "echo time {}"), ("AcquisitionNumber", "acquisition {}"), ("TriggerTime", "trigger time {}")],
)
def test_frames_at_one_place_become_stacks_by_what_tells_them_apart(write, field, said):
    paths = [
        write(f"{z}_{v}.dcm", z=z + v / 64, modality="MR", ImagePositionPatient=[0, 0, z], **{field: v})
        for z in (0, 2, 4)
        for v in (20, 40)
    ]
    series, refusals = find_series(paths)
    assert refusals == []
    assert [s.variant for s in series] == [said.format(20), said.format(40)]
    assert all(s.positions_mm == (0, 2, 4) for s in series)


def test_frames_that_nothing_tells_apart_become_repeats(write, tmp_path):
    for z in (0, 2):
        for i in (1, 2):
            write(f"{z}_{i}.dcm", z=z + i, ImagePositionPatient=[0, 0, z], InstanceNumber=i)
    series, refusals = find_series([tmp_path])
    assert refusals == []
    assert [s.variant for s in series] == ["repeat 1", "repeat 2"]
    assert [[f.path.name for f in s.frames] for s in series] == [["0_1.dcm", "2_1.dcm"], ["0_2.dcm", "2_2.dcm"]]


def test_kinds_of_one_series_are_parted(write, tmp_path):
    write("a.dcm", z=0)
    write("size.dcm", np.arange(20, dtype=np.int16).reshape(4, 5), z=2)
    write("spacing.dcm", z=4, PixelSpacing=[1, 1])
    write("series.dcm", z=6, SeriesInstanceUID="1.2.3")
    write("study.dcm", z=8, StudyInstanceUID="1.2.3")
    write("coronal.dcm", z=10, ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    write("jitter.dcm", z=12, ImageOrientationPatient=[1, 1e-5, 0, -1e-5, 1, 0])
    series, refusals = find_series([tmp_path])
    assert refusals == []
    assert sorted(len(s.frames) for s in series) == [1, 1, 1, 1, 1, 2]  # only the jitter joins


def test_image_type_alone_parts_nothing(write, tmp_path):
    write("1.dcm", z=0, ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "ADD"])
    write("2.dcm", z=2)
    assert len(one([tmp_path]).frames) == 2


def test_missing_uids_fall_back_to_the_folder(write, tmp_path):
    for folder in "ab":
        for z in (0, 2):
            write(f"{folder}/{z}.dcm", z=z, SeriesInstanceUID="", SOPInstanceUID="1.2")
    for path in tmp_path.rglob("*.dcm"):
        data = pydicom.dcmread(path)
        data.SOPInstanceUID = ""
        data.save_as(path)
    series, refusals = find_series([tmp_path])
    assert refusals == []
    assert [len(s.frames) for s in series] == [2, 2]


def test_nothing_of_the_patient_is_shown(write, tmp_path):
    write("SECRET^PERSON.dcm", BodyPartExamined="ARM", BurnedInAnnotation="YES", SeriesDescription=SECRET)
    stack = one([tmp_path])
    assert SECRET not in repr(stack)
    assert SECRET not in repr(stack.frames)
    assert "1901" not in repr(stack)
    assert stack.patient_id == SECRET
    assert stack.series_uid
    assert stack.burned_in_annotation is True
    assert stack.body_part == "ARM"
    assert stack.modality is Modality.CT


@pytest.mark.parametrize(("flags", "said"), [(("YES", "NO"), True), (("NO", "NO"), False), (("NO", None), None)])
def test_burned_in_text_is_told(write, tmp_path, flags, said):
    for z, flag in enumerate(flags):
        write(f"{z}.dcm", z=z, BurnedInAnnotation=flag)
    assert one([tmp_path]).burned_in_annotation is said


def test_values_that_may_not_be_hu_are_told(write, tmp_path):
    write("1.dcm", RescaleSlope=None, RescaleIntercept=None)
    assert "HU" in one([tmp_path]).notes[0]


def test_enhanced_frames_are_expanded(sample):
    stack = one([sample("eCT_Supplemental.dcm")])
    assert [f.number for f in stack.frames] == [2, 1]  # its normal points to the feet
    assert stack.spacing_mm == 10
    assert stack.body_part == "Brain"
    assert "US" in stack.notes[0]
