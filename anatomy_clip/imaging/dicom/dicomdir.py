"""The files that a DICOMDIR (PS3.10, Basic Directory) names."""

from __future__ import annotations

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
            raise Refused(f"is larger than {MAX_BYTES} bytes", "name the folder itself")
        records = pydicom.dcmread(path, specific_tags=[Tag(tag) for tag in _TAGS]).get("DirectoryRecordSequence")
        if records is None:
            raise Refused("has no Directory Record Sequence (0004,1220)", "name the folder itself")
        named = [_path(record.ReferencedFileID) for record in records if record.get("ReferencedFileID")]
    return list(dict.fromkeys(named))


def _path(components: object) -> Path:
    parts = [components] if isinstance(components, str) else [str(part) for part in components]  # type: ignore[attr-defined]
    plain = PurePosixPath(*parts)
    if plain.is_absolute() or ".." in plain.parts or any("\\" in part or "\0" in part for part in parts):
        raise Refused("names a file outside of its folder", "name the folder itself")
    return Path(plain)
