"""Source to slice store: one volume at a time, in worker processes, restartable."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from anatomy_clip.anatomy.records import Manifest, SliceRecord
from anatomy_clip.data.store import read_meta, write_store
from anatomy_clip.imaging.slices import Slice

Read = Callable[[str], Iterator[tuple[Slice, SliceRecord]]]
Render = Callable[[Slice], "np.ndarray[Any, np.dtype[np.uint8]]"]
_SHOWN = 3


@dataclass(frozen=True)
class Report:
    """What became of a split.

    Attributes:
        slices: slices in the store.
        volumes: volumes that gave them.
        quarantine: (volume, reason) of the volumes that were set aside.
    """

    slices: int
    volumes: int
    quarantine: tuple[tuple[str, str], ...]


def digest(settings: Mapping[str, Any]) -> str:
    """Digest of the settings that decide a store's content."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def without_paths(settings: Any) -> Any:
    """Copy settings with every path in them replaced, so that a store names no folder of the machine it was made on."""
    if isinstance(settings, Mapping):
        return {key: without_paths(value) for key, value in settings.items()}
    if isinstance(settings, (list, tuple)):
        return [without_paths(value) for value in settings]
    return "(path)" if isinstance(settings, str) and ("/" in settings or "\\" in settings) else settings


def up_to_date(store: Path, expected: str) -> bool:
    """Whether the store is there, whole, and made with these settings."""
    try:
        return bool(read_meta(store).get("digest") == expected)
    except ValueError:
        return False


def prepare_split(
    read: Read,
    volumes: Sequence[str],
    store: Path,
    render: Render,
    *,
    settings: Mapping[str, Any],
    workers: int,
    max_bad_share: float,
    progress: Callable[[int, int, int], None] = lambda volumes, slices, bad: None,
) -> Report:
    """Write the slices of all volumes into one store.

    Volumes that are done are kept in `.<store>.parts`, so that a run that was stopped goes on. The store's order
    is that of `volumes`, whatever the number of workers. Volumes that can't be read stand in
    `<store>_quarantine.csv`.

    Args:
        read: yields the slices and records of a volume; picklable.
        volumes: keys of the volumes.
        store: folder of the store.
        render: makes a (S, S) uint8 image of a slice; picklable.
        settings: what decides the content; kept in the store with its digest.
        workers: worker processes; 0 = this process.
        max_bad_share: share of the volumes that may be set aside.
        progress: told after each volume how many volumes, slices and bad volumes there are.

    Raises:
        ValueError: no slice came out, or more volumes than allowed were set aside.
    """
    expected = digest(settings)
    parts = store.with_name(f".{store.name}.parts")
    if not (parts / expected).exists():
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
        (parts / expected).touch()
    todo = [n for n in range(len(volumes)) if not (parts / f"{n}.parquet").exists()]
    quarantine: dict[int, str] = {}
    done, slices = len(volumes) - len(todo), 0
    for n, count, reason in _work(read, render, volumes, parts, todo, workers):
        done, slices = done + 1, slices + count
        if reason:
            quarantine[n] = reason
        progress(done, slices, len(quarantine))
    rows = tuple((volumes[n], quarantine[n]) for n in sorted(quarantine))
    _check_share(rows, len(volumes), max_bad_share, store)
    good = [n for n in range(len(volumes)) if n not in quarantine]
    images = [np.load(parts / f"{n}.npy") for n in good]
    records = [record for n in good for record in Manifest.read(parts / f"{n}.parquet")]
    if not records:
        raise ValueError(f"{store}: not one slice came out of {len(volumes)} volume(s)")
    _write_quarantine(store.with_name(f"{store.name}_quarantine.csv"), rows)
    kept = {"settings": without_paths(settings), "digest": expected}
    write_store(store, np.concatenate(images), records, kept)
    shutil.rmtree(parts)
    return Report(len(records), len(good), rows)


def _work(
    read: Read, render: Render, volumes: Sequence[str], parts: Path, todo: Sequence[int], workers: int
) -> Iterator[tuple[int, int, str]]:
    """Yield (volume number, slices, reason for quarantine or nothing) as the volumes get done."""
    if not workers:
        yield from (_one(read, render, volumes[n], parts / str(n), n) for n in todo)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        jobs: list[Future[tuple[int, int, str]]] = [
            pool.submit(_one, read, render, volumes[n], parts / str(n), n) for n in todo
        ]
        try:
            yield from (job.result() for job in as_completed(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _one(read: Read, render: Render, volume: str, part: Path, n: int) -> tuple[int, int, str]:
    try:
        pairs = [(render(image), record) for image, record in read(volume)]
    except Exception as error:  # whatever a reader stumbles over, it costs one volume and is reported
        return n, 0, f"{type(error).__name__}: {error}" if not isinstance(error, ValueError) else str(error)
    if not pairs:
        return n, 0, "no slice was taken from it"
    np.save(part.with_suffix(".npy"), np.stack([image for image, _ in pairs]))
    partial = part.with_suffix(".partial")
    Manifest(record for _, record in pairs).write(partial)
    partial.rename(part.with_suffix(".parquet"))  # last: its presence says that the volume is done
    return n, len(pairs), ""


def _check_share(rows: Sequence[tuple[str, str]], volumes: int, allowed: float, store: Path) -> None:
    if volumes and len(rows) / volumes > allowed:
        first = "; ".join(f"{volume}: {reason}" for volume, reason in rows[:_SHOWN])
        raise ValueError(
            f"{store}: {len(rows)} of {volumes} volume(s) could not be read, more than max_bad_share={allowed}: {first}"
        )


def _write_quarantine(path: Path, rows: Sequence[tuple[str, str]]) -> None:
    # Beside the store, not in it: reasons name files, and a store is passed on.
    if not rows:
        path.unlink(missing_ok=True)
        return
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["volume", "reason"])
        writer.writerows(rows)
