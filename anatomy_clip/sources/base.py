"""The contracts of sources: collections that stream slices or radiographs with their records, one volume at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from anatomy_clip.core.radiographs import RadiographRecord
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.refusals import Doubt, Refusal
from anatomy_clip.imaging.radiographs import Radiograph
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


@runtime_checkable
class RadiographSource(Protocol):
    """A collection of radiographs; what `Source` says of volumes holds for its groups of films, mostly patients.

    Attributes:
        name: folder of its stores.
        masks: names of all masks that its films may have, at most 32; what a record's own `masks` say is replaced by
            those that its film brings.
    """

    name: str
    masks: tuple[str, ...]

    def splits(self) -> Sequence[str]:
        """Names of the splits (cohorts) that the source has; each becomes a store of its own."""
        ...

    def volumes(self, split: str) -> Sequence[str]:
        """Keys of the groups of films of a split, in a fixed order."""
        ...

    def films(self, split: str, volume: str) -> Iterator[tuple[Radiograph, RadiographRecord] | Refusal | Doubt]:
        """Stream the films of one group with their records, the refusals of files of it, and doubts about others.

        Raises:
            ValueError: the group can't be read; the message names file, reason and remedy. `prepare` refuses it.
        """
        ...
