"""A client, an engine that is played, and a server as a user starts it."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import numpy as np
import requests

from anatomy_clip.describe.web.engine import Stopped
from anatomy_clip.describe.web.messages import FILES, Comparison, Described

ROOT = Path(__file__).resolve().parents[3]
PLAIN = {"schema": "s", "series": [{"path": "a"}, {"path": "b"}], "rejected": []}


class Client(requests.Session):
    """Speaks to a server as its page does."""

    def __init__(self, address):
        super().__init__()
        self.trust_env = False  # no proxy
        self.address = address.rstrip("/")

    def request(self, method, path, **more):
        return super().request(method, f"{self.address}{path}", timeout=120, **more)

    def begin(self, **question):
        return self.post("/api/studies", json=question).json()["key"]

    def upload(self, key, name, data, **more):
        return self.put(f"/api/studies/{key}/files", data=data, headers={"X-Name": quote(name)}, **more)

    def wait(self, key):
        self.post(f"/api/studies/{key}/describe").raise_for_status()
        return self.over(key)

    def over(self, key):
        for _ in range(3000):
            state = self.get(f"/api/studies/{key}").json()
            if state.get("state") in ("done", "failed"):
                return state
            time.sleep(0.1)
        raise AssertionError(state)

    def describe(self, files):
        """Name -> content, or a folder, to the key of a described study."""
        key = self.begin()
        for name, data in files.items():
            self.upload(key, name, data).raise_for_status()
        assert self.wait(key)["state"] == "done"
        return key


class PlayedEngine:
    """Answers at once, or when `gate` is opened; remembers what it was given."""

    def __init__(self):
        self.gate = threading.Event()
        self.gate.set()
        self.files, self.modality, self.error = {}, "", None

    def start(self):
        pass

    def close(self):
        self.gate.set()

    def describe(self, folder, modality, progress, is_stopped):
        below = folder / FILES
        self.files = {str(p.relative_to(below)): p.read_bytes() for p in below.rglob("*") if p.is_file()}
        self.modality = modality
        progress(0, 2)
        while not self.gate.wait(0.02):
            if is_stopped():
                raise Stopped
        if self.error:
            raise self.error
        progress(2, 2)
        pictures = np.arange(2 * 16, dtype=np.uint8).reshape(2, 4, 4)
        return Described(PLAIN, (pictures, pictures[:1]), (False, True))

    def compare(self, picture, captions):
        if self.error:
            raise self.error
        return Comparison((float(picture[0, 0]), -1.0), (1.0, 0.0))


@contextmanager
def served(*more, bundle, temporary, environment=None):
    """The subcommand in a process of its own; gives (address, process, function that reads what it printed)."""
    temporary.mkdir(exist_ok=True)
    out = temporary.with_name(f"{temporary.name}.log")
    command = [sys.executable, "-m", "anatomy_clip.cli", "serve", "--bundle", str(bundle), "--port", "0", *more]
    with out.open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=ROOT, env=os.environ | {"TMPDIR": str(temporary)} | (environment or {})
        )
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"http://\S+", out.read_text())):
            assert process.poll() is None and time.monotonic() < deadline, out.read_text()
            time.sleep(0.05)
        yield found[0], process, out.read_text
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(30)
