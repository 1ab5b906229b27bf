"""Archives of studies, unpacked within limits into a folder of their own."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
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
        Their names in the archive, below `folder` too; hidden files are left away.

    Raises:
        Refused: the archive is damaged, locked, too large, or names files outside of itself.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [one for one in opened.infolist() if not one.is_dir() and not _hidden(one.filename)]
            _check(members, archive, folder)
            for member in members:
                target = folder / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as packed, target.open("xb") as plain:
                    shutil.copyfileobj(packed, plain)  # zipfile stops at the size that was checked
            return [PurePosixPath(member.filename) for member in members]
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError, zlib.error) as error:
        words = " ".join(f"{type(error).__name__}: {error}".replace(str(archive), archive.name).split())
        raise Refused(f"can't be unpacked ({words})", "unpack it yourself, or fetch it again") from error


def _check(members: list[zipfile.ZipInfo], archive: Path, folder: Path) -> None:
    total, packed = sum(member.file_size for member in members), archive.stat().st_size
    if len(members) > MAX_FILES or total > MAX_BYTES:
        raise Refused(f"holds {len(members)} files of {total / 1e9:.1f} GB in all", "unpack it yourself")
    if total > MAX_RATIO * packed:
        times = f"{total / packed:.0f} times its size"
        raise Refused(f"would unpack to {times}", "no archive of images does, leave it out")
    if total > shutil.disk_usage(folder).free - _FREE:
        space = f"{total / 1e9:.1f} GB of temporary space"
        raise Refused(f"needs {space}", "make room, or set TMPDIR to another disk")
    for member in members:
        plain = PurePosixPath(member.filename)
        if plain.is_absolute() or ".." in plain.parts or "\\" in member.filename or "\0" in member.filename:
            raise Refused("names a file outside of itself", "it may be made to do harm, leave it out")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise Refused("holds a symbolic link", "unpack it yourself")
        if member.flag_bits & 1:
            raise Refused("is locked by a password", "unpack it yourself")
        if member.compress_type not in _PLAIN:
            raise Refused("isn't compressed by deflate", "unpack it yourself")


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts if part != "..")
