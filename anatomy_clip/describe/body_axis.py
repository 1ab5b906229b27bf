"""Stations along the body axis: one path through the slices that follows the order of the body."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.describe.description import Range

Floats = NDArray[np.float64]
CHANGE = 2.0  # log odds that a step to the next station costs
FULL_WEIGHT_MM = 10.0  # slices closer than this show nearly the same: each counts by its share of it
_LEAST = 1e-3  # probability of a station: no slice alone rules one out


def smooth(
    probabilities: Floats, seen: NDArray[np.bool_], step_mm: float | None, headwards: bool | None
) -> NDArray[np.int64]:
    """Give each slice of a stack one station, by the likeliest path (Viterbi).

    A path earns the log of each slice's share of probability, times min(1, step / 10 mm), and pays `CHANGE` for each
    station that it moves on. It moves in the order of the body only: stations are listed from head to feet, so
    towards the head their numbers fall.

    Args:
        probabilities: (N, S) calibrated probability of each station.
        seen: (N,) slices that say something; others take what their neighbours say.
        step_mm: distance between slices; None for a single one.
        headwards: whether slices run towards the head; None where that isn't known, and paths may turn.

    Returns:
        (N,) place of the station in the taxonomy.
    """
    clipped = np.clip(probabilities, _LEAST, None)
    weight = 1.0 if step_mm is None else min(1.0, step_mm / FULL_WEIGHT_MM)
    gain = np.log(clipped / clipped.sum(axis=1, keepdims=True)) * weight * seen[:, None]
    moves = np.subtract.outer(np.arange(gain.shape[1]), np.arange(gain.shape[1]))  # (S, S), from - to
    price = CHANGE * np.abs(moves).astype(np.float64)
    if headwards is not None:
        price[(moves < 0) if headwards else (moves > 0)] = np.inf
    best, came = gain[0], []
    for row in gain[1:]:
        total = best[:, None] - price  # (from, to)
        came.append(total.argmax(axis=0))
        best = total.max(axis=0) + row
    path = [int(best.argmax())]
    for back in reversed(came):
        path.append(int(back[path[-1]]))
    return np.array(path[::-1], dtype=np.int64)


def ranges(
    path: NDArray[np.int64],
    seen: NDArray[np.bool_],
    stations: Sequence[str],
    positions_mm: Sequence[float | None],
    holes: Collection[int] = (),
) -> tuple[Range, ...]:
    """Join neighbours of one station; slices at a range's ends that say nothing are left out.

    Args:
        path: (N,) from `smooth`.
        seen: (N,) slices that say something.
        stations: names, in the taxonomy's order.
        positions_mm: place of each slice along the normal, mm, or None.
        holes: slices after which others are missing; no range goes on there.
    """
    found = []
    pieces = np.cumsum([0, *(n in holes for n in range(len(path) - 1))])
    for (station, _), group in groupby(range(len(path)), key=lambda n: (int(path[n]), int(pieces[n]))):
        said = [n for n in group if seen[n]]
        if said:
            first, last = said[0], said[-1]
            ends = tuple(_distance(positions_mm[0], positions_mm[n]) for n in (first, last))
            found.append(Range(stations[station], first, last, *ends))
    return tuple(found)


def _distance(start: float | None, end: float | None) -> float | None:
    return None if start is None or end is None else round(end - start, 2)
