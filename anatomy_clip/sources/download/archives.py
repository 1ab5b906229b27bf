"""Archives of downloaded collections, unpacked whole or not at all."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

_MAX_RATIO = 200  # unpacked to packed bytes; images are packed already


def unpack_zip(archive: Path, folder: Path) -> None:
    """Unpack an archive beside its place, then rename; a folder that wraps all of it is left away.

    Raises:
        ValueError: the archive is damaged, names files outside of itself, or unpacks to absurdly much; or the folder
            holds something already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder}: is not empty; remove its content to unpack {archive.name} again")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            _check(opened, archive)
            opened.extractall(partial)
        inside = list(partial.iterdir())
        if folder.exists():
            folder.rmdir()
        (inside[0] if len(inside) == 1 and inside[0].is_dir() else partial).rename(folder)
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(f"{archive}: can't be unpacked ({error}); delete it and download it again") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check(opened: zipfile.ZipFile, archive: Path) -> None:
    total = sum(info.file_size for info in opened.infolist())
    if total > _MAX_RATIO * archive.stat().st_size:
        raise ValueError(f"{archive}: would unpack to {total / 1e9:.1f} GB, which is not usual for images; check it")
    for name in opened.namelist():
        if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name):
            raise ValueError(
                f"{archive}: contains the file {name!r}, whose path is outside of the archive; check its origin"
            )
