"""Reads what an offline run of Weights & Biases wrote: records, and everything that lies beside them."""

import json
import struct
import time
from pathlib import Path

_BLOCK = 32768  # a LevelDB log: blocks of this size, a header of checksum, length and kind before each piece
_WHOLE, _LAST = 1, 4


def records(path):
    """Every record of a `.wandb` file."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, piece = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        left = _BLOCK - place % _BLOCK
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        if left < 7 or not kind:  # what is left of a block is filled with zeros
            place += left
            continue
        if place + 7 + length > len(data):
            return  # it is still being written
        piece += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (_WHOLE, _LAST):
            record = Record()
            record.ParseFromString(piece)
            yield record
            piece = b""


def offline_runs(folder):
    """Folders of offline runs, those of training before those of review."""
    return sorted(Path(folder).rglob("offline-run-*"), key=lambda path: ("review" in path.parts, path.name))


def record_of(run, seconds=60):
    """The records of one offline folder, once its last one is written: that is done beside us, after the run's end."""
    (path,) = run.glob("run-*.wandb")
    until = time.monotonic() + seconds
    while True:
        found = list(records(path))
        if any(record.HasField("exit") for record in found):
            return found
        assert time.monotonic() < until, f"{path.name}: no record of the run's end after {seconds} s"
        time.sleep(0.1)


def values(run, kind):
    """Last value of every key of a kind of record: `summary`, `config` or `history`."""
    found = {}
    for record in record_of(run):
        items = []
        if record.WhichOneof("record_type") == kind:
            items = record.history.item if kind == "history" else getattr(record, kind).update
        elif kind == "config" and record.HasField("run"):  # what the run was started with
            items = record.run.config.update
        for item in items:
            found["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
    return found


def artifacts(run):
    """The artifact records of a run."""
    return [record.artifact for record in record_of(run) if record.WhichOneof("record_type") == "artifact"]


def table(run, key):
    """A table that was logged under a key, as (columns, rows)."""
    (artifact,) = (a for a in artifacts(run) if a.type == "run_table" and a.name.endswith(f"-{key}"))
    (entry,) = (e for e in artifact.manifest.contents if e.path.endswith(".table.json"))
    content = json.loads((run / entry.local_path).read_text())
    return content["columns"], content["data"]
