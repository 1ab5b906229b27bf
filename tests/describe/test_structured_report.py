"""SR documents against DICOM's own validators, against highdicom's reading, and for what they mustn't hold."""

import hashlib
import logging
import re
import shutil
import subprocess
import warnings
from dataclasses import replace

import pydicom
import pytest
from describe.sr_series import ALGORITHM, SECRETS, describe_by_hand, real_files, write_ct
from highdicom.sr import ComprehensiveSR, srread
from pydicom.sr.codedict import codes

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.describe.description import Description, Finding
from anatomy_clip.describe.sr.codes import Kind
from anatomy_clip.describe.sr.read import read_document
from anatomy_clip.describe.sr.write import write_document, write_documents

TAXONOMY = Taxonomy.load("whole_body")
SPAN = ((("abdomen", 0.973456), ("chest", 0.51), ("pelvis", 0.5)),
        (("liver", 0.99), ("lungs", 0.8), ("intestine", 0.7), ("kidneys", 0.6), ("pelvic bone", 0.123456)))  # fmt: skip
HEAD = ((("head", 1.0),), (("brain", 0.9), ("mandible", 0.0)))
NOTHING = ((), ())
MULTI_FRAME = "pydicom_data/enhanced_ct"


def written(paths, out, named=HEAD, modality="CT", **options):
    series = describe_by_hand(paths, *named, modality=modality)
    return series, write_document(series, TAXONOMY, out, algorithm=ALGORITHM, **options)


def complaints(path):
    """What dciodvfy has to say."""
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("Error", "Warning"))]


needs_validator = pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")


@needs_validator
@pytest.mark.parametrize("include_patient", [False, True])
@pytest.mark.parametrize(
    ("files", "named", "modality"),
    [
        (3, SPAN, "CT"),
        (1, HEAD, "CT"),
        (4, HEAD, "MR"),
        (3, NOTHING, "MR"),
        (60, SPAN, "CT"),
        (2, HEAD, ""),
        ("visible_human/pelvis_ct_female", SPAN, "CT"),
        ("fnndsc/adi_brain_t2_axial", HEAD, "MR"),
        ("ibsi/STS_019/MR_T1", NOTHING, "MR"),
        (MULTI_FRAME, HEAD, "CT"),
    ],
)
def test_the_validator_finds_no_fault(tmp_path, files, named, modality, include_patient):
    paths = write_ct(tmp_path / "in", files) if isinstance(files, int) else real_files(files)
    if not paths:
        pytest.skip("no real data; REAL_DATA names their folder")
    _, out = written(paths, tmp_path / "out.dcm", named, modality, include_patient=include_patient)
    expected = "Warning - (Missing attribute or value that would be needed to build DICOMDIR|Value dubious.* PN )"
    # Fields that we leave empty, and names as the source spells them.
    assert [line for line in complaints(out) if not re.match(expected, line)] == []
    if shutil.which("dsrdump"):  # DCMTK checks the tree's relationships
        subprocess.run(["dsrdump", str(out)], check=True, capture_output=True)


@needs_validator
def test_the_validator_would_find_a_fault(tmp_path):
    _, out = written(write_ct(tmp_path / "in", 1), tmp_path / "out.dcm")
    document = pydicom.dcmread(out)
    del document.CompletionFlag
    document.save_as(out)
    assert any(line.startswith("Error") for line in complaints(out))


@pytest.mark.parametrize(("named", "frames"), [(SPAN, 1), (HEAD, 3)])
def test_highdicom_reads_what_was_described(tmp_path, named, frames):
    paths = write_ct(tmp_path / "in", 6, "MR" if frames > 1 else "CT", frames)
    series, out = written(paths, tmp_path / "out.dcm", named)
    document = srread(out)
    assert isinstance(document, ComprehensiveSR)
    groups = {group.tracking_identifier: group for group in document.content.get_image_measurement_groups()}
    for kind, findings in (("station", series.stations), ("organ", series.organs)):
        for finding in findings:
            group = groups.pop(f"{kind}: {finding.name}")
            (measured,) = group.get_measurements(codes.DCM.CertaintyOfFinding)
            assert measured.value == pytest.approx(100 * finding.score, abs=0.00501)
            assert measured.unit == codes.UCUM.Percent
            showing = [
                (one.source.sop_instance_uid, one.source.frame)
                for one in series.slices
                if finding in (one.stations if kind == "station" else one.organs)
            ]
            images = [
                (image.referenced_sop_instance_uid, frame)
                for image in group.source_images
                for frame in (image.referenced_frame_numbers or [1])
            ]
            assert images == showing
            assert len(group.source_images) == len({uid for uid, _ in showing})
    assert set(groups) <= {"region: Chest, Abdomen and Pelvis"}
    assert {one[2] for one in document.get_evidence()} == {one.source.sop_instance_uid for one in series.slices}
    assert {one[:2] for one in document.get_evidence()} == {(one.source.study_uid, one.source.series_uid)
                                                         for one in series.slices}  # fmt: skip


def test_codes_are_those_of_the_dictionary(tmp_path):
    _, out = written(write_ct(tmp_path / "in", 3), tmp_path / "out.dcm", SPAN)
    sites = {
        group.tracking_identifier: group.finding_sites for group in srread(out).content.get_image_measurement_groups()
    }
    sct = codes.SCT
    expected = {
        "station: abdomen": [sct.Abdomen],
        "station: chest": [sct.Chest],
        "station: pelvis": [sct.Pelvis],
        "region: Chest, Abdomen and Pelvis": [sct.ChestAbdomenAndPelvis],
        "organ: liver": [sct.Liver],
        "organ: lungs": [sct.Lung],
        "organ: intestine": [sct.SmallIntestine, sct.LargeIntestine],
        "organ: kidneys": [sct.Kidney],
        "organ: pelvic bone": [sct.BoneStructureOfPelvis],
    }
    assert list(sites) == list(expected)
    assert {key: [site.value for site in found] for key, found in sites.items()} == expected
    sided = {key: [site.laterality for site in found] for key, found in sites.items() if found[0].laterality}
    assert sided == {"organ: lungs": [sct.Bilateral], "organ: kidneys": [sct.Bilateral]}
    assert sites["organ: pelvic bone"][0].value.meaning == "Pelvis"


@pytest.mark.parametrize("name", TAXONOMY.organs)
def test_every_organ_has_codes_that_pydicom_knows(tmp_path, name):
    from pydicom.sr._concepts_dict import concepts

    known = {code for values in concepts["SCT"].values() for code in values}
    assert {code.value for code in TAXONOMY.organ(name).codes} <= known


@pytest.mark.parametrize(
    ("stations", "code"),
    [
        (["chest", "abdomen"], codes.SCT.ChestAndAbdomen),
        (["pelvis", "abdomen"], codes.SCT.AbdomenAndPelvis),
        (["lower body", "pelvis"], codes.SCT.PelvisAndLowerExtremities),
        (["abdomen", "pelvis", "chest"], codes.SCT.ChestAbdomenAndPelvis),
        (list(TAXONOMY.stations), codes.SCT.EntireBody),
        (["head", "lower body"], None),
        (["head"], None),
    ],
)
def test_stations_together_are_one_region(tmp_path, stations, code):
    named = [(name, 0.9 - i / 10) for i, name in enumerate(stations)], []
    series, out = written(write_ct(tmp_path / "in", 6), tmp_path / "out.dcm", named)
    regions = [finding for finding in read_document(out).findings if finding.kind is Kind.REGION]
    assert [one.sites[0].code.value for one in regions] == ([code.value] if code else [])
    for region in regions:
        assert region.certainty == pytest.approx(min(one.score for one in series.stations))


def test_the_document_says_who_made_it(tmp_path):
    _, out = written(write_ct(tmp_path / "in", 2), tmp_path / "out.dcm")
    document = srread(out)
    (observer,) = document.content.get_observer_contexts()
    assert observer.observer_type == codes.DCM.Device
    attributes = observer.observer_identifying_attributes
    assert (attributes.name, attributes.model_name) == ("anatomy_clip", ALGORITHM.name)
    assert attributes.serial_number == ALGORITHM.digest
    assert read_document(out).algorithm == ALGORITHM
    assert (document.Manufacturer, document.ManufacturerModelName) == ("anatomy_clip", ALGORITHM.name)


@pytest.mark.parametrize("named", [SPAN, HEAD, NOTHING])
def test_what_is_read_back_equals_what_was_written(tmp_path, named):
    series, out = written(write_ct(tmp_path / "in", 6), tmp_path / "out.dcm", named)
    document = read_document(out)
    found = [(f.kind.value, f.name, round(f.certainty, 4)) for f in document.findings if f.kind is not Kind.REGION]
    assert found == [("station", f.name, round(f.score, 4)) for f in series.stations] + [
        ("organ", f.name, round(f.score, 4)) for f in series.organs
    ]
    assert document.referenced == {one.source.sop_instance_uid for one in series.slices}
    assert document.study_uid == series.slices[0].source.study_uid


def test_it_is_a_new_series_of_the_study_and_no_source_changes(tmp_path):
    paths = write_ct(tmp_path / "in", 3)
    before = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    series, out = written(paths, tmp_path / "out.dcm", include_patient=True)
    _, other = written(paths, tmp_path / "other.dcm")
    documents = [pydicom.dcmread(path) for path in (out, other)]
    source = series.slices[0].source
    assert all(document.StudyInstanceUID == source.study_uid and document.Modality == "SR" for document in documents)
    uids = {documents[0].SeriesInstanceUID, documents[1].SeriesInstanceUID, source.series_uid}
    assert len(uids) == 3
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths] == before


def test_without_leave_nobody_is_named(tmp_path):
    _, out = written(write_ct(tmp_path / "in", 3), tmp_path / "out.dcm")
    document, raw = pydicom.dcmread(out), out.read_bytes()
    for keyword, value in SECRETS.items():
        assert value == "F" or value.encode() not in raw
        if keyword != "StudyDescription":  # type 2: there, and empty
            assert keyword in document
            assert not document.get(keyword)
    assert "StudyDescription" not in document


def test_with_leave_the_patient_is_the_sources(tmp_path):
    paths = write_ct(tmp_path / "in", 2, SpecificCharacterSet=["", "ISO 2022 IR 87"])
    names = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    for path in paths:
        image = pydicom.dcmread(path)
        image.PatientName = names
        image.save_as(path)
    _, out = written(paths, tmp_path / "out.dcm", include_patient=True)
    document = pydicom.dcmread(out)
    assert str(document.PatientName) == names
    assert {keyword: str(document.get(keyword)) for keyword in SECRETS} == SECRETS | {"PatientName": names}


@pytest.mark.parametrize(
    ("keyword", "odd"), [("StudyID", "PLANTED-" * 4), ("PatientBirthDate", "1.2.1901"), ("PatientName", "PLANTED" * 10)]
)
def test_values_that_break_the_standard_stay_out_without_a_word(tmp_path, caplog, capsys, keyword, odd):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        series = describe_by_hand(write_ct(tmp_path / "in", 1, **{keyword: odd}), *HEAD)
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = write_document(series, TAXONOMY, tmp_path / "out.dcm", algorithm=ALGORITHM, include_patient=True)
    said = " ".join(record.getMessage() for record in caplog.records) + "".join(capsys.readouterr())
    assert not any(secret in said for secret in ("PLANTED", odd, *list(SECRETS.values())[:3]))
    document = pydicom.dcmread(out)
    assert not document.get(keyword)
    assert document.PatientID == SECRETS["PatientID"]


def faulty(series, **changes):
    one = series.slices[-1]
    return replace(series, slices=(*series.slices[:-1], replace(one, source=replace(one.source, **changes))))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: replace(s, slices=()), "aren't from DICOM"),
        (lambda s: replace(s, slices=tuple(replace(one, source=None) for one in s.slices)), "aren't from DICOM"),
        (lambda s: faulty(s, series_uid="1.2.3"), "several DICOM series"),
        (lambda s: faulty(s, sop_instance_uid=s.slices[0].source.sop_instance_uid), "have the same SOP Instance UID"),
        (lambda s: faulty(s, sop_instance_uid=""), "lacks a valid SOP"),
        (lambda s: faulty(s, sop_class_uid="1.2.840.10008.5.1.4.1.1.7"), "lacks a valid SOP"),
        (lambda s: replace(s, organs=(Finding("brain", float("nan")),)), "needs a probability"),
        (lambda s: replace(s, organs=(Finding("brian", 0.5),)), "did you mean 'brain'"),
    ],
)
def test_what_cant_be_written_is_refused(tmp_path, change, message):
    series = describe_by_hand(write_ct(tmp_path / "in", 2), *HEAD)
    with pytest.raises(ValueError, match=message):
        write_document(change(series), TAXONOMY, tmp_path / "out.dcm", algorithm=ALGORITHM)
    assert not (tmp_path / "out.dcm").exists()


def test_a_file_that_is_there_stays(tmp_path):
    paths = write_ct(tmp_path / "in", 1)
    before = paths[0].read_bytes()
    with pytest.raises(ValueError, match="already exists"):
        written(paths, paths[0])
    assert paths[0].read_bytes() == before


@pytest.mark.parametrize("damage", ["other", "missing", "cut"])
def test_a_source_that_changed_names_nobody(tmp_path, damage):
    paths = write_ct(tmp_path / "in", 2)
    series = describe_by_hand(paths, *HEAD)
    if damage == "missing":
        paths[0].unlink()
    elif damage == "cut":
        paths[0].write_bytes(paths[0].read_bytes()[:300])
    else:
        shutil.copy(paths[1], paths[0])
    with pytest.raises(ValueError, match=";") as raised:
        write_document(series, TAXONOMY, tmp_path / "out.dcm", algorithm=ALGORITHM, include_patient=True)
    assert "PLANTED" not in str(raised.value)
    assert not list(tmp_path.glob("*out*"))


def test_a_document_a_series_and_reasons_for_the_rest(tmp_path):
    good = [describe_by_hand(write_ct(tmp_path / name, 2), *HEAD) for name in "ab"]
    bad = replace(good[0], path="picture.png", slices=())
    description = Description((good[0], bad, good[1]), ())
    paths, refusals = write_documents(description, TAXONOMY, tmp_path / "deep" / "out", algorithm=ALGORITHM)
    assert [path.name for path in paths] == ["report_001.dcm", "report_003.dcm"]
    assert [(one.where, "aren't from DICOM" in one.reason) for one in refusals] == [("picture.png", True)]
    assert sorted(path.name for path in (tmp_path / "deep" / "out").iterdir()) == ["report_001.dcm", "report_003.dcm"]
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="folder can't be created"):
        write_documents(description, TAXONOMY, tmp_path / "file", algorithm=ALGORITHM)


def test_only_our_documents_are_read(tmp_path):
    (image,) = write_ct(tmp_path / "in", 1)
    with pytest.raises(ValueError, match="not a Structured Report that anatomy_clip wrote"):
        read_document(image)
    (tmp_path / "text.dcm").write_text("no DICOM")
    with pytest.raises(ValueError, match="can't be read as an SR document"):
        read_document(tmp_path / "text.dcm")
