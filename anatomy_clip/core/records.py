"""Slice records and the manifest that holds them: read, check, split by patient, guard against leakage."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from anatomy_clip.core.terms import Modality, Orientation, Protocol

MANIFEST_VERSION = 2  # 2: organs and stations that the source states
_SHOWN = 5  # ids named in one error message


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


class Manifest(Sequence[SliceRecord]):
    """The records of one slice store, in the order of its images; a Parquet table on disk."""

    def __init__(self, records: Iterable[SliceRecord]) -> None:
        self.records = tuple(records)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: Any) -> Any:
        return self.records[index]

    def __iter__(self) -> Iterator[SliceRecord]:
        return iter(self.records)

    def patients(self) -> frozenset[tuple[str, str]]:
        """The (source, patient) pairs in this manifest."""
        return frozenset((record.source, record.patient) for record in self.records)

    def write(self, path: Path) -> None:
        """Write the records to a Parquet file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = [_to_row(record) for record in self.records]
        columns = {f.name: [row[f.name] for row in rows] for f in fields(SliceRecord)}
        table = pa.table(columns).replace_schema_metadata({"manifest_version": str(MANIFEST_VERSION)})
        pq.write_table(table, path)

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
        missing = [f.name for f in fields(SliceRecord) if f.name not in table.column_names]
        if missing:
            raise ValueError(f"{path}: column(s) {', '.join(missing)} missing; prepare the data again")
        records = [_from_row(row, f"{path}, row {n}") for n, row in enumerate(table.to_pylist())]
        _check_splits(records, path)
        return cls(records)


def check_leakage(manifests: Mapping[str, Manifest]) -> None:
    """Refuse a patient (or article) that stands in two of the named manifests.

    Raises:
        ValueError: names the two manifests and the first patients that they share.
    """
    for (name_a, a), (name_b, b) in combinations(manifests.items(), 2):
        shared = sorted(patient for _, patient in a.patients() & b.patients())
        if shared:
            more = f" and {len(shared) - _SHOWN} more" if len(shared) > _SHOWN else ""
            raise ValueError(
                f"leakage: patient(s) {', '.join(shared[:_SHOWN])}{more} stand in both '{name_a}' and '{name_b}'; "
                "split the data by patient and prepare it again"
            )


def _check_splits(records: Iterable[SliceRecord], path: Path) -> None:
    splits: dict[tuple[str, str], set[str]] = {}
    for record in records:
        splits.setdefault((record.source, record.patient), set()).add(record.split)
    torn = {patient: names for (_, patient), names in splits.items() if len(names) > 1}
    if torn:
        patient = min(torn)
        more = f" (and {len(torn) - 1} more patients)" if len(torn) > 1 else ""
        raise ValueError(
            f"{path}: patient {patient}{more} stands in the splits {', '.join(sorted(torn[patient]))}; "
            "split the data by patient and prepare it again"
        )


def _to_row(record: SliceRecord) -> dict[str, Any]:
    row = {f.name: getattr(record, f.name) for f in fields(SliceRecord)}
    row["structures"] = json.dumps({k: round(float(v), 2) for k, v in sorted(record.structures.items())})
    row["spacing_mm"] = [float(v) for v in record.spacing_mm]
    return row | {name: str(row[name]) for name in ("modality", "protocol", "orientation")}


def _from_row(row: dict[str, Any], where: str) -> SliceRecord:
    terms = {"modality": Modality, "protocol": Protocol, "orientation": Orientation}
    for name, term in terms.items():
        try:
            row[name] = term(row[name])
        except ValueError:
            known = ", ".join(repr(t.value) for t in term)
            raise ValueError(f"{where}: {name} {row[name]!r} is unknown; known are {known}") from None
    if not row["patient"]:
        raise ValueError(f"{where}: patient is empty; without it data can't be split by patient")
    try:
        structures = {str(k): float(v) for k, v in json.loads(row["structures"]).items()}
    except (TypeError, ValueError, AttributeError):
        raise ValueError(f"{where}: structures is no JSON object of areas in mm2") from None
    if any(not np.isfinite(v) or v < 0 for v in structures.values()):
        raise ValueError(f"{where}: structures holds a negative or non-finite area")
    said = {name: None if row[name] is None else tuple(row[name]) for name in ("organs", "stations")}
    return SliceRecord(**row | said | {"structures": structures, "spacing_mm": tuple(row["spacing_mm"])})
