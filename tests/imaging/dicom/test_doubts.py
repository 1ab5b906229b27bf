"""Holes, lost slices and identifiers that were overwritten: noted, and nothing is lost by them."""

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from anatomy_clip.imaging.dicom.geometry import holes
from anatomy_clip.imaging.dicom.series import find_series
from anatomy_clip.imaging.dicom.siblings import with_header_doubts


def found(folder):
    series, refusals = find_series([folder])
    assert refusals == []
    return with_header_doubts(series)


@pytest.mark.parametrize(
    ("places", "thickness", "wide"),
    [
        ([0, 5, 10, 15], None, {}),
        ([0, 5, 10, 25, 30], None, {2: 15}),
        ([0, 4, 8, 16, 24, 32], None, {2: 8, 3: 8, 4: 8}),  # every second one lost from the middle on
        ([0, 4, 8, 14, 22, 30], [4, 4, 4, 8, 8, 8], {}),  # thin below, thick above: nothing is left out
        ([0, 12, 24, 45, 66], [4, 4, 4, 7, 7], {}),  # every third of such, all the way
        ([0, 4, 8, 14, 30, 38], [4, 4, 4, 8, 8, 8], {3: 16}),
        ([0, 2.5, 5, 10, 12.5], [5] * 5, {2: 5}),  # overlapping slices, one lost
        ([0, 5.01, 9.98, 15.02], None, {}),
        ([0, 40], None, {}), ([0], None, {}),
    ],
)  # fmt: skip
def test_holes_by_hand(places, thickness, wide):
    assert holes(places, thickness or [None] * len(places)) == wide


def test_missing_slices_are_noted(write, tmp_path):
    for n in (0, 1, 2, 5, 6, 7, 8):
        write(f"s/{n}.dcm", z=2.0 * n)
    (one,) = found(tmp_path / "s")
    assert one.notes == ("slices are usually 2 mm apart, but there are gaps (6 mm after slice 2): are slices missing?",)


@pytest.mark.parametrize("lost", [(1, 2), (1, 0), (1, 5), (0, 0), (0, 5), (2, 0)])
def test_time_points_are_kept_apart_though_one_lost_a_slice(write, tmp_path, lost):
    for t in range(3):
        for k in range(6):
            if (t, k) != lost:
                pixels = np.full((8, 6), 10 * t + k, np.int16)
                write(f"{t}_{k}.dcm", pixels, z=float(2 * k), InstanceNumber=6 * t + k + 1)
    stacks = found(tmp_path)
    assert [{frame.path.name[0] for frame in one.frames} for one in stacks] == [{"0"}, {"1"}, {"2"}]
    short = [one for one in stacks if len(one.frames) == 5]
    assert [one.variant for one in short] == [f"repeat {lost[0] + 1}"]
    assert any("it has 5 of the 6 positions that another stack of its series has" in note for note in short[0].notes)
    assert not any(one.notes for one in stacks if one not in short)


def test_two_echoes_of_other_places_lack_nothing(write, tmp_path):
    for z in range(5):
        write(f"a{z}.dcm", z=float(2 * z), modality="MR", DiffusionBValue=50.0)
    for z in range(4):
        write(f"b{z}.dcm", z=float(2 * z + 1), modality="MR", DiffusionBValue=800.0)
    assert [one.notes for one in found(tmp_path)] == [(), ()]


def test_a_lost_end_of_one_b_value_is_noted(write, tmp_path):
    for b in (50.0, 800.0):
        for n in range(5 if b == 50 else 4):
            write(f"{b}_{n}.dcm", z=float(2 * n), modality="MR", DiffusionBValue=b)
    whole, short = found(tmp_path)
    assert whole.notes == () and "it has 4 of the 5 positions" in short.notes[0]


def test_one_sop_instance_uid_for_all_slices_loses_none(write, tmp_path):
    for n in range(4):
        write(f"{n}.dcm", z=2.0 * n, SOPInstanceUID="1.2.3.9")
    (one,) = found(tmp_path)
    assert len(one.frames) == 4
    assert one.notes == ("SOP Instance UID (0008,0018) is the same in several slices: was it overwritten?",)


def test_one_sop_instance_uid_at_one_place_is_no_copy_where_pixels_differ(write, tmp_path):
    for t in range(2):
        for n in range(3):
            pixels = np.full((8, 6), 10 * t + n, np.int16)
            write(f"{t}{n}.dcm", pixels, z=float(n), SOPInstanceUID="1.2.3.9", InstanceNumber=3 * t + n + 1)
    assert [len(one.frames) for one in found(tmp_path)] == [3, 3]


@pytest.mark.parametrize("study", [False, True])
def test_slices_with_a_series_uid_each_are_joined(write, tmp_path, study):
    for n in range(5):
        own = {"StudyInstanceUID": generate_uid()} if study else {}
        write(f"s/{n}.dcm", z=2.0 * n, SeriesInstanceUID=generate_uid(), SeriesNumber=3, InstanceNumber=n + 1, **own)
    (one,) = found(tmp_path / "s")
    assert len({frame.series_uid for frame in one.frames}) == 5  # each as its file has it
    assert one.notes == (
        "each of its slices has a Series Instance UID (0020,000E) of its own: the slices were joined by their geometry",
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda n: {"SeriesNumber": n + 1}, lambda n: {"InstanceNumber": 1}, lambda n: {"PatientID": f"p{n}"},
        lambda n: {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0] if n % 2 else [1, 0, 0, 0, 0, -1]},
    ],
)  # fmt: skip
def test_single_slices_of_other_series_are_not_joined(write, tmp_path, change):
    for n in range(2):
        fields = {"SeriesNumber": 3, "InstanceNumber": n + 1} | change(n)
        write(f"s/{n}.dcm", z=2.0 * n, SeriesInstanceUID=generate_uid(), **fields)
    assert [len(one.frames) for one in found(tmp_path / "s")] == [1, 1]


def test_a_series_number_that_is_none_refuses_nothing(write, tmp_path):
    path = write("x.dcm", z=0.0)
    data = pydicom.dcmread(path)
    data.add_new("SeriesNumber", "IS", "1")
    data.save_as(path)
    path.write_bytes(path.read_bytes().replace(b"\x20\x00\x11\x00IS\x02\x001 ", b"\x20\x00\x11\x00IS\x02\x00xx"))
    assert len(found(tmp_path)) == 1
