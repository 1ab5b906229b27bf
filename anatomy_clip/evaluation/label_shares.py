"""Which training patients' labels a task may use: stratified, each share within the next."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray


def draw_share(
    owners: Sequence[object], labels: NDArray[np.int8], share: float, least: int, seed: int
) -> NDArray[np.bool_]:
    """Draw a share of the patients of one binary task.

    Patients who show the label and those who don't are put in a random order each; the two orders are merged so that
    any number of first patients holds both in proportion. So a smaller share lies within a larger one. A share with
    fewer positives than `least` is enlarged to the smallest one that has as many, or to all patients.

    Args:
        owners: (N,) patient of each film.
        labels: (N,) 1 shown, 0 not shown, -1 unknown; films of unknown label have no part.
        share: of the patients of whom the label is known, above 0 and at most 1.
        least: films that must show it.
        seed: another seed draws others.

    Returns:
        (N,) the films of the drawn patients whose label is known.
    """
    known = np.flatnonzero(labels >= 0)
    shown: dict[object, int] = {}  # patient -> films that show it
    for n in known:
        shown[owners[n]] = shown.get(owners[n], 0) + int(labels[n] == 1)
    drawn = sorted(shown, key=lambda owner: sha256(repr((seed, owner)).encode()).digest())
    place: dict[object, float] = {}  # in the merged order
    for stratum in ([one for one in drawn if shown[one]], [one for one in drawn if not shown[one]]):
        place |= {owner: (n + 0.5) / len(stratum) for n, owner in enumerate(stratum)}
    order = sorted(drawn, key=place.__getitem__)
    positives = np.cumsum([shown[owner] for owner in order])
    enough = int(np.searchsorted(positives, least)) + 1  # patients that have `least`
    chosen = set(order[: max(1, round(share * len(order)), enough)])
    rows = np.zeros(len(labels), np.bool_)
    rows[known] = [owners[n] in chosen for n in known]
    return rows
