"""The command from a server's study to documents on that server, and what it lets out of the patient's particulars."""

import json
import logging
import re
from pathlib import Path

import pytest
from describe.fake_pacs import FakePacs, serving
from describe.sr_series import SECRETS, write_ct
from pydicom import dcmread

from anatomy_clip.cli.main import main
from anatomy_clip.describe.bundle.folder import read_bundle
from anatomy_clip.describe.pacs.server import LOGIN, TOKEN
from anatomy_clip.describe.sr.read import read_document

PLANTED = ("PLANTED", SECRETS["PatientBirthDate"], SECRETS["StudyDate"])


@pytest.fixture
def paths(tmp_path, monkeypatch):
    for name in (TOKEN, LOGIN, "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return write_ct(tmp_path / "in", 3, SeriesDescription="PLANTED SERIES", BodyPartExamined="PLANTED PART")


def study_of(paths):
    return str(dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID)


def describe(bundle, *words):
    return main(["describe", "--bundle", str(bundle), "--workers", "0", *map(str, words)])


@pytest.mark.parametrize("named", [False, True])
def test_planted_particulars_are_in_the_document_only_and_only_when_asked_for(
    paths, bundle_folder, tmp_path, capsys, caplog, named
):
    caplog.set_level(logging.INFO)
    words = [tmp_path / "in", "--sr-out", tmp_path / "sr", "--csv", tmp_path / "a.csv", "--json"]
    assert describe(bundle_folder, *words, *["--sr-patient"] * named) == 0
    said = capsys.readouterr()
    everything = said.out + said.err + caplog.text + (tmp_path / "a.csv").read_text()
    assert not any(secret in everything for secret in PLANTED)
    (path,) = (tmp_path / "sr").iterdir()
    document, raw = dcmread(path), path.read_bytes()
    assert "PLANTED" not in path.name
    assert (document.PatientID == SECRETS["PatientID"]) == named
    assert any(secret.encode() in raw for secret in PLANTED) == named
    if named:  # in the patient's and the study's module, and nowhere else
        for keyword in SECRETS:
            del document[keyword]
        assert "PLANTED" not in str(document)


def test_a_document_names_the_bundle_and_what_was_described(paths, bundle_folder, tmp_path, capsys):
    assert describe(bundle_folder, tmp_path / "in", "--sr-out", tmp_path / "sr", "--json") == 0
    (series,) = json.loads(capsys.readouterr().out)["series"]
    document = read_document(tmp_path / "sr" / "report_001.dcm")
    bundle = read_bundle(bundle_folder)
    assert (document.algorithm.name, document.algorithm.digest) == (bundle.name, bundle.digest)
    for kind in ("station", "organ"):
        found = [(f.name, pytest.approx(f.certainty, abs=1e-4)) for f in document.findings if f.kind.value == kind]
        assert found == [(one["name"], one["score"]) for one in series[f"{kind}s"]]
    assert document.referenced == {dcmread(path).SOPInstanceUID for path in paths}


def test_from_the_server_and_back(paths, bundle_folder, tmp_path, capsys):
    pacs = FakePacs(paths)
    with serving(pacs) as url:
        assert describe(bundle_folder, "--dicomweb", url, "--study", study_of(paths), "--store", "--json") == 0
    said = capsys.readouterr()
    (series,) = json.loads(said.out)["series"]
    assert series["path"] == "series_001"
    assert len(series["slices"]) == 3
    assert "1 of 1 SR documents stored" in said.err
    (body,) = pacs.stored
    (tmp_path / "back.dcm").write_bytes(body[body.index(b"\r\n\r\n") + 4 :])
    assert read_document(tmp_path / "back.dcm").study_uid == study_of(paths)
    for secret in (*PLANTED, study_of(paths)):
        assert secret not in said.out + said.err


def test_what_the_server_cant_give_or_take_is_said_with_the_description(paths, bundle_folder, capsys, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    pacs = FakePacs(paths)
    pacs.faults = {str(dcmread(paths[1]).SOPInstanceUID): [404, ...], "studies": [409, ...]}
    with serving(pacs) as url:
        assert describe(bundle_folder, "--dicomweb", url, "--study", study_of(paths), "--store", "--json") == 3
    answer = json.loads(capsys.readouterr().out)
    assert [len(one["slices"]) for one in answer["series"]] == [2]
    assert [one["path"] for one in answer["rejected"]] == ["series_001/00002", "report_001.dcm"]
    assert "status 409" in answer["rejected"][1]["reason"]


def test_a_server_that_isnt_there_is_one_clear_line(bundle_folder, capsys, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert describe(bundle_folder, "--dicomweb", "http://localhost:9/dicom-web", "--study", "1.2.3") == 2
    assert "error: localhost:9: no connection; check" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x", "--dicomweb", "http://localhost"], "either PATHs"),
        (["--dicomweb", "http://localhost"], "add --study UID"),
        (["x", "--store"], "--store: needs --dicomweb"),
        (["x", "--ca-bundle", "y"], "--ca-bundle: needs --dicomweb"),
        (["x", "--sr-patient"], "--sr-patient: needs --sr-out"),
    ],
)
def test_options_that_dont_go_together_are_wrong_usage(capsys, words, message):
    with pytest.raises(SystemExit) as stopped:
        main(["describe", *words])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_the_docs_name_only_options_that_there_are(capsys):
    page = Path(__file__).resolve().parents[2] / "docs" / "PACS.md"
    with pytest.raises(SystemExit):
        main(["describe", "--help"])
    known = re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)
    named = re.findall(r"--[a-z][a-z-]+", page.read_text())
    assert len(set(named)) >= 7
    assert set(named) <= set(known)
    assert all(name in page.read_text() for name in (TOKEN, LOGIN))
