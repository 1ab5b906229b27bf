"""Folders of files that are there whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(folder: Path, *, overwrite: bool, option: str) -> Iterator[Path]:
    """Give a folder beside the target to write into, which takes its place once all went well.

    Args:
        folder: the target; its parents are made.
        overwrite: replace it if it is there.
        option: what the user adds to have it replaced, for the message.

    Raises:
        ValueError: the target is there already.
    """
    if folder.exists() and not overwrite:
        raise ValueError(f"{folder}: is there already; add {option} to replace it")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
