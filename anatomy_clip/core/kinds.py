"""Kinds of records that a manifest may hold, and how each becomes a row of a Parquet table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar


class Record(Protocol):
    """What all records have."""

    @property
    def source(self) -> str:
        """Collection that the image comes from."""
        ...

    @property
    def split(self) -> str:
        """Train, validation, or the name of a test set."""
        ...

    @property
    def patient(self) -> str:
        """Patient id within the source; never a name."""
        ...


R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Kind(Generic[R]):
    """One kind of record.

    Attributes:
        name: in messages, as "slice".
        record: the class.
        version: of its table; raised whenever columns or their meaning change.
        schema: makes the table's columns (pyarrow), which are the record's fields in their order.
        terms: columns that hold a term: column -> its values.
        to_row: a record as plain values, by column.
        from_row: back.
        check: raises ValueError where a table's values make no sense; given the file for its message.
    """

    name: str
    record: type[R]
    version: int
    schema: Callable[[], Any]
    terms: Mapping[str, type[StrEnum]]
    to_row: Callable[[R], dict[str, Any]]
    from_row: Callable[[dict[str, Any]], R]
    check: Callable[[Any, Path], None]
