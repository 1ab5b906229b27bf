"""The manifest of a store: its records as the columns of a Parquet table; read, checked, split by patient."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any, Generic

import numpy as np

from anatomy_clip.core.kinds import Kind, R
from anatomy_clip.core.radiographs import RADIOGRAPHS
from anatomy_clip.core.records import SLICES

KINDS: tuple[Kind[Any], ...] = (SLICES, RADIOGRAPHS)
_FEW = 20_000  # records that a manifest keeps once made; each takes 3 kB
_AT_ONCE = 1024  # records made at a time of a larger one


class Manifest(Sequence[R], Generic[R]):
    """The records of one store, all of one kind, in the order of its images; a Parquet table on disk.

    It holds columns and makes a record when one is asked for: records of a large store wouldn't fit in memory.

    Args:
        records: what to hold; areas are rounded to 0.01 mm2.
    """

    kind: Kind[R]

    def __init__(self, records: Iterable[R]) -> None:
        import pyarrow as pa

        first = list(islice(iterator := iter(records), 1))
        self.kind = next(kind for kind in KINDS if not first or isinstance(first[0], kind.record))
        rows = [_to_row(record, self.kind) for record in chain(first, iterator)]
        self._table = pa.Table.from_pylist(rows, schema=self.kind.schema())

    @classmethod
    def join(cls, manifests: Iterable[Manifest[R]]) -> Manifest[R]:
        """One manifest after the other, without a copy; all of one kind."""
        import pyarrow as pa

        parts = list(manifests)
        return cls._of(pa.concat_tables([one._table for one in parts]), parts[0].kind) if parts else cls(())

    @classmethod
    def _of(cls, table: Any, kind: Kind[R]) -> Manifest[R]:
        manifest = cls.__new__(cls)
        manifest._table, manifest.kind = table, kind
        return manifest

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __getitem__(self, index: Any) -> Any:
        row = range(len(self))[index]  # raises IndexError
        if isinstance(row, range):
            return self.take(row)
        return self._few[row] if self._few else next(_records(self._table.slice(row, 1), self.kind))

    def __iter__(self) -> Iterator[R]:
        return iter(self._few) if self._few else _records(self._table, self.kind)

    @cached_property
    def _few(self) -> tuple[R, ...]:
        """All records, made once, where memory holds them easily; else none."""
        return tuple(_records(self._table, self.kind)) if len(self) <= _FEW else ()

    def take(self, rows: Sequence[int]) -> Manifest[R]:
        """The records of some rows, in the order of the rows."""
        import pyarrow as pa

        return Manifest._of(self._table.take(pa.array(rows, pa.int64())), self.kind)

    def column(self, name: str) -> list[Any]:
        """One field of every record, as it is stored: terms are strings."""
        values: list[Any] = self._table.column(name).to_pylist()
        return values

    def patients(self) -> frozenset[tuple[str, str]]:
        """The (source, patient) pairs in this manifest."""
        return frozenset(_distinct(self._table, "source", "patient"))

    def owners(self) -> list[tuple[str, str]]:
        """The (source, patient) of every record."""
        return list(zip(self.column("source"), self.column("patient"), strict=True))

    def first_rows(self) -> dict[tuple[str, str], int]:
        """The first row of every (source, patient) pair."""
        table = self._table.select(["source", "patient"]).append_column("row", [np.arange(len(self))])
        found = table.group_by(["source", "patient"]).aggregate([("row", "min")])
        patients = zip(found.column("source").to_pylist(), found.column("patient").to_pylist(), strict=True)
        return dict(zip(patients, found.column("row_min").to_pylist(), strict=True))

    def write(self, path: Path) -> None:
        """Write the records to a Parquet file."""
        import pyarrow.parquet as pq

        meta = {"manifest_version": str(self.kind.version), "manifest_kind": self.kind.name}
        pq.write_table(self._table.replace_schema_metadata(meta), path)

    @classmethod
    def read(cls, path: Path, kind: Kind[R] | None = None) -> Manifest[R]:
        """Read and check a Parquet manifest.

        Args:
            path: the file.
            kind: of the records wanted; None takes what there is.

        Raises:
            ValueError: the file is missing or no Parquet, or holds records of another kind or version; a column is
                missing; a row holds an unknown term, a negative area or no patient (the message names file, row and
                field); or a patient stands in two splits.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise ValueError(
                f"{path}: can't be read as a Parquet manifest ({error}); prepare the data again"
            ) from error
        meta = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        found = _kind_of(meta, path, kind)
        missing = [name for name in found.schema().names if name not in table.column_names]
        if missing:
            raise ValueError(f"{path}: column(s) {', '.join(missing)} missing; prepare the data again")
        try:
            table = table.select(found.schema().names).cast(found.schema())
        except pa.ArrowException as error:
            raise ValueError(f"{path}: a column is of another type ({error}); prepare the data again") from error
        _check_rows(table, path, found)
        found.check(table, path)
        _check_splits(table, path)
        return cls._of(table, found)


def _kind_of(meta: dict[str, str], path: Path, wanted: Kind[Any] | None) -> Kind[Any]:
    """The kind of a file's records; files of older versions of this package hold slices and don't say so."""
    name, version = meta.get("manifest_kind", SLICES.name), meta.get("manifest_version", "none")
    kind = next((kind for kind in KINDS if kind.name == name), None)
    if kind is None or version != str(kind.version):
        expected = f"version {kind.version}" if kind else f"a kind of {', '.join(k.name for k in KINDS)}"
        said = f"version {version}" if kind else f"kind {name}"
        raise ValueError(f"{path}: manifest {said}, expected {expected}; prepare the data again")
    if wanted is not None and kind.name != wanted.name:
        raise ValueError(
            f"{path}: holds {kind.name}s, and {wanted.name}s are needed here; use a store of {wanted.name}s"
        )
    return kind


def _distinct(table: Any, *columns: str) -> Iterator[tuple[Any, ...]]:
    found = table.group_by(list(columns)).aggregate([])
    return zip(*(found.column(name).to_pylist() for name in columns), strict=True)


def _check_rows(table: Any, path: Path, kind: Kind[Any]) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, term in kind.terms.items():
        row = pc.index(pc.is_in(table[name], pa.array([t.value for t in term])), False).as_py()
        if row >= 0:
            known = ", ".join(repr(t.value) for t in term)
            raise ValueError(f"{path}, row {row}: {name} {table[name][row].as_py()!r} is unknown; known: {known}")
    row = pc.index(pc.fill_null(table["patient"], ""), "").as_py()
    if row >= 0:
        raise ValueError(f"{path}, row {row}: patient is empty; without it data can't be split by patient")


def _check_splits(table: Any, path: Path) -> None:
    splits: dict[tuple[str, str], set[str]] = {}
    for source, patient, split in _distinct(table, "source", "patient", "split"):
        splits.setdefault((source, patient), set()).add(split)
    torn = {patient: names for (_, patient), names in splits.items() if len(names) > 1}
    if torn:
        patient = min(torn)
        more = f" (and {len(torn) - 1} more patients)" if len(torn) > 1 else ""
        raise ValueError(
            f"{path}: patient {patient}{more} is in the splits {', '.join(sorted(torn[patient]))}; "
            "split the data by patient and prepare it again"
        )


def _to_row(record: Any, kind: Kind[Any]) -> dict[str, Any]:
    row = kind.to_row(record)
    return row | {name: str(row[name]) for name in kind.terms}


def _records(table: Any, kind: Kind[R]) -> Iterator[R]:
    names = table.column_names
    for part in table.to_batches(max_chunksize=_AT_ONCE):
        for values in zip(*(column.to_pylist() for column in part.columns), strict=True):
            row = dict(zip(names, values, strict=True))
            yield kind.from_row(row | {name: term(row[name]) for name, term in kind.terms.items()})
