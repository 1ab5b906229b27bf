"""The store: decoded uint8 images and further arrays, memory-mapped, with their manifest; whole or not there."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.files import sha256_of, whole_folder
from anatomy_clip.core.kinds import Kind, Record
from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.records import SLICES
from anatomy_clip.stores.vocabulary import write_vocabulary

STORE_VERSION = 2  # 2: named arrays, digests of the pixels among them
IMAGES, MANIFEST, META = "images.npy", "manifest.parquet", "store.json"
DIGESTS = "digests"  # array of (N, 16) uint8: see `pixel_digest`
MASKS = "masks"  # array of (N, S, S) unsigned, a bit a mask; `store.json` names the masks
_REMEDY = "prepare the data again"
# Of sources that stores of version 1 were made of: name of the class -> name of its config.
_CONFIGS = {
    "PhantomSource": "phantom", "TotalSegmentator": "totalsegmentator", "VisibleHuman": "visible_human",
    "SampleVolumes": "samples", "Folder": "real", "NiftiFolder": "nifti_folder", "DicomFolder": "dicom_folder",
    "Roco": "roco", "RocoV2": "rocov2",
}  # fmt: skip
_TARGET = re.compile(r'"_target_": "anatomy_clip\.sources\.[\w.]*\b(\w+)"')
Stores = str | Path | Sequence[str | Path]  # of one set: a folder, or several whose slices are joined


@dataclass(frozen=True)
class Store:
    """One folder of images.

    Attributes:
        path: the folder.
        images: (N, S, S) uint8, memory-mapped, read-only.
        manifest: the N records, in the same order.
        arrays: name -> N rows, in the same order, memory-mapped, read-only; `DIGESTS` is one of them.
        mask_names: of each bit of `MASKS`; none where the store has no masks.
    """

    path: Path
    images: NDArray[np.uint8]
    manifest: Manifest[Any]
    arrays: Mapping[str, NDArray[Any]]
    mask_names: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: str | Path, verify: bool = False, kind: Kind[Any] | None = SLICES) -> Store:
        """Open a store.

        Args:
            path: its folder.
            verify: check the checksums of its files too, which reads all of them.
            kind: of its records; None takes any.

        Raises:
            ValueError: the folder is no whole store, or its files don't fit each other or their checksums; the
                message names the file and the remedy.
        """
        path = Path(path)
        meta = read_meta(path)
        if verify:
            _verify(path, meta)
        manifest: Manifest[Any] = Manifest.read(path / MANIFEST, kind)
        images, *others = (_load(path / name) for name in (IMAGES, *map(_file, meta["arrays"])))
        if images.dtype != np.uint8 or images.ndim != 3:
            raise ValueError(f"{path / IMAGES}: contains {images.dtype} {images.shape}, not (N, S, S) uint8; {_REMEDY}")
        if not len(images) == len(manifest) == meta["count"]:
            raise ValueError(
                f"{path}: {len(images)} image(s), {len(manifest)} record(s), {meta['count']} expected; {_REMEDY}"
            )
        arrays = dict(zip(meta["arrays"], others, strict=True))
        for name, array in arrays.items():
            if array.shape[:1] != images.shape[:1]:
                raise ValueError(f"{path / _file(name)}: contains {array.shape} for {len(images)} image(s); {_REMEDY}")
        return cls(path, images, manifest, arrays, tuple(meta.get(MASKS, ())))

    def masks(self, row: int) -> dict[str, NDArray[np.bool_]]:
        """Name -> (S, S) mask, of those that were drawn for an image."""
        drawn = self.manifest[row].masks if self.mask_names else ()
        return {name: (self.arrays[MASKS][row] >> self.mask_names.index(name)) & 1 > 0 for name in drawn}


def store_paths(stores: Stores) -> tuple[Path, ...]:
    """The folders of a set's stores."""
    return tuple(Path(path) for path in ([stores] if isinstance(stores, str | Path) else stores))


def images_of(stores: Mapping[str, str | Path]) -> dict[str, NDArray[np.uint8]]:
    """Name -> images, (N, S, S) uint8, of the stores that are there.

    Raises:
        ValueError: a folder that is there is no whole store.
    """
    return {name: Store.open(path, kind=None).images for name, path in stores.items() if Path(path).is_dir()}


def read_meta(path: Path) -> dict[str, Any]:
    """Read a store's `store.json`, which is cheap.

    Raises:
        ValueError: the folder is no store, or one of another version.
    """
    try:
        text = (path / META).read_text()
        meta: dict[str, Any] = json.loads(text)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: this is not a slice store ({type(error).__name__}); {_REMEDY}") from error
    if meta.get("version") != STORE_VERSION:
        target = _TARGET.search(text)
        source = _CONFIGS.get(target[1], "...") if target else "..."
        raise ValueError(
            f"{path / META}: version {meta.get('version')}, expected {STORE_VERSION}; {_REMEDY}, with the options that "
            f"it was made with: anatomy-clip prepare source={source} paths.data={path.parent.parent}"
        )
    return meta


def pixel_digest(image: NDArray[np.uint8]) -> bytes:
    """Digest of an image's shape and pixels, 16 bytes."""
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16, key=str(image.shape).encode()).digest()


def pack_masks(masks: Mapping[str, NDArray[np.bool_]], names: Sequence[str], side: int) -> NDArray[Any]:
    """Masks, (side, side) each, as bits of one unsigned array (side, side); the first name is the lowest bit.

    Raises:
        ValueError: there are more than 32 names, or a mask without one.
    """
    unknown = sorted(set(masks) - set(names))
    if unknown or len(names) > 32:
        said = ", ".join(unknown) or f"{len(names)} names"
        raise ValueError(f"masks: {said}; a source must name its masks beforehand, and at most 32")
    dtype = next(t for t in (np.uint8, np.uint16, np.uint32) if len(names) <= np.iinfo(t).bits)
    packed: NDArray[Any] = np.zeros((side, side), dtype)
    for name, mask in masks.items():
        packed |= mask.astype(packed.dtype) << packed.dtype.type(names.index(name))
    return packed


def write_store(
    path: Path,
    images: NDArray[np.uint8] | Iterable[NDArray[np.uint8]],
    records: Sequence[Record],
    settings: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any] | Iterable[NDArray[Any]]] | None = None,
) -> None:
    """Write a store beside its place, flush it to disk, and rename it; an older one is replaced.

    A store of films with reports gets their vocabulary too.

    Args:
        path: the store's folder.
        images: (N, S, S) uint8, or parts (n, S, S) of it, of which one is in memory at a time.
        records: the N records.
        settings: plain values to keep in `store.json`; `MASKS` among them are the masks' names.
        arrays: name -> N rows, or parts of them as of the images; `DIGESTS` are added to them.

    Raises:
        ValueError: numbers of images, records and rows differ, or there is none, or parts differ in side, or an array
            has the name of another file of a store.
    """
    arrays = dict(arrays or {})
    for name in arrays:
        if not name.isidentifier() or name in ("images", DIGESTS):
            raise ValueError(f"{path}: array {name!r}: give it a name that is one word, not images or {DIGESTS}")
    with whole_folder(path) as partial:
        digests = bytearray()
        side = _write_rows(partial / IMAGES, _images(images, path, digests), len(records), path)[-1]
        arrays[DIGESTS] = np.frombuffer(digests, np.uint8).reshape(-1, 16)
        manifest: Manifest[Any] = records if isinstance(records, Manifest) else Manifest(records)
        manifest.write(partial / MANIFEST)
        names = (IMAGES, MANIFEST, *write_vocabulary(partial, manifest), *map(_file, arrays))
        for name, array in arrays.items():
            _write_rows(partial / _file(name), _parts(array), len(records), path)
        checksums = {name: sha256_of(partial / name) for name in names}
        meta = {"version": STORE_VERSION, "count": len(records), "side": side, "arrays": sorted(arrays)}
        meta["sha256"] = checksums
        (partial / META).write_text(json.dumps(meta | dict(settings), indent=1, sort_keys=True))


def _parts(rows: NDArray[Any] | Iterable[NDArray[Any]]) -> Iterable[NDArray[Any]]:
    return [rows] if isinstance(rows, np.ndarray) else rows


def _images(
    images: NDArray[np.uint8] | Iterable[NDArray[np.uint8]], store: Path, digests: bytearray
) -> Iterator[NDArray[np.uint8]]:
    """Pass the images on and note their digests."""
    side = 0
    for part in _parts(images):
        side = side or part.shape[-1]
        if part.dtype != np.uint8 or part.shape[1:] != (side, side):
            raise ValueError(f"{store}: a part has {part.dtype} {part.shape}, not (n, {side}, {side}) uint8")
        digests += b"".join(map(pixel_digest, part))
        yield part


def _write_rows(file: Path, parts: Iterable[NDArray[Any]], expected: int, store: Path) -> tuple[int, ...]:
    """Write the bytes that `np.save` would write, part by part; returns the shape."""
    count, shape, dtype = 0, (0,), np.dtype(np.void)
    with file.open("wb") as out:
        for part in parts:
            if not count:
                shape, dtype = (expected, *part.shape[1:]), part.dtype
                descr = np.lib.format.dtype_to_descr(dtype)
                np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
            if (part.shape[1:], part.dtype) != (shape[1:], dtype):
                raise ValueError(f"{store}: parts of {file.name} differ: {dtype} {shape} and {part.dtype} {part.shape}")
            out.write(np.ascontiguousarray(part).data)
            count += len(part)
    if count != expected or not count:
        raise ValueError(f"{store}: {count} row(s) in {file.name} do not match {expected} record(s)")
    return shape


def _file(name: str) -> str:
    return f"{name}.npy"


def _load(file: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"{file}: can't be read ({error}); {_REMEDY}") from error
    return array


def _verify(path: Path, meta: Mapping[str, Any]) -> None:
    for name, expected in meta["sha256"].items():
        if sha256_of(path / name) != expected:
            raise ValueError(f"{path / name}: its checksum is not the one recorded when it was written; {_REMEDY}")
