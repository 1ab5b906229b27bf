"""Which training patients' labels a task may use: stratified, each share within the next."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray


def draw_share(
    owners: Sequence[object], labels: NDArray[np.int8], share: float, least: int, seed: int, draw: int = 0
) -> NDArray[np.bool_]:
    """Draw a share of the patients of one task.

    Patients who show the same classes are put in a random order; these orders are merged so that any number of first
    patients holds all of them in proportion. So a smaller share lies within a larger one. A share with fewer films of
    a class than `least` is enlarged to the smallest one that has as many of each, or to all patients.

    Args:
        owners: (N,) patient of each film.
        labels: (N,) class of each film, such as 1 shown and 0 not shown; films of unknown class, -1, have no part.
        share: of the patients with a known film, above 0 and at most 1.
        least: films that each class must have.
        seed: of the run; each has draws of its own.
        draw: number of the draw; another one draws other patients.

    Returns:
        (N,) the films of the drawn patients whose class is known.
    """
    rows = np.zeros(len(labels), np.bool_)
    known: list[int] = np.flatnonzero(labels >= 0).tolist()
    if not len(known):
        return rows
    classes = np.unique(labels[known])
    films = {owners[n]: np.zeros(len(classes), np.int64) for n in known}  # patient -> of each class
    for n in known:
        films[owners[n]] += classes == labels[n]
    drawn = sorted(films, key=lambda owner: sha256(repr((seed, draw, owner)).encode()).digest())
    strata: dict[tuple[bool, ...], list[object]] = {}
    for owner in drawn:
        strata.setdefault(tuple(films[owner] > 0), []).append(owner)
    place = {owner: (n + 0.5) / len(stratum) for stratum in strata.values() for n, owner in enumerate(stratum)}
    order = sorted(drawn, key=place.__getitem__)
    rarest = np.cumsum([films[owner] for owner in order], axis=0).min(axis=1)
    enough = int(np.searchsorted(rarest, least)) + 1  # patients that have `least` of each
    chosen = set(order[: max(1, round(share * len(order)), enough)])
    rows[known] = [owners[n] in chosen for n in known]
    return rows


def draw_labels(
    owners: Sequence[object], labels: NDArray[np.int8], share: float, least: int, seed: int, draw: int = 0
) -> NDArray[np.bool_]:
    """Draw a share of the patients for each of K labels by itself, see `draw_share`.

    Args:
        owners: (N,) patient of each film.
        labels: (N, K) 1 shown, 0 not shown, -1 unknown.
        share: see `draw_share`, as what follows.
        least: films that show a label, and that don't.
        seed: of the run.
        draw: number of the draw.

    Returns:
        (N, K) the films that may be used for each label.
    """
    each = [draw_share(owners, label, share, least, seed, draw) for label in labels.T]
    return np.stack(each, axis=1)


def patients_drawn(owners: Sequence[object], drawn: NDArray[np.bool_]) -> list[int]:
    """(K,) patients of the films that are used, (N, K), for each label."""
    return [len({owners[n] for n in np.flatnonzero(rows).tolist()}) for rows in drawn.T]
