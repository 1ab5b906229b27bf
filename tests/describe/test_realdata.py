from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest

from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.pseudonyms import Pseudonyms, kept_salt
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.refusals import Refusal
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.describe.description import Finding, Range, SeriesDescription, SliceDescription
from anatomy_clip.sources.scans.label_table import LabelRow
from experiments.describe_table import bundles_of, compare, page

PLANES = ("sagittal", "coronal", "axial")  # by the axis that a slice's normal is nearest to


def test_modality_and_orientation_are_right_for_every_dicom_series(real, describer):
    description = describer.describe(real / "dicom", workers=0)
    files = {path for path in (real / "dicom").rglob("*") if path.is_file()}
    named = set()
    for series in description.series:
        for each in series.slices:
            header = read(each.source.path)
            assert (series.modality, series.orientation) == (header.Modality, plane(header, each.source.frame))
            named.add(each.source.path)
    aside = {path for path in files if any(one.where == str(path) for one in description.refusals)}
    assert named | aside == files and not named & aside
    assert {path.parent.name for path in aside} == {"enhanced_mr"} and len(aside) == 3  # they say no plane at all
    assert all("so a frame's geometry is unknown" in one.reason for one in description.refusals)
    assert len(description.series) >= 18


HEADERS = {}


def read(path):
    if path not in HEADERS:
        HEADERS[path] = pydicom.dcmread(path, stop_before_pixels=True)
    return HEADERS[path]


def plane(header, frame):
    if "ImageOrientationPatient" in header:
        cosines = header.ImageOrientationPatient
    else:
        groups = header.SharedFunctionalGroupsSequence[0]
        if "PlaneOrientationSequence" not in groups:
            groups = header.PerFrameFunctionalGroupsSequence[frame - 1]
        cosines = groups.PlaneOrientationSequence[0].ImageOrientationPatient
    row, column = np.reshape([float(value) for value in cosines], (2, 3))
    return PLANES[int(np.abs(np.cross(row, column)).argmax())]


def row(first, last, stations, organs=None, modality=Modality.MR, protocol=Protocol.T2):
    return LabelRow("t", "a/b", "p", modality, protocol, Orientation.AXIAL, first, last, stations, organs)


def series(slices, ranges=(), modality="MR", protocol="T2", orientation="axial"):
    """Slices are (position, best station, best organ); "" for none."""
    each = tuple(
        SliceDescription(n, mm, named(station), named(organ), not station and not organ)
        for n, (mm, station, organ) in enumerate(slices)
    )
    return SeriesDescription(
        "a/b", modality, protocol, "", orientation, (), (), ranges, "", False, "", None, (), each
    )  # fmt: skip


def named(name):
    return (Finding(name, 0.9), Finding("another", 0.1)) if name else ()


def test_hits_by_hand():
    rows = [row(0, 1, ("head",), ("brain",)), row(3, 4, ("chest",))]
    one = series(
        [(0.0, "head", "brain"), (5.0, "chest", "lungs"), (10.0, "head", "neck"), (15.0, "chest", ""), (20.0, "", "")],
        ranges=(Range("head", 0, 2, 0.0, 10.0), Range("chest", 3, 4, 15.0, 20.0)),
    )
    judged = compare(rows, [one])
    assert (judged.stations.right, judged.stations.of) == (2, 4)
    assert (judged.along.right, judged.along.of) == (4, 4)
    assert (judged.organs.right, judged.organs.of) == (1, 2)  # a row without organs says nothing of them
    assert judged.unsure == 1 and judged.labelled == 4 and judged.wrong == ()


def test_an_unsure_organ_is_neither_right_nor_wrong():
    rows = [replace(row(0, 3, ("head",), ("brain",)), unsure=("neck", "another"))]
    slices = [(0.0, "head", "brain"), (5.0, "head", "neck"), (10.0, "head", "lungs"), (15.0, "", "")]
    judged = compare(rows, [series(slices)])
    # brain; neck and another, which say nothing; lungs; and nothing named
    assert (judged.organs.right, judged.organs.of) == (1, 3)
    assert (judged.stations.right, judged.stations.of) == (3, 4)


def test_slices_of_several_series_count_by_place():
    # two b-values at neighbouring places: as a label table counts, 0 and 2 are of one, 1 and 3 of the other
    one = series([(0.0, "head", ""), (10.0, "head", "")])
    other = series([(1.0, "chest", ""), (11.0, "chest", "")])
    judged = compare([row(1, 1, ("chest",)), row(2, 2, ("head",)), row(3, 3, ("chest",))], [one, other])
    assert (judged.stations.right, judged.stations.of) == (3, 3)


@pytest.mark.parametrize("change", ["modality", "protocol", "orientation"])
def test_what_a_header_got_wrong_is_named(change):
    values = {"modality": "CT", "protocol": "T1", "orientation": "coronal"}
    judged = compare([row(0, 0, ("head",))], [series([(0.0, "head", "")], **{change: values[change]})])
    assert judged.wrong == (change,)


def test_the_page_adds_up():
    right = compare([row(0, 0, ("head",), ("brain",))], [series([(0.0, "head", "brain")])])
    wrong = compare([row(0, 0, ("head",), ("brain",))], [series([(0.0, "chest", "lungs")], modality="CT")])
    bundle = SimpleNamespace(name="run", digest="0123456789abcdef00")
    text = page([right, wrong], [Refusal("is cut off", "fetch it again", "x/broken.dcm")], [bundle])
    total = next(line for line in text.splitlines() if line.startswith("| **all**"))
    assert [cell.strip() for cell in total.split("|")[2:-1]] == [
        "2", "1", "2", "1/2", "2/2", "2/2", "1/2 = 50 %", "1/2 = 50 %", "1/2 = 50 %", "0",
    ]  # fmt: skip
    assert "(wrong: modality)" in text and "`broken.dcm`: is cut off" in text and "`0123456789abcdef`" in text


def test_each_patient_is_described_by_the_fold_that_left_them_out(tmp_path):
    salt = Pseudonyms(kept_salt(tmp_path / ".salt"))
    for fold, patients in enumerate([("a", "b"), ("c",)]):
        records = [
            SliceRecord("x", "", salt("patient", p), "", "", 0, Modality.CT, Protocol.NONE, Orientation.AXIAL)
            for p in patients
        ]
        (store := tmp_path / "pool" / f"fold_{fold}").mkdir(parents=True)
        Manifest(records).write(store / "manifest.parquet")
    found = list(bundles_of("runs/{fold}/bundle", str(tmp_path / "pool")))
    assert [place for place, _ in found] == ["runs/0/bundle", "runs/1/bundle"]
    assert [[wanted(p) for p in "abcd"] for _, wanted in found] == [
        [True, True, False, False],
        [False, False, True, False],
    ]
    with pytest.raises(ValueError, match="real-stores"):
        list(bundles_of("runs/{fold}", str(tmp_path)))
    [(place, wanted)] = bundles_of(None, None)
    assert place is None and wanted("anyone")
