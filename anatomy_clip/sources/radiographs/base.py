"""What collections of films that a table lists have in common: splits by patient, volumes, refusals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from anatomy_clip.core.pseudonyms import path_below
from anatomy_clip.core.radiographs import RadiographRecord
from anatomy_clip.core.refusals import Doubt, Refusal, Refused
from anatomy_clip.imaging.radiographs import Radiograph
from anatomy_clip.sources.figures.selection import split_of

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
Film = tuple[Radiograph, RadiographRecord]


@dataclass(frozen=True, slots=True)
class Listed:
    """One film of a table.

    Attributes:
        image: its file, from the root, with `/`.
        patient: patient id.
        split: that the collection gives it; empty: by `shares`.
        volume: films that are read together; patients aren't cut.
    """

    image: str
    patient: str
    split: str
    volume: str


Row = TypeVar("Row", bound=Listed)


def checked_shares(shares: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """Splits with their shares of the patients; ValueError where one is negative or they don't sum to 1."""
    chosen = tuple((split, float(share)) for split, share in shares.items())
    if abs(sum(share for _, share in chosen) - 1) > 1e-6 or min(share for _, share in chosen) < 0:
        raise ValueError(f"source.shares={dict(chosen)}: give shares from 0 that sum to 1")
    return chosen


class ListedFilms(ABC, Generic[Row]):
    """A collection of films that a table lists.

    Attributes:
        collection: its usual name.
        masks: names of all masks that its films may have.

    Args:
        root: folder of the collection; nothing outside is read, not by way of a symbolic link either.
        name: of the collection; empty: its usual one.
        shares: split -> share of the patients, by a hash of their ids; None: `SHARES`.
        seed: of that hash.
        licence: of films whose own row names none.

    Raises:
        ValueError: shares that don't sum to 1.
    """

    collection: ClassVar[str]
    masks: tuple[str, ...] = ()

    def __init__(
        self,
        root: str | Path,
        name: str = "",
        shares: Mapping[str, float] | None = None,
        seed: int = 0,
        licence: str = "",
    ) -> None:
        self.root, self.name, self.seed, self.licence = Path(root), name or self.collection, seed, licence
        self.shares = checked_shares(shares or SHARES)

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """The films that the collection lists; raises ValueError where its tables can't be read."""

    @abstractmethod
    def film(self, row: Row, split: str) -> Iterator[Film | Refusal | Doubt]:
        """Read what a row names; raises Refused."""

    @abstractmethod
    def tables(self) -> Sequence[Path]:
        """The files that decide the records."""

    def splits(self) -> Sequence[str]:
        """The splits that hold a film, those of `shares` first; ValueError where the tables can't be read."""
        order = [split for split, _ in self.shares]
        return sorted(self._index, key=lambda split: (order.index(split) if split in order else len(order), split))

    def volumes(self, split: str) -> Sequence[str]:
        """Keys of a split's volumes, in the table's order; ValueError where the tables can't be read."""
        return list(self._index.get(split, {}))

    def films(self, split: str, volume: str) -> Iterator[Film | Refusal | Doubt]:
        """Stream the films of one volume with their records, refusals of others, and doubts.

        Raises:
            ValueError: the split has no such volume.
        """
        if volume not in self._index.get(split, {}):
            raise ValueError(f"{volume}: is not a volume of the split {split!r}; ask for those that it lists")
        for row in self._index[split][volume]:
            try:
                yield from self.film(row, split)
            except Refused as error:
                yield error.refusal if error.refusal.where else error.at(self.root / row.image).refusal

    def fingerprint(self) -> Mapping[str, str]:
        """What decides the records beside the settings: the tables, hashed."""
        digest = sha256()
        for path in self.tables():
            digest.update(path.read_bytes() if path.is_file() else b"")
        return {"tables": digest.hexdigest()[:16]}

    def path(self, name: str) -> Path:
        """A file of the collection; Refused where it lies outside."""
        return path_below(self.root, name)

    @cached_property
    def _index(self) -> dict[str, dict[str, list[Row]]]:
        """Split -> volume -> its films."""
        found: dict[str, dict[str, list[Row]]] = {}
        for row in self.rows():
            split = row.split or split_of(row.patient, self.shares, self.seed)
            found.setdefault(split, {}).setdefault(row.volume, []).append(row)
        if not found:
            raise Refused("it lists no film", "fetch the collection again, or set source.root", self.root)
        return found
