"""A small DICOMweb server on the loopback interface that can misbehave on demand."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pydicom import dcmread

BOUNDARY = "a-boundary"


class FakePacs:
    """Files by UID, and what to do wrong.

    Attributes:
        faults: path ending -> what to do in turn instead of the right thing: a status, "cut", "short", "slow", or bytes
            to answer; the last one stays where it is `...` in second place.
        asked: (method, path, headers) of each request.
        stored: bodies of POST requests; `store_answer` is (status, JSON) to answer them with.
        pages: whether limit and offset are understood.
    """

    def __init__(self, paths=()):
        self.files, self.faults, self.asked, self.stored = {}, {}, [], []
        self.store_answer, self.pages = (200, {}), True
        for path in paths:
            header = dcmread(path, stop_before_pixels=True)
            uids = (header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID)
            self.files[uids] = (header.Modality, path.read_bytes())

    def fault(self, path):
        """The next fault of a path, or None."""
        for end, faults in self.faults.items():
            if path.partition("?")[0].endswith(end) and faults:
                return faults[0] if faults[1:] == [...] else faults.pop(0)
        return None

    def found(self, path):
        """The JSON that answers a search; None for what isn't one."""
        where, _, query = path.partition("?")
        parts = where.strip("/").split("/")[1:]
        if parts[-1] == "series":
            rows = {uids[1]: {"0020000E": one(uids[1]), "00080060": one(modality)}
                    for uids, (modality, _) in self.files.items() if uids[0] == parts[1]}  # fmt: skip
        elif parts[-1] == "instances":
            rows = {uids[2]: {"00080018": one(uids[2])} for uids in self.files if uids[:2] == (parts[1], parts[3])}
        else:
            return None
        options = dict(item.split("=") for item in query.split("&") if "=" in item)
        first, most = int(options.get("offset", 0)), int(options.get("limit", 1000))
        return list(rows.values())[first : first + most] if self.pages else list(rows.values())


def one(value):
    return {"vr": "UI", "Value": [value]}


def part(content):
    head = f"\r\n--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return head + content + f"\r\n--{BOUNDARY}--\r\n".encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, kind="application/dicom+json", promised=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if promised is None else promised))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        pacs = self.server.pacs
        pacs.asked.append(("GET", self.path, dict(self.headers)))
        fault = pacs.fault(self.path)
        if isinstance(fault, int):
            return self.answer(fault, b"<html>PLANTED</html>", "text/html")
        if isinstance(fault, bytes):
            return self.answer(200, fault, "application/dicom+json")
        if fault == "slow":
            time.sleep(1.5)
        rows = pacs.found(self.path)
        if rows is not None:
            return self.answer(200, json.dumps(rows).encode())
        uids = tuple(self.path.strip("/").split("/")[i] for i in (2, 4, 6))
        kind, body = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}', pacs.files[uids][1]
        if fault == "plain":  # as some servers send it
            return self.answer(200, body, "application/dicom")
        whole = part(body)
        if fault == "cut":  # the connection breaks
            self.answer(200, whole[: len(whole) // 2], kind, promised=len(whole))
            self.close_connection = True
            return None
        if fault == "short":  # a proxy that closes in good order
            return self.answer(200, whole[: len(whole) // 2], kind)
        return self.answer(200, whole, kind)

    def do_POST(self):
        pacs = self.server.pacs
        pacs.asked.append(("POST", self.path, dict(self.headers)))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fault = pacs.fault(self.path)
        if isinstance(fault, int):
            return self.answer(fault, b"")
        pacs.stored.append(body)
        status, answer = pacs.store_answer
        return self.answer(status, json.dumps(answer).encode())


@contextmanager
def serving(pacs, tls=None):
    """Serve on a free port of the loopback interface; gives the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.handle_error = lambda *_: None  # clients that hang up are part of the tests
    server.pacs = pacs
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://localhost:{server.server_address[1]}/dicom-web"
    finally:
        server.shutdown()
        server.server_close()
