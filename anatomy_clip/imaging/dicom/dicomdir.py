"""The files that a DICOMDIR (PS3.10, Basic Directory) names."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path, PurePosixPath

import pydicom
from pydicom.tag import Tag

from anatomy_clip.core.refusals import Refused
from anatomy_clip.imaging.dicom.refusing import refusing

MAX_BYTES = 2**28  # of a directory; one of 100,000 images has about 50 MB
_TAGS = ("DirectoryRecordSequence", "ReferencedFileID")


def referenced_files(path: Path) -> list[Path]:
    """Read which files a DICOMDIR names.

    Returns:
        Paths from the DICOMDIR's folder, in the order of its records; none leaves that folder.

    Raises:
        Refused: it is no DICOMDIR, is damaged or too large, or names files outside of its folder.
    """
    with refusing("can't be read as a DICOMDIR"):
        if path.stat().st_size > MAX_BYTES:
            raise Refused(f"is larger than {MAX_BYTES} bytes", "give the folder itself")
        records = pydicom.dcmread(path, specific_tags=[Tag(tag) for tag in _TAGS]).get("DirectoryRecordSequence")
        if records is None:
            raise Refused("has no Directory Record Sequence (0004,1220)", "give the folder itself")
        named = [_path(record.ReferencedFileID) for record in records if record.get("ReferencedFileID")]
    return list(dict.fromkeys(named))


def finder(root: Path) -> Callable[[Path], Path | None]:
    """Make a function that finds files which a DICOMDIR names, as they lie below its folder.

    A disc's files may have been copied in lower case, with the ending .dcm, or with a version behind (`IM0001.;1`).

    Args:
        root: the folder of the DICOMDIR.

    Returns:
        A function from a path as the DICOMDIR has it to the one that is there, both below the folder, or None.
    """

    @cache
    def entries(folder: Path) -> dict[str, str]:
        return {_plain(name): name for name in sorted(os.listdir(folder), reverse=True)}

    def find(named: Path) -> Path | None:
        found = Path()
        for part in named.parts:
            if not (root / found / part).exists():
                known = entries(root / found).get(_plain(part)) if (root / found).is_dir() else None
                if known is None:
                    return None
                part = known
            found /= part
        return found if (root / found).is_file() else None

    return find


def _plain(name: str) -> str:
    return name.casefold().partition(";")[0].removesuffix(".dcm").rstrip(".")


def _path(components: object) -> Path:
    parts = [components] if isinstance(components, str) else [str(part) for part in components]  # type: ignore[attr-defined]
    plain = PurePosixPath(*parts)
    if plain.is_absolute() or ".." in plain.parts or any("\\" in part or "\0" in part for part in parts):
        raise Refused("lists a file outside of its folder", "give the folder itself")
    return Path(plain)
