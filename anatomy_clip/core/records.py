"""Slice records and the manifest that holds them: read, checked, split by patient."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from anatomy_clip.core.terms import Modality, Orientation, Protocol

MANIFEST_VERSION = 2  # 2: organs and stations that the source states
_FEW = 20_000  # records that a manifest keeps once made; each takes 3 kB
_AT_ONCE = 1024  # records made at a time of a larger one
_TERMS: Mapping[str, type[StrEnum]] = {"modality": Modality, "protocol": Protocol, "orientation": Orientation}
_AREA = r'"[^"\\\x00-\x1f]+": (0|[1-9]\d{0,11})\.\d{1,2}'
_PLAIN_AREAS = rf"^\{{({_AREA}(, {_AREA})*)?\}}$"  # what is written usually; all else is looked at one by one


@dataclass(frozen=True)
class SliceRecord:
    """What is known of one slice, apart from its pixels.

    Attributes:
        source: collection that the slice comes from.
        split: train, validation, or the name of a test set.
        patient: patient id within the source; never a name. For articles (ROCO) the article id.
        study: study id.
        series: series id.
        index: position of the slice in its series, from 0.
        modality: CT or MR.
        protocol: MR protocol; `Protocol.NONE` for CT.
        orientation: nearest anatomical plane.
        structures: structure name -> area in this slice, mm2.
        spacing_mm: distance between rows and between columns of the source image, mm.
        thickness_mm: slice thickness, mm.
        licence: SPDX id or name of the licence.
        caption: the source's own caption; empty where captions are made by templates.
        organs: organs that the source states (by eye, by level); None: the taxonomy derives them from structures.
        stations: stations that the source states; None: derived as well.
    """

    source: str
    split: str
    patient: str
    study: str
    series: str
    index: int
    modality: Modality
    protocol: Protocol
    orientation: Orientation
    structures: Mapping[str, float] = field(default_factory=dict)
    spacing_mm: tuple[float, float] = (1.0, 1.0)
    thickness_mm: float = 1.0
    licence: str = ""
    caption: str = ""
    organs: tuple[str, ...] | None = None
    stations: tuple[str, ...] | None = None


_FIELDS = tuple(f.name for f in fields(SliceRecord))


class Manifest(Sequence[SliceRecord]):
    """The records of one slice store, in the order of its images; a Parquet table on disk.

    It holds columns and makes a record when one is asked for: records of a large store wouldn't fit in memory.

    Args:
        records: what to hold; areas are rounded to 0.01 mm2.
    """

    def __init__(self, records: Iterable[SliceRecord]) -> None:
        import pyarrow as pa

        self._table = pa.Table.from_pylist([_to_row(record) for record in records], schema=_schema())

    @classmethod
    def join(cls, manifests: Iterable[Manifest]) -> Manifest:
        """One manifest after the other, without a copy."""
        import pyarrow as pa

        return cls._of(pa.concat_tables([_schema().empty_table(), *(one._table for one in manifests)]))

    @classmethod
    def _of(cls, table: Any) -> Manifest:
        manifest = cls.__new__(cls)
        manifest._table = table
        return manifest

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, index: Any) -> Any:
        row = range(len(self))[index]  # raises IndexError
        if isinstance(row, range):
            return self.take(row)
        return self._few[row] if self._few else next(_records(self._table.slice(row, 1)))

    def __iter__(self) -> Iterator[SliceRecord]:
        return iter(self._few) if self._few else _records(self._table)

    @cached_property
    def _few(self) -> tuple[SliceRecord, ...]:
        """All records, made once, where memory holds them easily; else none."""
        return tuple(_records(self._table)) if len(self) <= _FEW else ()

    def take(self, rows: Sequence[int]) -> Manifest:
        """The records of some rows, in the order of the rows."""
        import pyarrow as pa

        return Manifest._of(self._table.take(pa.array(rows, pa.int64())))

    def column(self, name: str) -> list[Any]:
        """One field of every record, as it is stored: terms are strings."""
        values: list[Any] = self._table.column(name).to_pylist()
        return values

    def patients(self) -> frozenset[tuple[str, str]]:
        """The (source, patient) pairs in this manifest."""
        return frozenset(_distinct(self._table, "source", "patient"))

    def first_rows(self) -> dict[tuple[str, str], int]:
        """The first row of every (source, patient) pair."""
        table = self._table.select(["source", "patient"]).append_column("row", [np.arange(len(self))])
        found = table.group_by(["source", "patient"]).aggregate([("row", "min")])
        patients = zip(found.column("source").to_pylist(), found.column("patient").to_pylist(), strict=True)
        return dict(zip(patients, found.column("row_min").to_pylist(), strict=True))

    def write(self, path: Path) -> None:
        """Write the records to a Parquet file."""
        import pyarrow.parquet as pq

        pq.write_table(self._table.replace_schema_metadata({"manifest_version": str(MANIFEST_VERSION)}), path)

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read and check a Parquet manifest.

        Raises:
            ValueError: the file is missing or no Parquet, a column is missing, or a row holds an unknown modality,
                protocol or orientation, a negative area or no patient (the message names file, row and field); or a
                patient stands in two splits.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise ValueError(
                f"{path}: can't be read as a Parquet manifest ({error}); prepare the data again"
            ) from error
        version = (table.schema.metadata or {}).get(b"manifest_version", b"none").decode()
        if version != str(MANIFEST_VERSION):
            raise ValueError(f"{path}: manifest version {version}, expected {MANIFEST_VERSION}; prepare the data again")
        missing = [name for name in _schema().names if name not in table.column_names]
        if missing:
            raise ValueError(f"{path}: column(s) {', '.join(missing)} missing; prepare the data again")
        try:
            table = table.select(_schema().names).cast(_schema())
        except pa.ArrowException as error:
            raise ValueError(f"{path}: a column is of another type ({error}); prepare the data again") from error
        _check_rows(table, path)
        _check_splits(table, path)
        return cls._of(table)


@cache
def _schema() -> Any:
    """The columns: the fields of a record, in their order."""
    import pyarrow as pa

    names = pa.list_(pa.string())
    other = {
        "index": pa.int64(), "spacing_mm": pa.list_(pa.float64()), "thickness_mm": pa.float64(), "organs": names,
        "stations": names,
    }  # fmt: skip
    return pa.schema([(f.name, other.get(f.name, pa.string())) for f in fields(SliceRecord)])


def _distinct(table: Any, *columns: str) -> Iterator[tuple[Any, ...]]:
    found = table.group_by(list(columns)).aggregate([])
    return zip(*(found.column(name).to_pylist() for name in columns), strict=True)


def _check_rows(table: Any, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, term in _TERMS.items():
        row = pc.index(pc.is_in(table[name], pa.array([t.value for t in term])), False).as_py()
        if row >= 0:
            known = ", ".join(repr(t.value) for t in term)
            raise ValueError(f"{path}, row {row}: {name} {table[name][row].as_py()!r} is unknown; known are {known}")
    row = pc.index(pc.fill_null(table["patient"], ""), "").as_py()
    if row >= 0:
        raise ValueError(f"{path}, row {row}: patient is empty; without it data can't be split by patient")
    plain = pc.fill_null(pc.match_substring_regex(table["structures"], _PLAIN_AREAS), False)
    for row in np.flatnonzero(~plain.to_numpy()):
        _check_areas(table["structures"][row].as_py(), f"{path}, row {row}")


def _check_areas(text: str, where: str) -> None:
    try:
        areas = [float(v) for v in json.loads(text).values()]
    except (TypeError, ValueError, AttributeError):
        raise ValueError(f"{where}: structures is no JSON object of areas in mm2") from None
    if any(not np.isfinite(v) or v < 0 for v in areas):
        raise ValueError(f"{where}: structures holds a negative or non-finite area")


def _check_splits(table: Any, path: Path) -> None:
    splits: dict[tuple[str, str], set[str]] = {}
    for source, patient, split in _distinct(table, "source", "patient", "split"):
        splits.setdefault((source, patient), set()).add(split)
    torn = {patient: names for (_, patient), names in splits.items() if len(names) > 1}
    if torn:
        patient = min(torn)
        more = f" (and {len(torn) - 1} more patients)" if len(torn) > 1 else ""
        raise ValueError(
            f"{path}: patient {patient}{more} stands in the splits {', '.join(sorted(torn[patient]))}; "
            "split the data by patient and prepare it again"
        )


def _to_row(record: SliceRecord) -> dict[str, Any]:
    row = {name: getattr(record, name) for name in _FIELDS}
    row["structures"] = json.dumps({k: round(float(v), 2) for k, v in sorted(record.structures.items())})
    row["spacing_mm"] = [float(v) for v in record.spacing_mm]
    return row | {name: str(row[name]) for name in _TERMS}


def _records(table: Any) -> Iterator[SliceRecord]:
    for part in table.to_batches(max_chunksize=_AT_ONCE):
        yield from map(_to_record, *(column.to_pylist() for column in part.columns))


def _to_record(*values: Any) -> SliceRecord:
    row = dict(zip(_FIELDS, values, strict=True))
    row |= {name: term(row[name]) for name, term in _TERMS.items()}
    row["structures"] = {name: float(area) for name, area in json.loads(row["structures"]).items()}
    row["spacing_mm"] = tuple(row["spacing_mm"])
    for name in ("organs", "stations"):
        row[name] = None if row[name] is None else tuple(row[name])
    return SliceRecord(**row)
