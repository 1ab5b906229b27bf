"""`anatomy-clip serve` as a user starts it, with true files."""

import argparse
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs the extra `serve`")
pytest.importorskip("uvicorn", reason="needs the extra `serve`")

from describe.studies import SECRETS
from describe.web.serving import ROOT, Client, served
from PIL import Image

from anatomy_clip.describe.web import serve
from anatomy_clip.describe.web.engine import Engine, EngineError
from anatomy_clip.describe.web.temporary import temporary_folder
from anatomy_clip.models.image_text import NORMALISATIONS


def content(folder):
    return {str(p.relative_to(folder.parent)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def kept(temporary):
    return [path.name for path in temporary.rglob("*") if path.is_file() and path.name != "lock"]


def png(client, key, series, place):
    answer = client.get(f"/api/studies/{key}/series/{series}/slices/{place}.png")
    assert answer.status_code == 200
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def without_paths(series):
    return [{name: value for name, value in one.items() if name != "path"} for one in series]


def test_it_says_what_the_library_says(client, server, describer, real):
    dicom, nifti = real / "dicom/fnndsc/adi_brain_t2_axial", real / "nifti/pyradiomics"
    key = client.describe(content(dicom) | content(nifti))
    found = client.get(f"/api/studies/{key}/description.json").json()
    expected = describer.describe([dicom, *sorted(nifti.rglob("*.nii.gz"))], pictures=True)
    assert without_paths(found["series"]) == without_paths(json.loads(json.dumps(expected.plain()))["series"])
    assert [one["path"] for one in found["series"]] == ["adi_brain_t2_axial", "pyradiomics/brain1_image.nii.gz"]
    for number, one in enumerate(expected.series):
        np.testing.assert_array_equal(png(client, key, number, 5), one.slices[5].picture)


def test_a_comparison_is_that_of_open_clip(client, write, bundle_folder, describer):
    import open_clip
    import torch

    key = client.describe({"a.dcm": write("a.dcm").read_bytes()})
    captions = ["A axial oriented CT image of brain organs belong to head region", "An image of foot organs"]
    found = client.post(f"/api/studies/{key}/compare", json={"series": 0, "slice": 0, "captions": captions}).json()
    model = open_clip.create_model(f"local-dir:{bundle_folder}").eval()
    small = describer.bundle.preprocessing.input(png(client, key, 0, 0)[None]).astype(np.float32) / 255
    mean, std = (np.array(values, np.float32)[:, None, None] for values in NORMALISATIONS["clip"])
    with torch.inference_mode():
        image = model.encode_image(torch.from_numpy((small[:, None] - mean) / std), normalize=True)
        tokens = open_clip.get_tokenizer(f"local-dir:{bundle_folder}")(captions)
        cosines = (image @ model.encode_text(tokens, normalize=True).T)[0]
        shares = (model.logit_scale.exp() * cosines).softmax(0)
    np.testing.assert_allclose(found["cosines"], cosines, atol=1e-5)
    np.testing.assert_allclose(found["shares"], shares, atol=1e-4)
    long = {"series": 0, "slice": 0, "captions": ["word " * 150, "b"]}
    refused = client.post(f"/api/studies/{key}/compare", json=long)
    assert refused.status_code == 422 and "shorten the caption" in refused.json()["error"]


def test_bad_files_are_named_with_a_reason_and_nobody_in_a_header_is(client, server, write, tmp_path):
    _, _, printed = server
    good = write("good.dcm", BurnedInAnnotation="YES").read_bytes()
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr("FILENAME_PERSON/inside.dcm", good)
        archive.writestr("../outside.dcm", good)
    files = {
        "FILENAME_PERSON/good.dcm": good,
        "FILENAME_PERSON/cut.dcm": good[: len(good) // 2],
        "FILENAME_PERSON/notes.txt": SECRETS[0].encode() * 50,
        "FILENAME_PERSON/strange.dcm": good.replace(b"-1024", b"SECRE"),  # no number: libraries quote it
        "FILENAME_PERSON/broken.nii.gz": b"\x1f\x8b" + SECRETS[0].encode(),
        "FILENAME_PERSON/broken.png": b"\x89PNG\r\n\x1a\n" + SECRETS[0].encode(),
        "FILENAME_PERSON/trick.zip": (tmp_path / "s.zip").read_bytes(),
    }
    key = client.describe(files)
    answers = [
        client.get(f"/api/studies/{key}/{path}").text for path in ("", "description.json", "description.json?page")
    ]
    found = json.loads(answers[1])
    reasons = {one["path"].removeprefix("FILENAME_PERSON/"): one["reason"] for one in found["rejected"]}
    assert {"cut.dcm", "notes.txt", "strange.dcm", "broken.nii.gz", "broken.png", "trick.zip"} <= set(reasons)
    assert all(";" in reason for reason in reasons.values())  # what is wrong; what to do
    assert "outside of the archive" in reasons["trick.zip"]
    assert client.get(f"/api/studies/{key}/series/0/slices/0.png").status_code == 403  # text is burned in
    for text in answers:
        assert not [word for word in ("SECRE", SECRETS[2], "anatomy_clip_serve_", str(tmp_path)) if word in text]
    log = printed()
    assert log.count("\n") == 1 and "FILENAME_PERSON" not in log and key not in log


def test_a_study_that_is_no_study_at_all_is_answered_too(client):
    key = client.describe({"notes.txt": b"hello"})
    found = client.get(f"/api/studies/{key}/description.json").json()
    assert found["series"] == [] and found["rejected"][0]["path"] == "notes.txt"


def test_files_are_gone_after_the_answer(client, server, write, tmp_path_factory):
    with zipfile.ZipFile(packed := io.BytesIO(), "w") as archive:
        archive.write(write("a.dcm"), "a.dcm")
    client.describe({"a.zip": packed.getvalue()})
    temporary = next(tmp_path_factory.getbasetemp().glob("serve*/temporary"))
    assert kept(temporary) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGHUP], ids=["Ctrl-C", "closed terminal"])
def test_it_ends_and_leaves_nothing(bundle_folder, tmp_path, how):
    temporary = tmp_path / "temporary"
    with served("--host", "0.0.0.0", bundle=bundle_folder, temporary=temporary) as (address, process, printed):
        assert "not encrypted" in printed() and "0.0.0.0" in address
        with Client(address.replace("0.0.0.0", "127.0.0.1")) as client:
            assert client.upload(client.begin(), "a", b"x").status_code == 200
            assert client.get("/", headers={"Host": "evil.example"}).status_code == 421
        listed = subprocess.run(["pgrep", "-P", f"{process.pid}"], capture_output=True, check=True).stdout
        children = [int(pid) for pid in listed.split()]
        assert children and kept(temporary) == ["a"]
        process.send_signal(how)
        status = process.wait(30)
    assert status == (0 if how == signal.SIGINT else -signal.SIGTERM)
    assert list(temporary.iterdir()) == [] and "Traceback" not in printed()
    deadline = time.monotonic() + 10
    while any(map(is_running, children)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_a_killed_server_left_goes_when_the_next_one_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, other = tmp_path / "anatomy_clip_serve_left", tmp_path / "anatomy_clip_other"
    for folder in (left / "study", other):
        folder.mkdir(parents=True)
        (folder.parent / "lock").touch()
        (folder / "file").touch()
    with temporary_folder() as first, temporary_folder() as second:
        assert first != second and first.is_dir() and second.is_dir() and first.stat().st_mode & 0o77 == 0
        assert not left.exists() and (other / "file").exists()
    assert not first.exists() and not second.exists()


def test_a_process_that_dies_is_told_and_replaced(bundle_folder, tmp_path):
    engine = Engine(bundle_folder)
    engine.start()
    first = engine._process.pid
    threading.Timer(0.5, os.kill, (first, signal.SIGKILL)).start()
    try:
        with pytest.raises(EngineError, match="try again"):
            engine.compare(np.zeros((8, 8), np.uint8), ["a", "b"])
        engine.start()
        assert engine._process.pid != first and engine._process.is_alive()
    finally:
        engine.close()
    assert not engine._process.is_alive()
    with pytest.raises(EngineError, match="shut down"):
        engine.compare(np.zeros((8, 8), np.uint8), ["a", "b"])


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def settings(**changes):
    plain = {"bundle": None, "host": "127.0.0.1", "port": 0, "max_upload": 1, "max_files": 1}
    return argparse.Namespace(**plain | changes)


def test_what_it_needs_is_named(monkeypatch, bundle_folder, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=rf"port {port} is used.*--port"):
            serve.run(settings(bundle=bundle_folder, port=port))
    with pytest.raises(ValueError, match=r"--port 70000: give a port"):
        serve.run(settings(bundle=bundle_folder, port=70000))
    with pytest.raises(ValueError, match="--host"):
        serve.run(settings(bundle=bundle_folder, host="203.0.113.7"))
    with pytest.raises(ValueError, match="is not a bundle"):
        serve.run(settings(bundle=tmp_path))
    with pytest.raises(ValueError, match="megabytes=0"):
        serve.run(settings(bundle=bundle_folder, max_upload=0))
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"anatomy_clip\[serve\]"):
        serve.run(settings(bundle=bundle_folder))


def test_the_command_line_knows_it_without_its_libraries():
    code = (
        "import sys, contextlib, anatomy_clip.cli.main as cli\n"
        "with contextlib.suppress(SystemExit): cli.main(['serve', '--help'])\n"
        "print(sorted({'starlette', 'uvicorn', 'torch', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "--max-upload MB" in done.stdout and done.stdout.rstrip().endswith("[]")
