"""Fetching and storing against a small server that misbehaves; the real one is in test_dicomweb_orthanc."""

import logging
import shutil
import socket
import ssl
import subprocess

import certifi
import pytest
from describe.fake_pacs import FakePacs, part, serving
from describe.sr_series import ALGORITHM, SECRETS, describe_by_hand, write_ct
from pydicom import dcmread

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.describe.pacs.dicomweb import fetch_study, store_document
from anatomy_clip.describe.pacs.multipart import CutOff, content
from anatomy_clip.describe.pacs.server import LOGIN, TOKEN, Access, Server, credentials
from anatomy_clip.describe.sr.write import write_document

QUICK = Access(timeout=5, attempts=3, wait=0)


@pytest.fixture(autouse=True)
def nobody(monkeypatch):
    for name in (TOKEN, LOGIN, "REQUESTS_CA_BUNDLE", "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def paths(tmp_path):
    """A study's CT series."""
    return write_ct(tmp_path / "in", 4)


@pytest.fixture
def pacs(paths):
    return FakePacs(paths)


def study_of(paths):
    return str(dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID)


def sop(path):
    return str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)


def fetched(pacs, paths, folder, **options):
    with serving(pacs) as url:
        return fetch_study(url, study_of(paths), folder, access=QUICK, **options)


def test_what_comes_is_what_is_stored(tmp_path, pacs, paths):
    found = fetched(pacs, paths, tmp_path / "out")
    assert [path.read_bytes() for path in found.files] == [path.read_bytes() for path in paths]
    assert [str(path.relative_to(found.folder)) for path in found.files] == [
        f"series_001/{i:05d}.dcm" for i in range(1, 5)
    ]
    assert found.refusals == ()


def test_only_ct_and_mr_and_only_the_asked_series(tmp_path, paths):
    study = study_of(paths)
    mr = write_ct(tmp_path / "mr", 2, "MR", StudyInstanceUID=study)
    other = write_ct(tmp_path / "us", 2, Modality="US", StudyInstanceUID=study)
    foreign = write_ct(tmp_path / "else", 2)
    pacs = FakePacs([*paths, *mr, *other, *foreign])
    assert {path.read_bytes() for path in fetched(pacs, paths, tmp_path / "all").files} == {
        path.read_bytes() for path in [*paths, *mr]
    }
    wanted = str(dcmread(mr[0]).SeriesInstanceUID)
    assert len(fetched(pacs, paths, tmp_path / "one", series_uid=wanted).files) == 2
    with pytest.raises(ValueError, match="no CT or MR series"):
        fetched(pacs, paths, tmp_path / "none", series_uid=str(dcmread(other[0]).SeriesInstanceUID))


@pytest.mark.parametrize("pages", [True, False])
def test_long_answers_come_in_pages(tmp_path, pacs, paths, monkeypatch, pages):
    monkeypatch.setattr("anatomy_clip.describe.pacs.dicomweb._PAGE", 3)
    pacs.pages = pages  # False: a server that gives all of it again and again
    assert len(fetched(pacs, paths, tmp_path / "out").files) == 4


@pytest.mark.parametrize("fault", [503, 500, 429, "cut", "short"])
def test_what_may_pass_is_tried_again(tmp_path, pacs, paths, fault):
    pacs.faults = {sop(paths[1]): [fault, fault]}
    found = fetched(pacs, paths, tmp_path / "out")
    assert [path.read_bytes() for path in found.files] == [path.read_bytes() for path in paths]
    assert sum(path.endswith(sop(paths[1])) for _, path, _ in pacs.asked) == 3


def test_a_search_is_tried_again_too(tmp_path, pacs, paths):
    pacs.faults = {"series": [503, 503]}
    assert len(fetched(pacs, paths, tmp_path / "out").files) == 4


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (503, "status 503"),
        (404, "not found"),
        (400, "status 400"),
        ("cut", "cut off"),
        ("short", "cut off"),
        (b"no DICOM at all", "not a DICOM file"),
    ],
)
def test_a_bad_instance_costs_only_itself(tmp_path, pacs, paths, fault, reason):
    pacs.faults = {sop(paths[2]): [fault, ...]}
    found = fetched(pacs, paths, tmp_path / "out")
    assert [path.name for path in found.files] == ["00001.dcm", "00002.dcm", "00004.dcm"]
    assert [path.name for path in (tmp_path / "out" / "series_001").iterdir() if path.name == "00003.dcm"] == []
    (refusal,) = found.refusals
    assert refusal.where == "series_001/00003"
    assert reason in refusal.message
    assert ";" in refusal.message


def test_a_file_without_multipart_is_taken(tmp_path, pacs, paths):
    pacs.faults = {sop(path): ["plain"] for path in paths}
    assert len(fetched(pacs, paths, tmp_path / "out").files) == 4


def test_another_instance_than_asked_for_is_refused(tmp_path, pacs, paths):
    uids = next(iter(pacs.files))
    pacs.files[uids] = ("CT", paths[3].read_bytes())
    (refusal,) = fetched(pacs, paths, tmp_path / "out").refusals
    assert "not the instance that was requested" in refusal.message


def test_an_ill_server_is_given_up(tmp_path):
    paths = write_ct(tmp_path / "in", 12)
    pacs = FakePacs(paths)
    pacs.faults = {sop(path): [400, ...] for path in paths[3:]}
    with pytest.raises(ValueError, match="status 400"):
        fetched(pacs, paths, tmp_path / "out")
    assert sum("/instances/" in path for _, path, _ in pacs.asked) == 3 + 5


@pytest.mark.parametrize(
    ("faults", "message", "requests"),
    [
        ({"series": [401, ...]}, f"not allowed.*401.*{TOKEN}.*{LOGIN}", 1),
        ({"series": [403, ...]}, "not allowed", 1),
        ({"series": [404, ...]}, "not found.*check the path", 1),
        ({"series": [b"[]", ...]}, "no CT or MR series of this study", 1),
        ({"series": [503, ...]}, "503.*try again later", 3),
        ({"series": [b"<html>", ...]}, "not as a DICOMweb server", 1),
        ({"series": [b"null", ...]}, "no CT or MR series", 1),
        ({"series": [b'["text"]', ...]}, "no CT or MR series", 1),
    ],
)
def test_errors_say_where_and_what_to_do(tmp_path, pacs, paths, faults, message, requests):
    pacs.faults = faults
    with pytest.raises(ValueError, match=f"localhost:.*{message}"):
        fetched(pacs, paths, tmp_path / "out")
    assert len(pacs.asked) == requests


def test_a_password_that_expires_on_the_way_ends_it(tmp_path, pacs, paths):
    pacs.faults = {sop(paths[1]): [401, ...]}
    with pytest.raises(ValueError, match="not allowed"):
        fetched(pacs, paths, tmp_path / "out")


def test_nobody_there(tmp_path, paths):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://localhost:{free.getsockname()[1]}/dicom-web"
        with pytest.raises(ValueError, match=r"localhost:\d+: no connection; check the address and the port"):
            fetch_study(url, study_of(paths), tmp_path / "out", access=QUICK)


@pytest.mark.parametrize("where", ["series", "instance"])
def test_a_slow_server_isnt_waited_for(tmp_path, pacs, paths, where):
    pacs.faults = {"series" if where == "series" else sop(paths[1]): ["slow", ...]}
    with serving(pacs) as url, pytest.raises(ValueError, match=r"no answer within 0\.2 s"):
        fetch_study(url, study_of(paths), tmp_path / "out", access=Access(timeout=0.2, attempts=2, wait=0))


def test_waits_grow(tmp_path, pacs, paths, monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    pacs.faults = {"series": [503, ...]}
    with serving(pacs) as url, pytest.raises(ValueError, match="503"):
        fetch_study(url, study_of(paths), tmp_path / "out", access=Access(attempts=4, wait=0.5))
    assert [wait for wait in waits if wait >= 0.5] == [0.5, 1.0, 2.0]


def test_a_study_over_the_limit_is_refused(tmp_path, pacs, paths):
    size = paths[0].stat().st_size
    with pytest.raises(ValueError, match="takes more than"):
        fetched(pacs, paths, tmp_path / "out", max_bytes=int(2.5 * size))
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*.dcm")) <= 2.5 * size


def test_a_full_disk_is_said_so(tmp_path, pacs, paths):
    (tmp_path / "out" / "series_001").mkdir(parents=True)
    (tmp_path / "out" / "series_001" / "00001.dcm").symlink_to("/dev/full")
    with pytest.raises(ValueError, match=r"can't be written.*free disk space"):
        fetched(pacs, paths, tmp_path / "out")


@pytest.mark.parametrize("uid", ["", "1.2/../..", "PLANTED", "1." * 40])
def test_only_uids_are_asked_for(tmp_path, uid):
    with pytest.raises(ValueError, match="--study: this is not a valid UID") as raised:
        fetch_study("http://localhost:9", uid, tmp_path)
    assert "PLANTED" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("pacs.example/dicom-web", "not the address"),
        ("ftp://pacs.example", "not the address"),
        ("http://[broken", "not the address"),
        ("https://me:PLANTED@pacs.example", "must not contain a password"),
        ("https://pacs.example/?token=PLANTED", "remove the part from"),
    ],
)
def test_only_plain_addresses(tmp_path, url, message):
    with pytest.raises(ValueError, match=message) as raised:
        fetch_study(url, "1.2.3", tmp_path)
    assert "PLANTED" not in str(raised.value)


@pytest.mark.parametrize(
    ("environment", "header"),
    [
        ({TOKEN: "abc.def"}, "Bearer abc.def"),
        ({LOGIN: "me:pa:ss"}, "Basic bWU6cGE6c3M="),
        ({LOGIN: "m\u00fc:\u20ac"}, "Basic bcO8OuKCrA=="),
        ({}, None),
    ],
)
def test_who_asks_comes_from_the_environment(tmp_path, pacs, paths, monkeypatch, environment, header):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    fetched(pacs, paths, tmp_path / "out")
    assert {headers.get("Authorization") for _, _, headers in pacs.asked} == {header}


@pytest.mark.parametrize(
    ("url", "told"),
    [("http://pacs.example/dicom-web", 1), ("https://pacs.example", 0), ("http://localhost:8042/dicom-web", 0)],
)
def test_a_password_in_the_clear_is_said_once(monkeypatch, caplog, url, told):
    monkeypatch.setenv(LOGIN, "me:PLANTED")
    for _ in range(2):
        Server(url, Access())
    assert caplog.text.count("without encryption") == told
    assert "PLANTED" not in caplog.text


@pytest.mark.parametrize(
    "environment",
    [{TOKEN: "PLANTED", LOGIN: "a:PLANTED"}, {LOGIN: "PLANTED"}, {LOGIN: ":PLANTED"}, {TOKEN: "PLAN TED"}],
)
def test_odd_credentials_are_refused_and_not_repeated(environment):
    with pytest.raises(ValueError, match=r"ANATOMY_CLIP_DICOMWEB_\w+ .*set") as raised:
        credentials(environment)
    assert "PLAN" not in str(raised.value)


@pytest.mark.parametrize("fault", [None, 401, 404, 503, "cut", b"PLANTED"])
def test_no_uid_and_no_patient_in_logs_and_messages(tmp_path, pacs, paths, caplog, capsys, fault):
    caplog.set_level(logging.DEBUG)
    if fault is not None:
        pacs.faults = {sop(paths[1]): [fault, ...]}
    try:
        said = str([one.message for one in fetched(pacs, paths, tmp_path / "out").refusals])
    except ValueError as error:
        said = str(error)
    said += caplog.text + "".join(capsys.readouterr()) + " ".join(map(str, (tmp_path / "out").rglob("*")))
    series = str(dcmread(paths[0]).SeriesInstanceUID)
    for secret in (study_of(paths), series, *map(sop, paths), "PLANTED", SECRETS["PatientBirthDate"]):
        assert secret not in said


@pytest.fixture
def document(tmp_path, paths):
    series = describe_by_hand(paths, [("head", 0.9)])
    return write_document(series, Taxonomy.load("whole_body"), tmp_path / "sr.dcm", algorithm=ALGORITHM)


def test_a_document_is_stored(pacs, document):
    with serving(pacs) as url:
        store_document(url, document, access=QUICK)
    (body,) = pacs.stored
    assert document.read_bytes() in body
    assert pacs.asked[0][:2] == ("POST", "/dicom-web/studies")


def test_storing_is_tried_again(pacs, document):
    pacs.faults = {"studies": [503, 503]}
    with serving(pacs) as url:
        store_document(url, document, access=QUICK)
    assert len(pacs.stored) == 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0x0110]}}]}}), "0110H"),
        ((202, {"00081198": {"vr": "SQ", "Value": [{}]}}), "no reason"),
        ((409, {}), "status 409"),
        ((200, {"odd": 1}), "not as a DICOMweb server"),
    ],
)
def test_a_refused_document_is_said_so(pacs, document, answer, message):
    pacs.store_answer = answer
    with serving(pacs) as url, pytest.raises(ValueError, match=message):
        store_document(url, document, access=QUICK)


def test_images_are_never_sent(pacs, paths):
    with serving(pacs) as url, pytest.raises(ValueError, match="only Structured Reports are sent"):
        store_document(url, paths[0], access=QUICK)
    assert pacs.asked == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes a certificate, is not installed")
def test_certificates_are_checked(tmp_path, pacs, paths, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())  # mustn't win over what was asked for
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate),
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(pacs, context) as url:
        with pytest.raises(ValueError, match=r"isn't trusted.*--ca-bundle"):
            fetch_study(url, study_of(paths), tmp_path / "out", access=QUICK)
        trusting = Access(ca_bundle=certificate, timeout=5, attempts=1)
        assert len(fetch_study(url, study_of(paths), tmp_path / "out", access=trusting).files) == 4
        with pytest.raises(ValueError, match=r"TLS can't be set up|isn't trusted"):
            fetch_study(url, study_of(paths), tmp_path / "odd", access=Access(ca_bundle=paths[0], attempts=1))
    with pytest.raises(ValueError, match="certificate file is missing"):
        fetch_study("https://localhost:9", "1.2.3", tmp_path, access=Access(certificate=tmp_path / "none.pem"))


BODY = b"DICM\r\n--a-bound not the end\r\n" + bytes(range(256)) * 3


@pytest.mark.parametrize("size", [1, 2, 7, 64, 5000])
@pytest.mark.parametrize("body", [BODY, b"", b"\r\n", BODY + b"\r\n--a-boundar"])
def test_a_part_is_whole_however_it_is_cut(size, body):
    whole = part(body)
    chunks = [whole[i : i + size] for i in range(0, len(whole), size)]
    kind = 'multipart/related; type="application/dicom"; boundary="a-boundary"'
    assert b"".join(content(kind, chunks)) == body
    for cut in (10, len(whole) - 20):
        with pytest.raises(CutOff):
            b"".join(content(kind, [whole[:cut]]))
    assert b"".join(content("application/dicom", chunks)) == whole
    with pytest.raises(CutOff, match="no boundary"):
        content("multipart/related", chunks)
