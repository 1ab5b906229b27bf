"""The page's server with a played engine: limits, who may ask, and what becomes of files."""

import asyncio
import http.client
import threading
import time
from urllib.parse import urlsplit

import pytest

pytest.importorskip("starlette", reason="needs the extra `serve`")
uvicorn = pytest.importorskip("uvicorn", reason="needs the extra `serve`")

from describe.web.serving import PLAIN, Client, PlayedEngine  # noqa: E402

from anatomy_clip.describe.web import studies as studies_module  # noqa: E402
from anatomy_clip.describe.web.app import make_app  # noqa: E402
from anatomy_clip.describe.web.names import safe_name  # noqa: E402
from anatomy_clip.describe.web.protect import LOCAL, Protect, host_name  # noqa: E402
from anatomy_clip.describe.web.studies import KEPT, Studies, UploadLimits  # noqa: E402

MB = 1_000_000


@pytest.fixture
def engine():
    return PlayedEngine()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


@pytest.fixture
def client(engine, folder):
    app = make_app(Studies(folder, engine, UploadLimits(1, 3)), {"model": "m"}, LOCAL)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False, ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    with Client(f"http://127.0.0.1:{port}") as opened:
        yield opened
    server.should_exit = True
    thread.join(20)
    assert not folder.exists(), "what the server wrote is still there"


def until(is_so):
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_study_is_received_described_and_forgotten(client, engine, folder):
    key = client.begin(modality="MR")
    for name, data in {"head/1.dcm": b"one", "head/ü 2.dcm": b"two"}.items():
        assert client.upload(key, name, data).status_code == 200
    assert client.wait(key) == {"state": "done", "bytes": 6, "files": 2, "done": 2, "found": 2, "message": ""}
    assert engine.files == {"head/1.dcm": b"one", "head/ü 2.dcm": b"two"} and engine.modality == "MR"
    assert below(folder) == []  # as soon as it is described
    saved = client.get(f"/api/studies/{key}/description.json")
    assert saved.json() == PLAIN and saved.headers["content-disposition"].startswith("attachment")
    picture = client.get(f"/api/studies/{key}/series/0/slices/1.png")
    assert picture.content.startswith(b"\x89PNG") and picture.headers["content-type"] == "image/png"
    compared = client.post(f"/api/studies/{key}/compare", json={"series": 0, "slice": 1, "captions": ["a", "b"]})
    assert compared.json() == {"cosines": [16.0, -1.0], "shares": [1.0, 0.0]}
    assert client.delete(f"/api/studies/{key}").status_code == 204
    assert client.get(f"/api/studies/{key}").status_code == 404


@pytest.mark.parametrize(
    "name",
    ["../../x", "/etc/x", "..\\..\\x", "C:\\x", "a/../../x", ".x", "a\0/x", "a\n/x", "....//x", "n" * 400 + "/x"],
)
def test_no_name_leads_out_of_the_folder(client, engine, folder, name):
    before = below(folder.parent)
    key = client.begin()
    assert client.upload(key, name, b"here").status_code == 200
    assert all(f"/{key}/files/" in f"/{path}" for path in set(below(folder.parent)) - set(before))
    client.wait(key)
    (kept,) = engine.files
    assert kept.endswith("x") and ".." not in kept and len(kept) < 200 and below(folder.parent) == before


@pytest.mark.parametrize("name", ["", "..", "/", "\\", " . ", "\0"])
def test_a_name_of_which_nothing_is_left_is_refused(client, name):
    with pytest.raises(ValueError, match="rename it"):
        safe_name(name)
    refused = client.upload(client.begin(), name, b"x")
    assert refused.status_code == 422 and "rename it" in refused.json()["error"]


def test_files_of_one_name_are_all_kept(client, engine):
    key = client.begin()
    for data, name in ((b"1", "a/x"), (b"2", "a/x"), (b"3", "a")):
        assert client.upload(key, name, data).status_code == 200
    client.wait(key)
    assert engine.files == {"a/x": b"1", "(2) a/x": b"2", "(3) a": b"3"}


def test_too_many_bytes_are_refused_announced_or_not(client, folder):
    whole, parts = client.begin(), client.begin()
    assert client.upload(whole, "a", bytes(700_000)).status_code == 200
    refused = client.upload(whole, "b", bytes(400_000))
    assert refused.status_code == 413 and "more than 1 MB" in refused.json()["error"]
    assert "--max-upload" in refused.json()["error"]
    assert client.get(f"/api/studies/{whole}").json()["bytes"] == 700_000  # refused before it was read
    try:  # chunks without a length; the server may hang up before it has read them all
        assert client.upload(parts, "c", (bytes(50_000) for _ in range(100))).status_code == 413
    except OSError:
        pass
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 2 * MB


def test_too_many_files_are_refused(client):
    key = client.begin()
    answers = [client.upload(key, f"{n}", b"x") for n in range(4)]
    assert [one.status_code for one in answers] == [200, 200, 200, 413]
    assert "more than 3 files" in answers[3].json()["error"] and "--max-files" in answers[3].json()["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_pages_may_not_ask(client, headers):
    key = client.begin()
    for method, path in (
        ("POST", "/api/studies"),
        ("PUT", f"/api/studies/{key}/files"),
        ("DELETE", f"/api/studies/{key}"),
        ("GET", f"/api/studies/{key}"),
    ):
        answer = client.request(method, path, headers=headers)
        assert answer.status_code == 403 and "another page" in answer.json()["error"]
    assert "access-control-allow-origin" not in answer.headers
    own = {"Origin": client.address, "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/studies", json={}, headers=own).status_code == 201


@pytest.mark.parametrize(
    ("host", "known"),
    [("localhost", True), ("127.0.0.1:80", True), ("[::1]:80", True), ("evil.example", False), ("", False),
     ("192.168.7.7", False), ("127.0.0.1.evil.example", False), ("evil.example:127", False)],
)  # fmt: skip
def test_only_names_of_this_machine_are_answered(client, host, known):
    connection = http.client.HTTPConnection(urlsplit(client.address).netloc)
    connection.putrequest("GET", "/", skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    assert (connection.getresponse().status == 200) == known


def test_a_server_for_other_machines_takes_addresses_and_its_name_but_no_other_name():
    protect = Protect(None, ["Scanner", *LOCAL], addresses=True)
    assert all(map(protect._is_known, ("192.168.7.7:7860", "[fe80::1]:7860", "scanner:7860", "localhost")))
    assert not any(map(protect._is_known, ("evil.example", "", "7860", "1.2.3")))
    assert [host_name(one) for one in ("[::1]", "[::1]:8", "A.b:8", "a")] == ["::1", "::1", "a.b", "a"]


def test_every_answer_carries_the_policy(client, engine, capsys):
    key = client.describe({"a": b""})
    engine.error = RuntimeError("SECRET words of a header")
    fault = client.post(f"/api/studies/{key}/compare", json={"series": 0, "slice": 0, "captions": ["a", "b"]})
    assert fault.status_code == 500 and "SECRET" not in fault.text
    printed = capsys.readouterr().err
    assert "RuntimeError in serving.py" in printed and "SECRET" not in printed
    paths = ("/", "/page.js", "/page.css", "/nowhere", "/api/about", "/api/studies/nothing", "/..%2fapp.py")
    for answer in [fault, client.get("/", headers={"Origin": "null"}), *map(client.get, paths)]:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get("/..%2fapp.py").status_code == 404


def test_what_is_stopped_leaves_nothing(client, engine, folder):
    engine.gate.clear()
    key = client.begin()
    client.upload(key, "a", b"x")
    assert client.post(f"/api/studies/{key}/describe").status_code == 202
    until(lambda: client.get(f"/api/studies/{key}").json()["state"] == "describing")
    early = client.get(f"/api/studies/{key}/description.json")
    assert early.status_code == 409 and "isn't described yet" in early.json()["error"]
    assert client.upload(key, "b", b"x").status_code == 409
    assert client.post(f"/api/studies/{key}/describe").status_code == 409
    client.delete(f"/api/studies/{key}")
    assert below(folder) == []


def test_what_fails_is_told_and_leaves_nothing(client, engine, folder):
    engine.error = ValueError("the file is not a study; leave it out")
    key = client.begin()
    client.upload(key, "a", b"x")
    assert client.wait(key)["message"] == "the file is not a study; leave it out"
    assert below(folder) == []


def test_an_upload_that_breaks_off_leaves_nothing(client, folder):
    key = client.begin()
    connection = http.client.HTTPConnection(urlsplit(client.address).netloc)
    connection.putrequest("PUT", f"/api/studies/{key}/files")
    connection.putheader("Content-Length", "1000")
    connection.putheader("X-Name", "a")
    connection.endheaders(b"only some")
    until(lambda: below(folder))
    connection.close()
    until(lambda: not (folder / key).exists())


def test_old_studies_make_room_and_busy_ones_dont(client, engine):
    keys = [client.describe({"a": b"x"}) for _ in range(KEPT)]
    client.get(f"/api/studies/{keys[0]}")  # looked at: the second is the oldest now
    newest = client.begin()
    assert [client.get(f"/api/studies/{key}").status_code for key in (*keys[:3], newest)] == [200, 404, 200, 200]
    for _ in range(KEPT - 1):
        client.begin()
    refused = client.post("/api/studies", json={})
    assert refused.status_code == 503 and "wait" in refused.json()["error"]


def test_what_nobody_looks_at_is_forgotten(engine, folder, monkeypatch):
    async def story():
        studies = Studies(folder, engine, UploadLimits())
        key = studies.create(None).key
        studies.forget_idle()
        assert studies.find(key)
        monkeypatch.setattr(studies_module, "IDLE_SECONDS", -1.0)
        studies.forget_idle()
        with pytest.raises(studies_module.RequestRefused, match="add its files again"):
            studies.find(key)
        assert list(folder.iterdir()) == []

    asyncio.run(story())


@pytest.mark.parametrize(
    ("question", "status"),
    [
        (b"{", 400), (b"[1]", 400), (b"[" * 10_000, 400), (b" " * 30_000, 413),
        (b'{"series": 0, "slice": 0}', 422), (b'{"series": 0, "slice": 0, "captions": ["a"]}', 422),
        (b'{"series": 0, "slice": 0, "captions": ["a", " "]}', 422),
        (b'{"series": 0, "slice": 2, "captions": ["a", "b"]}', 404),
        (b'{"series": -1, "slice": 0, "captions": ["a", "b"]}', 404),
        (b'{"series": true, "slice": 0, "captions": ["a", "b"]}', 404),
        (b'{"series": "0", "slice": 0, "captions": ["a", "b"]}', 404),
    ],
)  # fmt: skip
def test_wrong_questions_get_a_reason(client, question, status):
    key = client.describe({"a": b"x"})
    answer = client.post(f"/api/studies/{key}/compare", data=question)
    assert answer.status_code == status and answer.json()["error"]


def test_further_wrong_requests_get_a_reason(client):
    assert client.post("/api/studies", json={"modality": "US"}).status_code == 422
    empty = client.post(f"/api/studies/{client.begin()}/describe")
    assert empty.status_code == 409 and "no files" in empty.json()["error"]
    key = client.describe({"a": b"x"})
    burned_in = client.get(f"/api/studies/{key}/series/1/slices/0.png")
    assert burned_in.status_code == 403 and "burned" in burned_in.json()["error"]
    assert client.get(f"/api/studies/{key}/series/0/slices/2.png").status_code == 404
    assert client.put("/api/about").status_code == 405
    for limits in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="1 or more"):
            UploadLimits(*limits)
