"""Leakage that equal ids don't show: one patient in several spellings, one slice under several names.

Patient ids are compared within a source, since two collections number their patients alike; ids that mean the same
everywhere (PubMed Central articles) are compared across sources too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from anatomy_clip.core.pseudonyms import Pseudonyms
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.stores.store import DIGESTS, SliceStore

_RUNS = re.compile(r"\d+|[^\W\d_]+")
_GLOBAL = re.compile(r"pmc \d+")
_Whose = tuple[str, str, str, str]  # store, source, split, patient


@dataclass(frozen=True)
class Place:
    """Where a slice lies.

    Attributes:
        store: name that the store was given.
        row: row in its manifest.
        record: that row.
    """

    store: str
    row: int
    record: SliceRecord

    def __str__(self) -> str:
        r = self.record
        return f"{self.store}, row {self.row} ({r.source}/{r.split}, patient {r.patient}, series {r.series}, {r.index})"


@dataclass(frozen=True)
class Leak:
    """Something that stands in two places and should stand in one.

    Attributes:
        reason: what is the same.
        first: the first place.
        second: the other one.
        slices: different slices that are shared; 1 for patients.
    """

    reason: str
    first: Place
    second: Place
    slices: int = 1

    def __str__(self) -> str:
        return f"{self.reason}: {self.first}; {self.second}"


def leaks(stores: Mapping[str, SliceStore], across_sources: bool = False) -> list[Leak]:
    """Find patients that stand in two stores, and slices that stand in two stores or under two patients.

    Args:
        stores: name -> store; a patient may stand in one of them only. Join what is trained on together first, or
            leave out leaks between those names.
        across_sources: compare patient ids of different sources too. They may be equal by chance.

    Returns:
        One leak for each patient and pair of stores, and one for each pair of (store, patient) with equal slices.
    """
    return [*_patient_leaks(stores, across_sources), *_pixel_leaks(stores)]


def duplicates(stores: Mapping[str, SliceStore]) -> list[list[Place]]:
    """Group slices whose uint8 pixels are the same, leaving out slices of one grey value.

    Returns:
        Groups that span two or more stores, sources, splits or patients, in the order of their first place.
    """
    rows: dict[bytes, list[tuple[str, int]]] = {}
    for name, store in stores.items():
        for row, digest in enumerate(store.arrays[DIGESTS]):
            rows.setdefault(digest.tobytes(), []).append((name, row))
    repeated = [group for group in rows.values() if len(group) > 1]
    groups = [[Place(name, row, stores[name].manifest[row]) for name, row in group] for group in repeated]
    return [group for group in groups if len({_whose(place) for place in group}) > 1 and not _is_flat(stores, group[0])]


def normal_id(patient: str) -> str:
    """Write a patient id one way.

    Case, spaces, separators (`^`, `-`, `_`, ...), leading zeros and the width of letters don't count; the borders
    between words and numbers do: "1-12" isn't "11-2".
    """
    plain = unicodedata.normalize("NFKC", patient).casefold()
    runs = [run.lstrip("0") or "0" if run.isdigit() else run for run in _RUNS.findall(plain)]
    return " ".join(runs) or plain


def patient_hashes(patients: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Hash patients, (source, id), by the key of the environment: 16 hex digits each, the same for all spellings."""
    pseudonym = Pseudonyms.of_environment()
    return frozenset(pseudonym("patient", *_key(source, patient)) for source, patient in patients)


def _whose(place: Place) -> _Whose:
    record = place.record
    return place.store, record.source, record.split, normal_id(record.patient)


def _key(source: str, patient: str, across_sources: bool = False) -> tuple[str, str]:
    """Key of a patient: the source, where the id means something in it only, and the id."""
    name = normal_id(patient)
    return ("" if across_sources or _GLOBAL.fullmatch(name) else source), name


def _is_flat(stores: Mapping[str, SliceStore], place: Place) -> bool:
    image = stores[place.store].images[place.row]
    return bool(image.min() == image.max())


def _patient_leaks(stores: Mapping[str, SliceStore], across_sources: bool) -> Iterator[Leak]:
    rows: dict[tuple[str, str], dict[str, int]] = {}  # patient -> store -> first row
    for name, store in stores.items():
        patients = zip(store.manifest.column("source"), store.manifest.column("patient"), strict=True)
        for row, (source, patient) in enumerate(patients):
            rows.setdefault(_key(source, patient, across_sources), {}).setdefault(name, row)
    for found in rows.values():
        places = [Place(name, row, stores[name].manifest[row]) for name, row in found.items()]
        for first, second in combinations(places, 2):
            a, b = first.record.patient, second.record.patient
            yield Leak("same patient" if a == b else f"same patient, written {a!r} and {b!r}", first, second)


def _pixel_leaks(stores: Mapping[str, SliceStore]) -> Iterator[Leak]:
    pairs: dict[tuple[_Whose, _Whose], list[tuple[Place, Place]]] = {}
    for group in duplicates(stores):
        owners: dict[_Whose, Place] = {}
        for place in group:
            owners.setdefault(_whose(place), place)
        for (a, first), (b, second) in combinations(owners.items(), 2):
            pairs.setdefault((a, b), []).append((first, second))
    for found in pairs.values():
        yield Leak(f"same pixels in {len(found)} slice(s)", *found[0], len(found))
