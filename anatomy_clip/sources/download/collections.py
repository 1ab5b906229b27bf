"""Where the public collections are to be had, as `collections.yaml` lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from anatomy_clip.sources.download.packages import Package


@dataclass(frozen=True)
class Remote:
    """One file of a collection.

    Attributes:
        url: its address.
        name: its path below the collection's folder.
        bytes: its size, if known.
        hash: "md5:..." or the like, if published.
        unpack: folder below the collection's that the archive is unpacked to; empty for what is no archive.
    """

    url: str
    name: str
    bytes: int | None = None
    hash: str | None = None
    unpack: str = ""


@dataclass(frozen=True)
class Listing:
    """Files that a page lists: those whose name matches the pattern; `files` and `bytes` are about right."""

    index: str
    pattern: str
    folder: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Collection:
    """A public collection.

    Attributes:
        name: name of the collection and of its folder.
        page: web page that describes it.
        licence: SPDX id, or words.
        files: its files.
        listings: pages that list further files.
        packages: packages on the Python package index that carry files of it.
        idc: id of the collection at Imaging Data Commons; empty if it isn't there.
    """

    name: str
    page: str
    licence: str
    files: tuple[Remote, ...] = ()
    listings: tuple[Listing, ...] = ()
    packages: tuple[Package, ...] = ()
    idc: str = ""

    def describe(self) -> list[str]:
        """What would be fetched: one line for the collection, one for each file, package or list of files."""
        known = [*(f.bytes for f in self.files), *(p.bytes for p in self.packages), *(s.bytes for s in self.listings)]
        total = f"about {size(sum(b for b in known if b))}" if all(known) else "not all sizes are known"
        lines = [f"{self.name}: {total}, licence {self.licence}, {self.page}"]
        lines += [f"  {f.name}: {size(f.bytes)}, {f.hash or 'no published hash'}, {f.url}" for f in self.files]
        lines += [
            f"  {p.archive}: {size(p.bytes)}, sha256:{p.sha256}, on the Python package index" for p in self.packages
        ]
        return lines + [f"  {s.folder}: {s.files} files, {size(s.bytes)}, listed at {s.index}" for s in self.listings]


@cache
def collections() -> Mapping[str, Collection]:
    """The collections of `collections.yaml`, by name."""
    import yaml

    text = files("anatomy_clip.sources.download").joinpath("collections.yaml").read_text(encoding="utf-8")
    return {name: _collection(name, part) for name, part in yaml.safe_load(text).items()}


def size(count: int | None) -> str:
    """Word a number of bytes."""
    if count is None:
        return "the size is not known"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _collection(name: str, part: Mapping[str, Any]) -> Collection:
    remotes = tuple(Remote(**item) for item in part.get("files", []))
    listings = tuple(Listing(**item) for item in part.get("listings", []))
    packages = tuple(Package(**item, licence=part["licence"]) for item in part.get("packages", []))
    return Collection(name, part["page"], part["licence"], remotes, listings, packages, part.get("idc", ""))
