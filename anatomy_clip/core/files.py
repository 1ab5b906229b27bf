"""Files and folders that are written completely or not at all, and their checksums."""

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

    The old folder is removed only after the new one stands in its place. Where a process was killed while the two
    changed places, the next call puts the old one back first.

    Args:
        folder: the target; its parents are made.
        unless: what the user adds to have a folder replaced that is there already; None: it is replaced.

    Raises:
        ValueError: the target is there already, and isn't to be replaced.
    """
    if folder.is_symlink():
        folder = folder.resolve()  # what it points to is replaced
    old = folder.with_name(f".{folder.name}.old")
    _put_back(old, folder)
    if unless is not None and folder.exists():
        raise ValueError(f"{folder}: already exists; add {unless} to replace it")
    partial = folder.with_name(f".{folder.name}.partial")
    for orphan in (partial, old):  # of a process that was killed here
        shutil.rmtree(orphan, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        for path in sorted(partial.rglob("*")):
            flush(path)
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
        flush(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        _put_back(old, folder)
    shutil.rmtree(old, ignore_errors=True)


def _put_back(old: Path, folder: Path) -> None:
    if old.is_dir() and not folder.exists():
        old.rename(folder)


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
