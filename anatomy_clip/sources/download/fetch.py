"""The public collections, downloaded: resumed where they stopped, checked, and unpacked.

anatomy-clip download totalsegmentator_ct_small data/raw --dry-run
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from anatomy_clip.core.files import sha256_of, write_text
from anatomy_clip.sources.download.archives import unpack_zip
from anatomy_clip.sources.download.collections import Collection, Listing, Remote, size
from anatomy_clip.sources.download.packages import Unreachable, fetch
from anatomy_clip.sources.download.resume import TIMEOUT_S, TRIES, Resuming

CHECKSUMS = "checksums.json"
_MAX_INDEX = 20_000_000  # bytes of a page that lists files


def fetch_collection(
    collection: Collection,
    root: Path,
    *,
    dry_run: bool = False,
    tries: int = TRIES,
    tell: Callable[[str], None] = print,
) -> list[Path]:
    """Download what isn't there yet, check what is, and unpack archives that aren't unpacked yet.

    A file without a published hash gets its SHA-256 noted in `checksums.json` on its first download, and is checked
    against it from then on.

    Args:
        collection: what to download.
        root: folder of all collections; the files go to `<root>/<name>`.
        dry_run: only tell what would be fetched; touches neither network nor disk.
        tries: connections that may break for one file.
        tell: gets lines of text.

    Returns:
        The files, in order; none of a dry run.

    Raises:
        Unreachable: a file can't be had; what there is of it stays, and the next call goes on from there.
        ValueError: a file has another hash than it should, an archive is bad, or the disk is too small.
    """
    for line in collection.describe():
        tell(line)
    if dry_run:
        return []
    folder = root / collection.name
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [*collection.files, *(remote for listing in collection.listings for remote in _listed(listing))]
    _check_disk(wanted, folder)
    paths = []
    for remote in wanted:
        paths.append(_fetch(remote, folder, tries))
        unpacked = folder / remote.unpack
        if remote.unpack and not (unpacked.is_dir() and any(unpacked.iterdir())):
            unpack_zip(paths[-1], unpacked)
            tell(f"  {remote.name}: unpacked to {unpacked}")
    for package in collection.packages:
        unpacked = fetch(package, folder)
        paths += [unpacked / name for name in package.files]
    return paths


def fetch_idc(collection: Collection, root: Path, dry_run: bool = False) -> Path:
    """Download a collection as DICOM from Imaging Data Commons, by the optional package idc-index.

    Returns:
        The folder that holds the files.

    Raises:
        ValueError: the collection isn't there, or idc-index isn't installed.
    """
    if not collection.idc:
        raise ValueError(f"{collection.name}: it is not at Imaging Data Commons; use fetch_collection")
    try:
        client = import_module("idc_index").IDCClient()
    except ImportError as error:
        raise ValueError("the package idc-index is missing: pip install 'anatomy_clip[idc]'") from error
    folder = root / f"{collection.name}_dicom"
    folder.mkdir(parents=True, exist_ok=True)
    client.download_from_selection(downloadDir=str(folder), collection_id=[collection.idc], dry_run=dry_run)
    return folder


def _fetch(remote: Remote, folder: Path, tries: int) -> Path:
    import requests

    pooch = import_module("pooch")  # it has no types
    pooch.get_logger().setLevel("WARNING")
    path = folder / remote.name
    path.parent.mkdir(parents=True, exist_ok=True)
    noted = _noted(folder)
    expected = remote.hash or noted.get(remote.name)
    if path.is_file() and expected:
        if not pooch.hashes.hash_matches(str(path), expected):
            raise ValueError(f"{path}: its hash isn't {expected}; delete it, and it is downloaded again")
        return path
    part = path.with_name(f".{path.name}.part")
    try:
        pooch.retrieve(remote.url, expected, path.name, path.parent, downloader=Resuming(part, tries))
    except requests.RequestException as error:
        raise Unreachable(
            f"{remote.url} can't be downloaded ({error}); run this again, and it continues from there"
        ) from error
    except ValueError as error:
        raise ValueError(
            f"{path}: the download from {remote.url} does not have the hash {expected}, so it was deleted"
        ) from error
    if not expected:
        _note(folder, noted | {remote.name: f"sha256:{sha256_of(path)}"})
    return path


def _listed(listing: Listing) -> list[Remote]:
    """The files that a page links to, in order of their names."""
    import requests

    try:
        with requests.get(listing.index, stream=True, timeout=TIMEOUT_S) as response:
            response.raise_for_status()
            text = response.raw.read(_MAX_INDEX, decode_content=True).decode("utf-8", errors="replace")
    except requests.RequestException as error:
        raise Unreachable(f"{listing.index} can't be downloaded ({error})") from error
    names = sorted(set(re.findall(rf"(?<![\w.])({listing.pattern})(?![\w.])", text)))
    if not names:
        raise ValueError(
            f"{listing.index}: has no link to a file like {listing.pattern}; the collection may have moved"
        )
    base = listing.index.rsplit("/", 1)[0]
    return [Remote(f"{base}/{name}", f"{listing.folder}/{name}") for name in names]


def _check_disk(wanted: Sequence[Remote], folder: Path) -> None:
    need = sum(remote.bytes or 0 for remote in wanted if not (folder / remote.name).is_file())
    free = shutil.disk_usage(folder).free
    if need > free:
        raise ValueError(f"{folder}: {size(need)} are needed, {size(free)} are free; choose a larger disk")


def _noted(folder: Path) -> dict[str, str]:
    path = folder / CHECKSUMS
    try:
        return dict(json.loads(path.read_text())) if path.is_file() else {}
    except ValueError as error:
        raise ValueError(
            f"{path}: is not a JSON object of hashes ({error}); delete it, and the hashes are recorded again"
        ) from error


def _note(folder: Path, hashes: Mapping[str, str]) -> None:
    write_text(folder / CHECKSUMS, json.dumps(hashes, indent=1, sort_keys=True))
