"""Best complete captions against what slices show, slot by slot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from anatomy_clip.evaluation.base import patients_of
from anatomy_clip.metrics.bootstrap import bootstrap_interval
from anatomy_clip.results.layout import Layout
from anatomy_clip.results.read import Run
from anatomy_clip.text.captions import SLOTS, WAYS

_VALUES = [f"{slot}_right" for slot in SLOTS]


class CaptionScore(NamedTuple):
    """How often the slots of a column's captions are right on one test set; percent, means over seeds.

    Attributes:
        test_set, column, way: what was measured; `way` is one of `WAYS`.
        slices, seeds: how many.
        reachable: slices whose true caption could be chosen at all.
        modality, orientation, station, organ_f1, organ_exact, all: as `caption_retrieval.judge`.
        organ_f1_lo, organ_f1_hi: 95 % interval of a bootstrap over patients.
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


def caption_scores(runs: Sequence[Run], layout: Layout, resamples: int = 1000) -> list[CaptionScore]:
    """Measure the captions of every test set, way and column that were searched; sets in the order of the rows."""
    import pandas as pd

    found = []
    for column in layout.columns:
        tables = [run.captions for run in runs if run.name == column and run.captions is not None]
        if not tables:
            continue
        keys = ["set", "way", "source", "patient", "row"]
        mean = pd.concat(tables).groupby(keys, sort=False)[["reachable", *_VALUES]].mean().reset_index()
        for (name, way), part in mean.groupby(["set", "way"], sort=False):
            patients = patients_of(part)
            interval = bootstrap_interval(100 * part["organ_f1_right"].to_numpy(), patients, resamples)
            values = {slot: 100 * float(part[f"{slot}_right"].mean()) for slot in SLOTS}
            known = {"reachable": 100 * float(part["reachable"].mean()), **values}
            bounds = {"organ_f1_lo": interval.lo, "organ_f1_hi": interval.hi}
            found.append(CaptionScore(str(name), column, str(way), len(part), len(tables), **known, **bounds))
    sets = list(dict.fromkeys(row.test_set for row in layout.rows + layout.further))
    places = {name: n for n, name in enumerate(sets)}
    shown = [score for score in found if score.test_set in places]
    return sorted(shown, key=lambda s: (places[s.test_set], WAYS.index(s.way), list(layout.columns).index(s.column)))
