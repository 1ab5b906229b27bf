"""The slice store: decoded uint8 slices, memory-mapped, with their manifest; whole or not there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.files import sha256_of, whole_folder
from anatomy_clip.core.records import Manifest, SliceRecord

STORE_VERSION = 1
IMAGES, MANIFEST, META = "images.npy", "manifest.parquet", "store.json"
_REMEDY = "prepare the data again"
Stores = str | Path | Sequence[str | Path]  # of one set: a folder, or several whose slices are joined


@dataclass(frozen=True)
class SliceStore:
    """One folder of slices.

    Attributes:
        path: the folder.
        images: (N, S, S) uint8, memory-mapped, read-only.
        manifest: the N records, in the same order.
    """

    path: Path
    images: NDArray[np.uint8]
    manifest: Manifest

    @classmethod
    def open(cls, path: str | Path, verify: bool = False) -> SliceStore:
        """Open a store.

        Args:
            path: its folder.
            verify: check the checksums of its files too, which reads all of them.

        Raises:
            ValueError: the folder is no whole store, or its files don't fit each other or their checksums; the
                message names the file and the remedy.
        """
        path = Path(path)
        meta = read_meta(path)
        if verify:
            _verify(path, meta)
        manifest = Manifest.read(path / MANIFEST)
        try:
            images = np.load(path / IMAGES, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path / IMAGES}: can't be read ({error}); {_REMEDY}") from error
        if images.dtype != np.uint8 or images.ndim != 3:
            raise ValueError(f"{path / IMAGES}: holds {images.dtype} {images.shape}, not (N, S, S) uint8; {_REMEDY}")
        if not len(images) == len(manifest) == meta["count"]:
            raise ValueError(
                f"{path}: {len(images)} image(s), {len(manifest)} record(s), {meta['count']} expected; {_REMEDY}"
            )
        return cls(path, images, manifest)


def store_paths(stores: Stores) -> tuple[Path, ...]:
    """The folders of a set's stores."""
    return tuple(Path(path) for path in ([stores] if isinstance(stores, str | Path) else stores))


def images_of(stores: Mapping[str, str | Path]) -> dict[str, NDArray[np.uint8]]:
    """Name -> images, (N, S, S) uint8, of the stores that are there.

    Raises:
        ValueError: a folder that is there is no whole store.
    """
    return {name: SliceStore.open(path).images for name, path in stores.items() if Path(path).is_dir()}


def read_meta(path: Path) -> dict[str, Any]:
    """Read a store's `store.json`, which is cheap.

    Raises:
        ValueError: the folder is no store, or one of another version.
    """
    try:
        meta: dict[str, Any] = json.loads((path / META).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: no slice store there ({type(error).__name__}); {_REMEDY}") from error
    if meta.get("version") != STORE_VERSION:
        raise ValueError(f"{path / META}: version {meta.get('version')}, expected {STORE_VERSION}; {_REMEDY}")
    return meta


def write_store(
    path: Path,
    images: NDArray[np.uint8] | Iterable[NDArray[np.uint8]],
    records: Sequence[SliceRecord],
    settings: Mapping[str, Any],
) -> None:
    """Write a store beside its place, flush it to disk, and rename it; an older one is replaced.

    Args:
        path: the store's folder.
        images: (N, S, S) uint8, or parts (n, S, S) of it, of which one is in memory at a time.
        records: the N records.
        settings: plain values to keep in `store.json`.

    Raises:
        ValueError: numbers of images and records differ, or there is none, or parts differ in side.
    """
    with whole_folder(path) as partial:
        side = _write_images(partial / IMAGES, images, len(records), path)
        Manifest(records).write(partial / MANIFEST)
        checksums = {name: sha256_of(partial / name) for name in (IMAGES, MANIFEST)}
        meta = {"version": STORE_VERSION, "count": len(records), "side": side, "sha256": checksums}
        (partial / META).write_text(json.dumps(meta | dict(settings), indent=1, sort_keys=True))


def _write_images(
    file: Path, images: NDArray[np.uint8] | Iterable[NDArray[np.uint8]], expected: int, store: Path
) -> int:
    """Write the bytes that `np.save` would write, part by part; returns the side."""
    count = side = 0
    with file.open("wb") as out:
        for part in [images] if isinstance(images, np.ndarray) else images:
            if not count:
                side = part.shape[-1]
                header = {"descr": "|u1", "fortran_order": False, "shape": (expected, side, side)}
                np.lib.format.write_array_header_1_0(out, header)
            if part.dtype != np.uint8 or part.shape[1:] != (side, side):
                raise ValueError(f"{store}: a part holds {part.dtype} {part.shape}, not (n, {side}, {side}) uint8")
            out.write(np.ascontiguousarray(part).data)
            count += len(part)
    if count != expected or not count:
        raise ValueError(f"{store}: {count} image(s) and {expected} record(s) make no store")
    return side


def _verify(path: Path, meta: Mapping[str, Any]) -> None:
    for name, expected in meta["sha256"].items():
        if sha256_of(path / name) != expected:
            raise ValueError(f"{path / name}: its checksum isn't the one that it was written with; {_REMEDY}")
