"""What was asked for -> files, each with the name under which the answer may speak of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Literal

from anatomy_clip.core.refusals import Refusal, Refused
from anatomy_clip.describe import zips
from anatomy_clip.sources.scans.stacks import is_nifti

Kind = Literal["dicom", "nifti", "picture", "dicomdir"]
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


@dataclass(frozen=True)
class Item:
    """One file to read.

    Attributes:
        path: where it lies now; private.
        shown: its name in the answer: what the user gave, and the way on from there.
        kind: how it is read; "dicom" is also what is tried where nothing else fits.
    """

    path: Path = field(repr=False)
    shown: str
    kind: Kind


def gather(paths: Iterable[str | Path], scratch: Callable[[], Path]) -> tuple[list[Item], list[Refusal]]:
    """List the files below what was asked for: folders are walked, archives unpacked.

    Args:
        paths: files and folders.
        scratch: makes an empty folder for an archive's files, which is kept until the answer is used.

    Returns:
        Files in a fixed order, each once, and what can't be read at all. A DICOMDIR that was asked for stands for the
        files that it names, one in a folder for nothing, since those files are found anyway.

    Raises:
        ValueError: nothing was asked for, or a path is missing.
    """
    given = [Path(path) for path in paths]
    if not given:
        raise ValueError("no path was given; give a file or a folder")
    for path in given:
        if not path.exists():
            raise ValueError(f"{path}: no such file or folder; check the path")
    found: dict[Path, Item] = {}
    refusals: list[Refusal] = []
    for path in given:
        for entry in _entries(path, printable(path), scratch, asked=True):
            if isinstance(entry, Refusal):
                refusals.append(entry)
            else:
                found.setdefault(entry.path.absolute(), entry)
    return list(found.values()), refusals


def printable(path: str | PurePath) -> str:
    """A path as text that any program reads: bytes that are no UTF-8, as old discs have them, become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def shown_refusal(item: Item, refusal: Refusal) -> Refusal:
    """The refusal of a file, without a word of where this program keeps it."""
    reason = refusal.reason.removeprefix(f"{item.path}: ").replace(str(item.path), item.shown)
    return Refusal(printable(reason), printable(refusal.remedy.replace(str(item.path), item.shown)), item.shown)


def _entries(
    path: Path, shown: str, scratch: Callable[[], Path] | None, asked: bool = False
) -> Iterator[Item | Refusal]:
    """The files at or below a path; without `scratch`, archives stay closed."""
    if path.is_dir():
        for file in _walk(path):
            yield from _entries(file, str(PurePath(shown) / printable(file.relative_to(path))), scratch)
        return
    if not path.is_file():  # a pipe would be waited for without end
        yield Refusal("is not a regular file", "remove it from the folder", shown)
        return
    try:
        with path.open("rb") as opened:
            head = opened.read(8)
    except OSError as error:
        yield Refusal(f"can't be opened ({type(error).__name__})", "check its permissions", shown)
        return
    if zips.is_zip(head):
        closed = [Refusal("is an archive inside an archive", "unpack it yourself", shown)]
        yield from _unpacked(path, shown, scratch()) if scratch else closed
    elif path.name.upper() == "DICOMDIR":
        if asked:
            yield Item(path, shown, "dicomdir")
    else:
        yield Item(path, shown, _kind(path.name, head))


def _kind(name: str, head: bytes) -> Kind:
    if is_nifti(name):
        return "nifti"
    return "picture" if head.startswith(_PICTURES) else "dicom"


def _unpacked(path: Path, shown: str, folder: Path) -> Iterator[Item | Refusal]:
    try:
        names = zips.unpack(path, folder)
    except Refused as error:
        yield error.at(shown).refusal
        return
    for name in names:
        yield from _entries(folder / name, str(PurePath(shown) / printable(name)), None)


def _walk(folder: Path) -> Iterator[Path]:
    """Files in a fixed order, without hidden ones; linked folders aren't followed."""
    for here, below, names in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (Path(here, name) for name in sorted(names) if not name.startswith("."))


def common(shown: Sequence[str]) -> str:
    """The name of what several files make together: the file, or the folder that holds all of them."""
    names = list(dict.fromkeys(shown))
    if len(names) == 1:
        return names[0]
    if len({os.path.isabs(name) for name in names}) > 1:  # asked for in both ways: they have no name in common
        return os.path.dirname(names[0]) or "."
    return os.path.commonpath(names) or "."
