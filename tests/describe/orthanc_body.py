"""What test_dicomweb_orthanc runs inside a network namespace of its own, against a real Orthanc with its plugin."""

import base64
import json
import shutil
import subprocess
import time
import urllib.request

import pytest
from describe.sr_series import ALGORITHM, describe_by_hand, real_files, write_ct
from pydicom import dcmread

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.describe.pacs.dicomweb import fetch_study, store_document
from anatomy_clip.describe.pacs.server import LOGIN, Access
from anatomy_clip.describe.sr.read import read_document
from anatomy_clip.describe.sr.write import write_document

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
ROOT, WHO = "http://localhost:18042", "tester:secret"
URL = f"{ROOT}/dicom-web"
PATIENCE = Access(timeout=60, attempts=3, wait=0.2)


@pytest.fixture(scope="module", autouse=True)
def orthanc(tmp_path_factory):
    """A server that nobody else can reach."""
    place = tmp_path_factory.mktemp("orthanc")
    config = {
        "StorageDirectory": str(place), "IndexDirectory": str(place), "HttpPort": 18042, "DicomServerEnabled": False,
        "AuthenticationEnabled": True, "RegisteredUsers": dict([WHO.split(":")]), "Plugins": [PLUGIN],
    }  # fmt: skip
    (place / "orthanc.json").write_text(json.dumps(config))
    command = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
    with (place / "log").open("w") as log:
        process = subprocess.Popen([command, str(place / "orthanc.json")], stdout=log, stderr=log)
    try:
        for _ in range(120):
            try:
                rest("/system")
                break
            except OSError:
                time.sleep(0.25)
        yield
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(autouse=True)
def login(monkeypatch):
    monkeypatch.setenv(LOGIN, WHO)


def rest(path, body=None):
    """Orthanc's own interface, not DICOMweb, so that the peer checks the other half."""
    key = base64.b64encode(WHO.encode()).decode()
    request = urllib.request.Request(ROOT + path, data=body, headers={"Authorization": f"Basic {key}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def upload(paths):
    for path in paths:
        rest("/instances", path.read_bytes())
    return str(dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID)


def real(folder):
    paths = real_files(folder)
    if not paths:
        pytest.skip("no real data; REAL_DATA names their folder")
    return paths


@pytest.mark.parametrize(
    ("folder", "modality"),
    [("visible_human/pelvis_ct_female", "CT"), ("fnndsc/adi_brain_t2_axial", "MR"), ("pydicom_data/enhanced_ct", "CT")],
)
def test_round_trip(tmp_path, folder, modality):
    paths = real(folder)
    study = upload(paths)
    found = fetch_study(URL, study, tmp_path / "fetched", access=PATIENCE)
    assert found.refusals == ()
    assert {path.read_bytes() for path in found.files} == {path.read_bytes() for path in paths}

    named = [("pelvis", 0.91), ("abdomen", 0.55)], [("pelvic bone", 0.87), ("intestine", 0.42)]
    series = describe_by_hand(found.files, *named, modality=modality)
    document = write_document(
        series, Taxonomy.load("whole_body"), tmp_path / "sr.dcm", algorithm=ALGORITHM, include_patient=True
    )
    store_document(URL, document, access=PATIENCE)
    store_document(URL, document, access=PATIENCE)  # a second time does no harm

    (identifier,) = json.loads(rest("/tools/lookup", dcmread(document).SOPInstanceUID.encode()))
    (tmp_path / "back.dcm").write_bytes(rest(f"/instances/{identifier['ID']}/file"))
    assert dcmread(tmp_path / "back.dcm") == dcmread(document)
    assert read_document(tmp_path / "back.dcm") == read_document(document)
    # In the study, beside its images; and not taken for a series to describe.
    kinds = json.loads(rest("/tools/find", json.dumps({"Level": "Series", "Expand": True,
                                                       "Query": {"StudyInstanceUID": study}}).encode()))  # fmt: skip
    assert sorted(one["MainDicomTags"]["Modality"] for one in kinds) == sorted(["SR", modality])
    assert len(fetch_study(URL, study, tmp_path / "again", access=PATIENCE).files) == len(paths)


def test_one_series_of_two(tmp_path):
    first, second = real("ibsi/STS_019/CT")[:4], real("ibsi/STS_019/MR_T1")[:3]
    study, other = upload(first), upload(second)
    for uid, paths in ((study, first), (other, second)):
        series = str(dcmread(paths[0]).SeriesInstanceUID)
        found = fetch_study(URL, uid, tmp_path / series, series_uid=series, access=PATIENCE)
        assert {path.read_bytes() for path in found.files} == {path.read_bytes() for path in paths}


def test_a_long_series_comes_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("anatomy_clip.describe.pacs.dicomweb._PAGE", 7)
    paths = write_ct(tmp_path / "in", 40)
    found = fetch_study(URL, upload(paths), tmp_path / "out", access=PATIENCE)
    assert {path.read_bytes() for path in found.files} == {path.read_bytes() for path in paths}


def test_no_such_study(tmp_path):
    with pytest.raises(ValueError, match="no CT or MR series of this study"):
        fetch_study(URL, "1.2.3", tmp_path, access=PATIENCE)


def test_no_such_path(tmp_path):
    with pytest.raises(ValueError, match="not found"):
        fetch_study(f"{ROOT}/elsewhere", "1.2.3", tmp_path, access=PATIENCE)


@pytest.mark.parametrize("who", ["", "tester:wrong"])
def test_not_allowed(tmp_path, monkeypatch, who):
    monkeypatch.setenv(LOGIN, who)
    with pytest.raises(ValueError, match=r"not allowed \(status 401\)"):
        fetch_study(URL, "1.2.3", tmp_path, access=PATIENCE)
