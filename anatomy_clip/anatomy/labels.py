"""What a record shows: stated by its source, or else derived from its structures by the taxonomy."""

from __future__ import annotations

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord


def organs_in(record: SliceRecord, taxonomy: Taxonomy) -> tuple[str, ...]:
    """The slice's organs: stated, or else derived from its structures."""
    if record.organs is not None:
        return record.organs
    return taxonomy.organs_of(record.structures, record.orientation)


def stations_in(record: SliceRecord, taxonomy: Taxonomy) -> tuple[str, ...]:
    """The slice's stations: stated, or else derived from its structures."""
    if record.stations is not None:
        return record.stations
    return taxonomy.stations_of(record.structures, record.orientation)
