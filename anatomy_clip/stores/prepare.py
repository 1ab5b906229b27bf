"""Source to slice store: one volume at a time, in worker processes, restartable."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from anatomy_clip.core.files import flush, whole_file, write_text
from anatomy_clip.core.kinds import Record
from anatomy_clip.core.limits import Limits
from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.refusals import Doubt, Refusal
from anatomy_clip.core.workers import run_tasks
from anatomy_clip.stores.selection import Selection
from anatomy_clip.stores.store import MASKS, read_meta, write_store

Read = Callable[[str], Iterator[tuple[Any, Record] | Refusal | Doubt]]
Rendered = tuple["np.ndarray[Any, np.dtype[np.uint8]]", Record, Mapping[str, "np.ndarray[Any, Any]"]]
Render = Callable[[Any, Record], Rendered]
_SHOWN = 3


class Progress(NamedTuple):
    """How far a split is.

    Attributes:
        volumes: that are done, those of an earlier run too.
        images: slices or films that this run made.
        bad: volumes that were refused.
        core_seconds: processor time that this run's images took in their workers, reading, rendering and writing.
    """

    volumes: int
    images: int
    bad: int
    core_seconds: float


@dataclass(frozen=True)
class Summary:
    """What became of a split.

    Attributes:
        images: slices or films in the store.
        volumes: volumes that gave them.
        patients: whose they are.
        refusals: of whole volumes, and of single files out of others.
        doubts: about volumes that were taken.
    """

    images: int
    volumes: int
    patients: int
    refusals: tuple[Refusal, ...]
    doubts: tuple[Doubt, ...] = ()


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
    masks: Sequence[str] = (),
    workers: int,
    max_bad_share: float,
    limits: Limits | None = None,
    selection: Selection | None = None,
    progress: Callable[[Progress], None] = lambda progress: None,
) -> Summary:
    """Write the slices, or films, of all volumes into one store.

    Volumes that are done are kept in `.<store>.parts`, so that a run that was stopped goes on. The store's order
    is that of `volumes`, whatever the number of workers. Volumes that can't be read, crash their worker or use more
    than their limits stand in `<store>_refusals.csv`, and so do doubts about volumes that were taken (kind "note").

    Args:
        read: yields the slices or films of a volume with their records, refusals of files of it, and doubts.
        volumes: keys of the volumes.
        store: folder of the store.
        render: makes of a slice or film and its record a (S, S) uint8 image, its record, and further rows by name.
        settings: what decides the content; kept in the store with its digest.
        masks: names of the masks that `render` gives as bits of the row `MASKS`.
        workers: worker processes; 0 = this process, where no limit holds.
        max_bad_share: share of the volumes that may be refused, but at least one; work stops as soon as there are more.
            0: none may be.
        limits: time and memory for one volume.
        selection: which slices are taken.
        progress: told after each volume how far the split is.

    Raises:
        ValueError: no slice came out, or more volumes than allowed were refused.
    """
    expected = digest(settings)
    parts = store.with_name(f".{store.name}.parts")
    if not (parts / expected).exists():
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
        (parts / expected).touch()
    one = partial(_one, read, render, selection or Selection(), volumes, parts)
    bad = _work(one, volumes, parts, workers, limits, partial(_check_share, volumes, max_bad_share, store), progress)
    good = [n for n in range(len(volumes)) if n not in bad]
    records: Manifest[Any] = Manifest.join(Manifest.read(parts / f"{n}.parquet") for n in good)
    if not len(records):
        raise ValueError(f"{store}: {len(volumes)} volume(s) gave no image")
    told = [one for n in range(len(volumes)) for one in _told(bad.get(n), parts / f"{n}.told")]
    _write_table(refusals_of(store), told)
    kept = {"settings": without_paths(settings), "digest": expected} | ({MASKS: list(masks)} if masks else {})
    arrays = {MASKS: (np.load(parts / f"{n}.{MASKS}.npy") for n in good)} if masks else {}
    write_store(store, (np.load(parts / f"{n}.npy") for n in good), records, kept, arrays)
    shutil.rmtree(parts)
    refusals = tuple(one for one in told if isinstance(one, Refusal))
    return Summary(
        len(records), len(good), len(records.patients()), refusals, tuple(one for one in told if isinstance(one, Doubt))
    )


def _work(
    one: Callable[[int], tuple[int, float]],
    volumes: Sequence[str],
    parts: Path,
    workers: int,
    limits: Limits | None,
    check: Callable[[Mapping[int, Refusal]], None],
    progress: Callable[[Progress], None],
) -> dict[int, Refusal]:
    """Do what isn't done yet, and say which volumes (by number) were refused."""
    todo = [n for n in range(len(volumes)) if not (parts / f"{n}.parquet").exists()]
    bad: dict[int, Refusal] = {}
    done, images, core_seconds = len(volumes) - len(todo), 0, 0.0
    outcomes = run_tasks(one, todo, workers, limits)
    try:
        for n, outcome in outcomes:
            done += 1
            if isinstance(outcome, Refusal):
                reason = f"{outcome.where}: {outcome.reason}" if outcome.where else outcome.reason
                bad[n] = Refusal(reason, outcome.remedy, volumes[n])
                check(bad)
            else:
                images, core_seconds = images + outcome[0], core_seconds + outcome[1]
            progress(Progress(done, images, len(bad), core_seconds))
    finally:
        outcomes.close()  # ends its workers now, not when it is collected
    return bad


def _one(
    read: Read, render: Render, selection: Selection, volumes: Sequence[str], parts: Path, n: int
) -> tuple[int, float]:
    """Write the part of one volume; returns its number of images and the processor time that they took, s."""
    begun = time.process_time()
    told: list[Refusal | Doubt] = []
    rendered = (render(*pair) for pair in selection.candidates(_taken(read(volumes[n]), told)))
    taken = selection.spread([one for one in rendered if selection.keeps(one[0])])
    if not taken:
        refused = [one for one in told if isinstance(one, Refusal)]
        files = "".join(f"; {one.where} {one.reason}" for one in refused[:_SHOWN])
        raise ValueError(f"it gave no image{files}; check its labels and the selection, or leave it out")
    if told:
        write_text(parts / f"{n}.told", json.dumps([asdict(one) for one in dict.fromkeys(told)]))
    rows = {"": [image for image, _, _ in taken]} | {f".{k}": [more[k] for _, _, more in taken] for k in taken[0][2]}
    for name, row in rows.items():
        np.save(parts / f"{n}{name}.npy", np.stack(row))
        flush(parts / f"{n}{name}.npy")
    with whole_file(parts / f"{n}.parquet") as partial_file:  # last: its presence says that the volume is done
        Manifest(record for _, record, _ in taken).write(partial_file)
    return len(taken), time.process_time() - begun


def _taken(
    items: Iterable[tuple[Any, Record] | Refusal | Doubt], told: list[Refusal | Doubt]
) -> Iterator[tuple[Any, Record]]:
    """Note refusals and doubts; pass on the rest."""
    for item in items:
        if isinstance(item, Refusal | Doubt):
            told.append(item)
        else:
            yield item


def _told(volume: Refusal | None, files: Path) -> Iterator[Refusal | Doubt]:
    if volume:
        yield volume
    elif files.exists():
        yield from (Refusal(**one) if "remedy" in one else Doubt(**one) for one in json.loads(files.read_text()))


def _check_share(volumes: Sequence[str], allowed: float, store: Path, bad: Mapping[int, Refusal]) -> None:
    if len(bad) > (max(1, allowed * len(volumes)) if allowed else 0):
        table = refusals_of(store)
        _write_table(table, [bad[n] for n in sorted(bad)])
        first = "; ".join(f"{bad[n].where}: {bad[n].reason}" for n in sorted(bad)[:_SHOWN])
        raise ValueError(
            f"{store}: {len(bad)} of {len(volumes)} volume(s) could not be read, more than "
            f"max_bad_share={allowed}: {first}; {table} lists all that were refused so far"
        )


def refusals_of(store: Path) -> Path:
    """The table of a store's refusals and doubts, beside it."""
    return store.with_name(f"{store.name}_refusals.csv")


def _write_table(path: Path, told: Sequence[Refusal | Doubt]) -> None:
    # Beside the store, not in it: reasons name files, and a store is passed on.
    if not told:
        path.unlink(missing_ok=True)
        return
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["volume", "kind", "reason", "remedy"])
        for one in told:
            kind, remedy = ("refused", one.remedy) if isinstance(one, Refusal) else ("note", "")
            writer.writerow((one.where, kind, one.reason, remedy))
