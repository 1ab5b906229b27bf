"""Which training films are seen, and which of their labels: all, those of some patients, or a share of the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.anatomy.classes import ClassSet, class_numbers
from anatomy_clip.anatomy.findings import UNKNOWN
from anatomy_clip.anatomy.labels import Labels, LabelSet, label_matrices, label_names
from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.refusals import Refused
from anatomy_clip.stores.label_shares import draw_labels, draw_share, patients_drawn
from anatomy_clip.stores.selection import first_patients


class LabelShare(NamedTuple):
    """A share of the training patients, whose labels alone are used.

    Attributes:
        share: of the patients of whom a label is known, above 0 and at most 1.
        draw: number of the draw.
        least: films that must show each label, and that must not; a share with fewer is enlarged.
    """

    share: float
    draw: int
    least: int


class Chosen(NamedTuple):
    """The training films that are seen.

    Attributes:
        rows: N of them.
        labels: (N, K) which of their labels are used; None: all.
    """

    rows: list[int]
    labels: NDArray[np.bool_] | None


class Labelled(NamedTuple):
    """What a head was fitted on.

    Attributes:
        share, draw: see `LabelShare`.
        patients: (K,) of how many patients each label was known.
    """

    share: float
    draw: int
    patients: tuple[int, ...]


def choose(
    records: Manifest[Any], taxonomy: LabelSet, patients: int | None, share: LabelShare | None, seed: int
) -> Chosen | None:
    """Choose the films to train on; None where that is all.

    Args:
        records: all training films.
        taxonomy: labels them.
        patients: how many patients, see `first_patients`; None: all.
        share: of the labels of these patients; each label's patients are drawn by themselves, those of exclusive
            classes once. A film without a drawn label isn't seen. None: all labels.
        seed: of the run.

    Raises:
        Refused: the share is none, or no film shows a label.
        ValueError: there are fewer patients.
    """
    if patients is None and share is None:
        return None
    rows = list(range(len(records))) if patients is None else first_patients(records, patients, seed)
    if share is None:
        return Chosen(rows, None)
    drawn = _drawn(records.take(rows), taxonomy, share, seed)
    seen = np.flatnonzero(drawn.any(axis=1))
    return Chosen([rows[n] for n in seen], drawn[seen])


def _drawn(records: Manifest[Any], taxonomy: LabelSet, share: LabelShare, seed: int) -> NDArray[np.bool_]:
    """(N, K) which labels of N films may be used."""
    if not 0 < share.share <= 1:
        raise Refused(
            f"data.label_share={share.share}: this is not a share", "give a number above 0 and at most 1, or null"
        )
    labels, names = _labels(records, taxonomy)
    if missing := [name for name, shown in zip(names, (labels == 1).any(axis=0), strict=True) if not shown]:
        raise Refused(f"data.train: no training film shows {', '.join(missing)}", "leave it out of the taxonomy")
    how = (share.share, share.least, seed, share.draw)
    if isinstance(taxonomy, ClassSet):
        drawn = draw_share(records.owners(), class_numbers(labels), *how)  # (N,)
        return np.repeat(drawn[:, None], len(names), axis=1)
    return draw_labels(records.owners(), labels, *how)


def only_labelled(labels: Mapping[str, Labels], chosen: Chosen) -> dict[str, Labels]:
    """The labels, (N, K) of the space that matters most, of which those that aren't used are made unknown."""
    if chosen.labels is None:
        return {}
    space, values = next(iter(labels.items()))
    return {space: np.where(chosen.labels, values, UNKNOWN).astype(np.int8)}


def labelled(records: Manifest[Any], taxonomy: LabelSet, chosen: Chosen | None, share: LabelShare | None) -> Labelled:
    """What a head is fitted on: the films that were chosen, and the share that they were chosen by."""
    used = _labels(records, taxonomy)[0] >= 0 if chosen is None or chosen.labels is None else chosen.labels
    known = (1.0, 0) if share is None else (share.share, share.draw)
    return Labelled(*known, tuple(patients_drawn(records.owners(), used)))


def _labels(records: Manifest[Any], taxonomy: LabelSet) -> tuple[Labels, Sequence[str]]:
    """(N, K) labels in the space that matters most, and the K names."""
    space, names = next(iter(label_names(taxonomy).items()))
    return label_matrices(records, taxonomy)[space], names
