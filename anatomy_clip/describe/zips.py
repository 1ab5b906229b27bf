"""Archives of studies, unpacked within limits into a folder of their own."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from anatomy_clip.core.refusals import Refused

MAX_FILES = 100_000
MAX_BYTES = 16 * 2**30  # unpacked
MAX_RATIO = 200  # unpacked to packed; images don't shrink to a 200th
_FREE = 2**29  # bytes that stay free on the disk
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may ask for gigabytes of memory


def is_zip(head: bytes) -> bool:
    """Whether a file begins as a zip archive does."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def unpack(archive: Path, folder: Path) -> list[PurePosixPath]:
    """Unpack the regular files of an archive.

    Args:
        archive: the file.
        folder: an empty folder.

    Returns:
        Their names below `folder`, which are those in the archive, backslashes made `/`; hidden files are left away.
        A file of the same name as another is kept with its number before its name, unless it is the same file.

    Raises:
        Refused: the archive is damaged, locked, too large, or names files outside of itself.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [one for one in opened.infolist() if not _place(one).endswith("/") and not _hidden(_place(one))]
            _check(members, archive, folder)
            named = _named(members)
            for name, member in named.items():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as packed, target.open("xb") as plain:
                    shutil.copyfileobj(packed, plain)  # zipfile stops at the size that was checked
            return list(named)
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError, zlib.error) as error:
        said = str(error).replace(str(archive), archive.name).replace(f"{folder}{os.sep}", "")
        words = " ".join(f"{type(error).__name__}: {said}".split())
        raise Refused(f"can't be unpacked ({words})", "unpack it yourself, or fetch it again") from error


def _place(member: zipfile.ZipInfo) -> str:
    """Its name with `/`, which old Windows programs write as backslashes."""
    return member.filename.replace("\\", "/")


def _named(members: Sequence[zipfile.ZipInfo]) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """A name for each member, once; an archive that was added to can hold a name twice."""
    named: dict[PurePosixPath, zipfile.ZipInfo] = {}
    times: Counter[PurePosixPath] = Counter()
    known = set()
    for member in members:
        name = PurePosixPath(_place(member))
        if (same := (name, member.CRC, member.file_size)) not in known:
            known.add(same)
            times[name] += 1
            named[name if times[name] == 1 else name.with_name(f"({times[name]}) {name.name}")] = member
    return named


def _check(members: list[zipfile.ZipInfo], archive: Path, folder: Path) -> None:
    total, packed = sum(member.file_size for member in members), archive.stat().st_size
    if len(members) > MAX_FILES or total > MAX_BYTES:
        raise Refused(f"contains {len(members)} files, {total / 1e9:.1f} GB in total", "unpack it yourself")
    if total > MAX_RATIO * packed:
        times = f"{total / packed:.0f} times its size"
        raise Refused(f"its content would be {times}", "this is not usual for images; leave it out")
    if total > shutil.disk_usage(folder).free - _FREE:
        space = f"{total / 1e9:.1f} GB of temporary space"
        raise Refused(f"needs {space}", "free disk space, or set TMPDIR to another disk")
    for member in members:
        plain = PurePosixPath(_place(member))
        if plain.is_absolute() or ".." in plain.parts or "\0" in member.filename:
            raise Refused("contains a file whose path points outside of the archive", "unpack it yourself, with care")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise Refused("contains a symbolic link", "unpack it yourself")
        if member.flag_bits & 1:
            raise Refused("is protected by a password", "unpack it yourself")
        if member.compress_type not in _PLAIN:
            raise Refused("isn't compressed by deflate", "unpack it yourself")


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts if part != "..")
