"""The contract of a source: a collection that streams slices with their records, one volume at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.refusals import Doubt, Refusal
from anatomy_clip.imaging.slices import Slice


class Source(Protocol):
    """A collection of volumes.

    A source is cheap to make, picklable, and holds no volume. `prepare` asks it for its splits, then, in any process
    and any order, for the slices of one volume of one split.
    """

    name: str

    def splits(self) -> Sequence[str]:
        """Names of the splits (cohorts) that the source has; each becomes a slice store of its own."""
        ...

    def volumes(self, split: str) -> Sequence[str]:
        """Keys of the volumes (or patients) of a split, in a fixed order; a key means nothing but to its source."""
        ...

    def slices(self, split: str, volume: str) -> Iterator[tuple[Slice, SliceRecord] | Refusal | Doubt]:
        """Stream the slices of one volume with their records, the refusals of files of it, and doubts about others.

        Raises:
            ValueError: the volume can't be read; the message names file, reason and remedy. `prepare` refuses it.
        """
        ...
