"""The guard against leakage: it finds patients, in any spelling, and slices of equal pixels that are in two stores.

Patient ids are compared within a source, since two collections number their patients alike. Ids that name their own
collection (`COLLECTIONS`), and articles of PubMed Central, are compared across sources too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.pseudonyms import Pseudonyms
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.stores.store import DIGESTS, Store

# Words by which ids of public collections begin: such an id means one patient, whichever source gives it.
COLLECTIONS = tuple("acrin amos brats hnscc ispy ixi lidc lndb oas qin rider tcga ucsf upenn verse".split())
_RUNS = re.compile(r"\d+|[^\W\d_]+")
_COLLECTION = re.compile(rf"(?:sub )?((?:{'|'.join(COLLECTIONS)}) .*\d.*)")
_ARTICLE = re.compile(r"(?:(?:pmc|pmcid) )+(\d+)\b.*")  # "PMCID: PMC0012.1" and "PMC12_fig3.jpg" are article 12
_ARTICLE_SOURCES = ("roco", "rocov2")  # in which a patient is an article, its number alone too
_CONTENT = 0.01  # share of a slice's pixels that differ from its commonest value; below, it says nothing of a patient
_SHOWN = 4  # leaks that a refusal names
_Whose = tuple[str, str, str, str]  # store, source, split, patient
_Roles = Mapping[str, Collection[str]] | None


@dataclass(frozen=True)
class Place:
    """Where a slice lies; its text holds no id of the patient's.

    Attributes:
        store: name that the store was given.
        row: row in its manifest.
        record: that row.
    """

    store: str
    row: int
    record: SliceRecord

    def __str__(self) -> str:
        return f"{self.store}, row {self.row} ({self.record.source}/{self.record.split})"


@dataclass(frozen=True)
class Leak:
    """Something that stands in two places and should stand in one.

    Attributes:
        reason: what is the same.
        first: the first place.
        second: the other one.
        slices: different slices that are shared; 0 for patients.
    """

    reason: str
    first: Place
    second: Place
    slices: int = 0

    def __str__(self) -> str:
        return f"{self.reason}: {self.first}; {self.second}"


def leaks(
    stores: Mapping[str, Store], roles: Mapping[str, Collection[str]] | None = None, across_sources: bool = False
) -> list[Leak]:
    """Find patients that stand in two stores, and slices that stand in two stores or under two patients.

    Slices that hardly show anything (fewer than 1 % of the pixels differ from the commonest value) are equal by
    themselves and don't count. Pixels are compared by their digests, so slices of another size are other slices.

    Args:
        stores: name -> store.
        roles: name -> what the store is used for, such as training and testing; two stores are compared where they
            have different roles between them, and a store isn't compared with itself. None: all are compared, and the
            patients of one store too.
        across_sources: compare all patient ids of different sources. They may be equal by chance.

    Returns:
        One leak for each patient and pair of stores, then one for each pair of (store, patient) with equal slices.
    """
    return [*_patient_leaks(stores, roles, across_sources), *_pixel_leaks(stores, roles)]


def refuse_leaks(stores: Mapping[str, Store], roles: Mapping[str, Collection[str]]) -> None:
    """Refuse stores of different roles that share a patient or a slice, see `leaks`.

    Raises:
        ValueError: names the stores and rows of the first leaks, and says what to do.
    """
    found = leaks(stores, roles)
    if found:
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise ValueError(
            f"leakage: {'; '.join(map(str, found[:_SHOWN]))}{more}. Split these data by patient and prepare them "
            "again, or leave one of the stores out; anatomy-clip check compares stores in the same way"
        )


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
    return frozenset(pseudonym("patient", *patient_key(source, patient)) for source, patient in patients)


def patient_key(source: str, patient: str, across_sources: bool = False) -> tuple[str, str]:
    """Key of a patient, the same for all spellings of the id.

    Args:
        source: collection that gives the id.
        patient: the id.
        across_sources: take every id for one that means the same in all sources.

    Returns:
        The source, or "" where the id means the same in all sources, and the id in one spelling.
    """
    name = normal_id(patient)
    if source.casefold() in _ARTICLE_SOURCES and name.isdigit():
        name = f"pmc {name}"
    if article := _ARTICLE.fullmatch(name):
        return "", f"pmc {article[1]}"
    if collection := _COLLECTION.fullmatch(name):
        return "", collection[1].replace("lidc idri ", "lidc ")
    return "" if across_sources else source, name


def _apart(roles: _Roles, first: str, second: str) -> bool:
    """Whether two stores, or a store and itself, must share nothing."""
    if roles is None:
        return True
    return first != second and len({*roles[first], *roles[second]}) > 1


def _patient_leaks(stores: Mapping[str, Store], roles: _Roles, across_sources: bool) -> Iterator[Leak]:
    rows: dict[tuple[str, str], dict[str, int]] = {}  # patient -> store -> first row
    for name, store in stores.items():
        for (source, patient), row in store.manifest.first_rows().items():
            rows.setdefault(patient_key(source, patient, across_sources), {}).setdefault(name, row)
    for found in rows.values():
        for (name, row), (other, other_row) in combinations(found.items(), 2):
            if _apart(roles, name, other):
                first, second = _place(stores, name, row), _place(stores, other, other_row)
                spelt = "" if first.record.patient == second.record.patient else ", spelled in two ways"
                yield Leak(f"same patient{spelt}", first, second)


def _pixel_leaks(stores: Mapping[str, Store], roles: _Roles) -> Iterator[Leak]:
    pairs: dict[tuple[_Whose, _Whose], list[tuple[Place, Place]]] = {}
    for group in _equal_slices(stores, roles):
        owners: dict[_Whose, Place] = {}
        for place in (_place(stores, name, row) for name, row in group):
            owners.setdefault(_whose(place), place)
        apart = [
            ((a, b), (first, second))
            for (a, first), (b, second) in combinations(owners.items(), 2)
            if _apart(roles, first.store, second.store)
        ]
        if apart and _shows_something(stores[group[0][0]].images[group[0][1]]):
            for owner, places in apart:
                pairs.setdefault(owner, []).append(places)
    for found in pairs.values():
        yield Leak(f"same pixels in {len(found)} slice(s)", *found[0], len(found))


def _equal_slices(stores: Mapping[str, Store], roles: _Roles) -> Iterator[list[tuple[str, int]]]:
    """Groups of (store, row) of equal digests, in the order of their first place; with roles, those of two stores."""
    names, lengths = list(stores), [len(store.manifest) for store in stores.values()]
    if not sum(lengths):
        return
    digests = np.concatenate([store.arrays[DIGESTS] for store in stores.values()])  # (N, 16) uint8
    halves = np.ascontiguousarray(digests).view(np.uint64)  # (N, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0]))  # equal ones side by side, each group in the order of its rows
    owner = np.repeat(np.arange(len(names)), lengths)[order]  # (N,) which store
    changes = (halves[order][1:] != halves[order][:-1]).any(axis=1)
    begin = np.flatnonzero(np.append(True, changes))  # (G,) where each group begins
    end = np.append(begin[1:], len(order))
    one = end - begin == 1 if roles is None else np.maximum.reduceat(owner, begin) == np.minimum.reduceat(owner, begin)
    starts = np.cumsum([0, *lengths])
    for n in sorted(np.flatnonzero(~one), key=lambda group: order[begin[group]]):
        part = slice(begin[n], end[n])
        rows = zip(owner[part], order[part], strict=True)
        yield [(names[store], int(row - starts[store])) for store, row in rows]


def _place(stores: Mapping[str, Store], name: str, row: int) -> Place:
    return Place(name, row, stores[name].manifest[row])


def _whose(place: Place) -> _Whose:
    record = place.record
    return place.store, record.source, record.split, normal_id(record.patient)


def _shows_something(image: NDArray[np.uint8]) -> bool:
    """Whether a slice, (S, S), says anything of a patient; black ones and those of a bare edge don't."""
    return bool(1 - np.bincount(image.ravel()).max() / image.size >= _CONTENT)
