"""Files and folders that are there whole or not at all, and their checksums."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a file beside the target to write, which takes its place, flushed to the disk, once all went well."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        flush(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    flush(path.parent)  # the rename itself is on the disk only then


def write_text(path: Path, text: str) -> None:
    """Write a text, UTF-8, so that the path holds the old one or the new one, never half of it."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def whole_folder(folder: Path, *, unless: str | None = None) -> Iterator[Path]:
    """Give a folder beside the target to write into, which takes its place, flushed to the disk, once all went well.

    Args:
        folder: the target; its parents are made.
        unless: what the user adds to have a folder replaced that is there already; None: it is replaced.

    Raises:
        ValueError: the target is there already, and isn't to be replaced.
    """
    if unless is not None and folder.exists():
        raise ValueError(f"{folder}: is there already; add {unless} to replace it")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # the orphan of a process that was killed here
    partial.mkdir(parents=True)
    try:
        yield partial
        for path in sorted(partial.rglob("*")):
            flush(path)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    flush(folder.parent)


def flush(path: Path) -> None:
    """Force what was written to a file, or renamed in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Checksum of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
