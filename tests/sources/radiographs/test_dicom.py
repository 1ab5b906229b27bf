"""A folder of DICOM radiographs: patients, splits, labels, and what can't be used."""

from pathlib import Path

import pytest
from sources.radiographs.dicom import SECRET, write_dicom
from sources.radiographs.pictures import all_films

from anatomy_clip.core.refusals import Doubt, Refusal
from anatomy_clip.core.terms import Projection, State
from anatomy_clip.sources.radiographs.dicom import DicomFilms

THREE = {"train": 0.5, "validation": 0.25, "test": 0.25}


def test_films_come_with_their_record(tmp_path):
    write_dicom(tmp_path / "a" / "1.dcm", StudyInstanceUID="1.2.3")
    write_dicom(tmp_path / "a" / "2.dcm", StudyInstanceUID="1.2.3", ViewPosition="LL", PatientOrientation=["P", "F"],
                ImageLaterality="L")  # fmt: skip
    write_dicom(tmp_path / "b" / "3.dcm", PatientID="other", WindowCenter=None)
    source = DicomFilms(tmp_path, salt="s", licence="own")
    assert source.splits() == ["all"]
    assert source.volumes("all") == ["a/1.dcm", "b/3.dcm"]
    films, others = all_films(source)
    (_, film, one), (_, _, two), (_, _, three) = films
    assert one.patient == two.patient != three.patient and one.study == two.study and one.image != two.image
    assert (one.projection, two.projection, one.part) == (Projection.PA, Projection.LATERAL, "chest")
    assert film.pixels.shape == (40, 32) and one.spacing_mm == (0.2, 0.1) and one.licence == "own"
    assert len(others) == 1 and isinstance(others[0], Doubt) and others[0].where.endswith("3.dcm")
    assert SECRET not in repr(films) and "1.2.3" not in repr(films)


def test_every_patient_is_in_one_split_and_every_refusal_is_said_once(tmp_path):
    for n in range(60):
        write_dicom(tmp_path / f"{n}.dcm", PatientID=f"p{n // 2}")
    write_dicom(tmp_path / "z.dcm", Modality="MG")
    films, others = all_films(DicomFilms(tmp_path, shares=THREE, salt="s"))
    assert len(films) == 60 and len(others) == 1 and isinstance(others[0], Refusal)
    splits = {}
    for split, _, record in films:
        assert splits.setdefault(record.patient, split) == split == record.split
    assert len(splits) == 30 and set(splits.values()) == set(THREE)
    again = {record.image: split for split, _, record in all_films(DicomFilms(tmp_path, shares=THREE, salt="t"))[0]}
    assert sorted(again.values()) == sorted(split for split, _, _ in films)  # another salt, the same splits


def test_a_table_states_findings_and_goes_before_the_header(tmp_path):
    write_dicom(tmp_path / "1.dcm")
    write_dicom(tmp_path / "2.dcm")
    (tmp_path / "labels.csv").write_text("path,patient,projection,edema\n1.dcm,X,AP,1\ngone.dcm,Y,,0\n")
    films, others = all_films(DicomFilms(tmp_path, labels="labels.csv", salt="s"))
    ((_, _, record),) = films
    assert record.projection is Projection.AP and record.findings["edema"].state is State.POSITIVE
    reasons = {Path(one.where).name: one.reason for one in others}
    assert "no row of labels.csv" in reasons["2.dcm"] and "is missing" in reasons["gone.dcm"]


def test_burned_in_text_links_and_strangers_are_refused(tmp_path):
    outside = write_dicom(tmp_path / "outside.dcm")
    write_dicom(tmp_path / "in" / "text.dcm", BurnedInAnnotation="YES")
    (tmp_path / "in" / "link.dcm").symlink_to(outside)
    (tmp_path / "in" / "words.txt").write_text("hello")
    films, others = all_films(DicomFilms(tmp_path / "in", salt="s"))
    reasons = {Path(one.where).name: one.reason for one in others}
    assert films == [] and set(reasons) == {"text.dcm", "link.dcm", "words.txt"}
    assert "Burned In Annotation" in reasons["text.dcm"] and "symbolic link" in reasons["link.dcm"]
    assert len(all_films(DicomFilms(tmp_path / "in", salt="s", burned_in="keep"))[0]) == 1


def test_large_folders_become_several_volumes(tmp_path):
    for n in range(51):
        (tmp_path / f"{n:03}.dcm").write_bytes(b"x")
    assert DicomFilms(tmp_path, salt="s").volumes("all") == ["000.dcm", "050.dcm"]


def test_wrong_settings(tmp_path):
    with pytest.raises(ValueError, match=r"source\.burned_in='mask'"):
        DicomFilms(tmp_path, burned_in="mask")
    with pytest.raises(ValueError, match=r"source\.shares"):
        DicomFilms(tmp_path, shares={"all": 0.9})
    with pytest.raises(ValueError, match="folder is missing"):
        DicomFilms(tmp_path / "x", salt="s").volumes("all")
