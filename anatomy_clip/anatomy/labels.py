"""What records show: stated by their source, or else derived from structures by the taxonomy; findings of films."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.anatomy.classes import ClassSet
from anatomy_clip.anatomy.findings import UNKNOWN, FindingSet
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality

Labels = NDArray[np.int8]  # (N, K): 1 shown, 0 not shown, -1 unknown
LabelSet = Taxonomy | FindingSet | ClassSet  # what a config's `taxonomy` may be: of slices, or of radiographs
NOT_STATED = "not stated"  # what people read where labels are unknown


def organs_in(record: SliceRecord, taxonomy: Taxonomy) -> tuple[str, ...] | None:
    """The slice's organs: stated, or else derived from its structures; None where neither is there.

    Organs that the source leaves open aren't among them.
    """
    organs = record.organs
    if organs is None and record.structures:
        organs = taxonomy.organs_of(record.structures, record.orientation)
    return organs if organs is None else tuple(organ for organ in organs if organ not in record.unsure)


def stations_in(record: SliceRecord, taxonomy: Taxonomy) -> tuple[str, ...] | None:
    """The slice's stations: stated, or else derived from its structures; None where neither is there."""
    if record.stations is not None:
        return record.stations
    return taxonomy.stations_of(record.structures, record.orientation) if record.structures else None


def label_names(taxonomy: LabelSet) -> dict[str, tuple[str, ...]]:
    """Label space -> its names, in the order of the label matrices; the space that matters most comes first."""
    if isinstance(taxonomy, FindingSet):
        return {"finding": taxonomy.findings}
    if isinstance(taxonomy, ClassSet):
        return {"class": taxonomy.classes}
    return {"organ": taxonomy.organs, "station": taxonomy.stations, "modality": tuple(Modality)}


def label_matrices(records: Sequence[Any], taxonomy: LabelSet) -> dict[str, Labels]:
    """Label every record in every space.

    Args:
        records: of the kind that the label set is for.
        taxonomy: the label set.

    Returns:
        Label space -> (N, K): 1 shown, 0 not shown, -1 unknown: neither stated nor derived from structures, or left
        open by the source.
    """
    if not isinstance(taxonomy, Taxonomy):
        [(space, names)] = label_names(taxonomy).items()
        found = [taxonomy.vector(one) for one in records]
        return {space: np.array(found, np.int8).reshape(-1, len(names))}
    labels = {space: np.zeros((len(records), len(names)), np.int8) for space, names in label_names(taxonomy).items()}
    modality = {modality: n for n, modality in enumerate(Modality)}
    for row, record in enumerate(records):
        labels["modality"][row, modality[record.modality]] = 1
        organs, stations = organs_in(record, taxonomy), stations_in(record, taxonomy)
        labels["organ"][row] = UNKNOWN if organs is None else taxonomy.organ_vector(organs)
        labels["organ"][row, taxonomy.organ_vector(record.unsure)] = UNKNOWN
        labels["station"][row] = UNKNOWN if stations is None else taxonomy.station_vector(stations)
    return labels


def are_stated(labels: Labels) -> NDArray[np.bool_]:
    """(N,) the slices of whose labels, (N, K), at least one is known."""
    stated: NDArray[np.bool_] = (labels != UNKNOWN).any(axis=1)
    return stated


def shown_names(labels: NDArray[np.int8], names: Sequence[str]) -> tuple[str, ...]:
    """Names of the labels of one record, (K,), that are shown; none where they are unknown."""
    return tuple(compress(names, labels == 1))


def unsure_names(labels: NDArray[np.int8], names: Sequence[str]) -> tuple[str, ...]:
    """Names of the labels of one record, (K,), that are left open beside known ones; none where all are unknown."""
    return tuple(compress(names, labels == UNKNOWN)) if (labels != UNKNOWN).any() else ()
