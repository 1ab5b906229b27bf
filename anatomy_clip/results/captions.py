"""Best complete captions against what slices show, slot by slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from anatomy_clip.results.layout import Layout
from anatomy_clip.results.read import Run
from anatomy_clip.results.slices import by_seed
from anatomy_clip.text.captions import SLOTS, WAYS

_VALUES = ("reachable", *(f"{slot}_right" for slot in SLOTS))
_COUNTS = {"organ_slices": "organ_f1", "station_slices": "station", "all_slices": "all"}  # what counts in which slot


class CaptionScore(NamedTuple):
    """How often the slots of a column's captions are right on one test set; percent, means over seeds.

    Attributes:
        test_set, column, way: what was measured; `way` is one of `WAYS`.
        slices, seeds: how many.
        reachable: slices whose true caption could be chosen at all.
        modality, orientation, station, organ_f1, organ_exact, all: as `caption_retrieval.judge`.
        organ_f1_lo, organ_f1_hi: 95 % interval over seeds and patients.
        organ_slices, station_slices, all_slices: those that count in organ_f1 and organ_exact, in station, and in all
            and reachable; the labels of the others aren't known, or (station) there are none.
    """

    test_set: str
    column: str
    way: str
    slices: int
    seeds: int
    reachable: float
    modality: float
    orientation: float
    station: float
    organ_f1: float
    organ_exact: float
    all: float
    organ_f1_lo: float
    organ_f1_hi: float
    organ_slices: int
    station_slices: int
    all_slices: int


def caption_scores(runs: Sequence[Run], layout: Layout) -> list[CaptionScore]:
    """Measure the captions of every test set, way and column that were searched; sets in the order of the rows."""
    sets = layout.test_sets()
    found = []
    for rows in by_seed(runs, layout.columns, "captions", "way"):
        if rows.test_set in sets:
            f1 = rows.crossed("organ_f1_right")
            means = {value.removesuffix("_right"): 100 * rows.mean(value) for value in _VALUES}
            counts = {count: int(rows.parts[0][f"{slot}_right"].notna().sum()) for count, slot in _COUNTS.items()}
            bounds = {"organ_f1_lo": f1.lo, "organ_f1_hi": f1.hi}
            known: dict[str, Any] = {"slices": len(rows.parts[0]), "seeds": f1.seeds, **counts, **means, **bounds}
            found.append(CaptionScore(rows.test_set, rows.column, rows.kind, **known))
    order = list(layout.columns)
    return sorted(found, key=lambda s: (sets.index(s.test_set), WAYS.index(s.way), order.index(s.column)))
