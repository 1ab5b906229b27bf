"""From scores to a description: lists of stations and organs, by ways of deciding, against what slices show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.terms import Modality
from anatomy_clip.inference.decisions import Decided, Decisions
from anatomy_clip.metrics.calibration import brier, calibration_error
from anatomy_clip.metrics.multilabel import consistent, exact_match, f1, sample_f1
from anatomy_clip.metrics.selective import RiskCoverage, risk_coverage
from anatomy_clip.results.layout import Layout
from anatomy_clip.results.read import Run
from anatomy_clip.results.slices import Slices, percent_of, select

Bools = NDArray[np.bool_]
WAYS: Mapping[str, str] = {
    "top1": "Best organ and best station",
    "thresholds": "All labels above their threshold",
    "consistent": "Only organs of a named station",
    "abstaining": "The same, but nothing for unsure slices",
}


class Description(NamedTuple):
    """How well one column's lists fit one test set's slices; shares in percent, means over seeds.

    An organ that a slice leaves open is neither right nor wrong in its list.

    Attributes:
        test_set, column, way: what was measured; a key of `WAYS`.
        slices, patients: those whose organs are known, on which organs are measured.
        seeds: how many.
        organ_f1, organ_f1_lo, organ_f1_hi: mean F1 of a slice's organs, 1 where it shows and is given none, with the
            95 % interval over seeds and patients.
        organ_micro, organ_macro: F1 over all pairs of slice and organ, and the mean over organs.
        organ_exact, organ_exact_lo, organ_exact_hi: slices with the very organs that they show.
        station_f1, station_exact: the same of stations.
        consistent: slices all of whose organs can occur in a named station, among those that are given any.
        station_slices: slices whose stations are known, on which stations are measured.
    """

    test_set: str
    column: str
    way: str
    slices: int
    patients: int
    seeds: int
    organ_f1: float
    organ_f1_lo: float
    organ_f1_hi: float
    organ_micro: float
    organ_macro: float
    organ_exact: float
    organ_exact_lo: float
    organ_exact_hi: float
    station_f1: float
    station_exact: float
    consistent: float
    station_slices: int


class Certainty(NamedTuple):
    """How far one column's probabilities can be trusted on one test set; means over seeds.

    Attributes:
        test_set, column: what was measured.
        slices: those whose organs are known; the others don't count, nor do those that show no organ for certain but
            may show one. An organ that a slice leaves open isn't its likeliest, and makes no pair with it.
        seeds: how many.
        ece: expected calibration error over all pairs of slice and organ, percent.
        ece_best: that of the likeliest organ alone, percent.
        brier: Brier score over all pairs.
        risk: slices whose likeliest organ they don't show, percent; one that shows no listed organ is always wrong.
        aurc: area under risk against coverage, percent.
        coverage: slices that are named, where unsure ones are left out, percent.
        risk_named: risk of those, percent.
        left_out_empty: share left out of the slices that show no listed organ, percent.
    """

    test_set: str
    column: str
    slices: int
    seeds: int
    ece: float
    ece_best: float
    brier: float
    risk: float
    aurc: float
    coverage: float
    risk_named: float
    left_out_empty: float


class Judged(NamedTuple):
    """One run's slices of one test set, decided.

    Attributes:
        column, test_set: whose they are.
        organs, stations: scores and targets.
        decisions: the run's.
        decided: what they say.
    """

    column: str
    test_set: str
    organs: Slices
    stations: Slices
    decisions: Decisions
    decided: Decided

    def with_known_organs(self) -> Judged:
        """The slices whose organs are known, without those that show none for certain but may show one."""
        rows = self.organs.known & (self.organs.targets.any(axis=1) | ~self.organs.unsure.any(axis=1))
        decided = Decided._make(part[rows] for part in self.decided)
        return self._replace(organs=self.organs.of(rows), stations=self.stations.of(rows), decided=decided)

    @property
    def likeliest(self) -> NDArray[np.float64]:
        """(N, K) the organs' probabilities, by which the likeliest one is found: one that is left open can't be it."""
        return np.where(self.organs.unsure, -np.inf, self.decided.organ_probabilities)

    @property
    def best_is_right(self) -> Bools:
        """(N,) whether the likeliest organ is shown."""
        best = self.likeliest.argmax(axis=1)
        right: Bools = self.organs.targets[np.arange(len(best)), best]
        return right

    def risk_coverage(self) -> RiskCoverage:
        """Risk of the likeliest organ, surest slices first."""
        return risk_coverage(self.likeliest.max(axis=1), ~self.best_is_right)


def judged(runs: Sequence[Run], layout: Layout) -> list[Judged]:
    """Decide every test set of the table for every run that has decisions; sets in the order of the rows."""
    return [found for name in layout.test_sets() for column in layout.columns for found in _judged(runs, column, name)]


def _judged(runs: Sequence[Run], column: str, test_set: str) -> Iterator[Judged]:
    keys = None
    for run in (run for run in runs if run.name == column and run.decisions is not None):
        organs, stations = (select(run, t, test_set, tuple(Modality), unknown=True) for t in ("organ", "station"))
        if organs is None or stations is None or run.decisions is None:
            continue
        keys = keys or organs.keys
        if organs.keys == keys:  # another seed's slices can't be averaged with the first one's
            decided = run.decisions.decide(organs.scores, stations.scores)
            yield Judged(column, test_set, organs, stations, run.decisions, decided)


def describe(found: Sequence[Judged]) -> list[Description]:
    """Measure the lists of every test set, column and way."""
    groups = _groups(found)
    return [_description(seeds, way) for seeds in groups for way in WAYS]


def certainties(found: Sequence[Judged]) -> list[Certainty]:
    """Measure the probabilities of every test set and column."""
    return [_certainty(seeds) for seeds in _groups(found)]


def named(one: Judged, way: str) -> tuple[Bools, Bools]:
    """Organs (N, K) and stations (N, S) that a way gives each slice."""
    decided, rules = one.decided, one.decisions
    if way == "top1":
        return _best(one.organs.ranked), _best(one.stations.ranked)
    if way == "thresholds":
        organs = decided.organ_probabilities >= rules.organ.threshold
        return organs, decided.station_probabilities >= rules.station.threshold
    if way == "abstaining":
        return decided.organs, decided.stations
    always = Decisions(rules.organ, rules.station, rules.belongs, 0.0)
    decided = always.decide(one.organs.scores, one.stations.scores)
    return decided.organs, decided.stations


def _best(scores: NDArray[np.float64]) -> Bools:
    best: Bools = np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]
    return best


def _groups(found: Sequence[Judged]) -> list[list[Judged]]:
    """The seeds of each test set and column."""
    groups: dict[tuple[str, str], list[Judged]] = {}
    for one in found:
        groups.setdefault((one.test_set, one.column), []).append(one)
    return list(groups.values())


def _description(seeds: Sequence[Judged], way: str) -> Description:
    first = seeds[0]
    given = [named(one, way) for one in seeds]
    known, of_station = first.organs.known, first.stations.known
    shown, stations = first.organs.targets[known], first.stations.targets[of_station]
    lists = [(organs & ~first.organs.unsure)[known] for organs, _ in given]
    organ = [f1(organs, shown) for organs in lists]
    by_slice = [np.stack([of(organs, shown) for organs in lists]) for of in (sample_f1, exact_match)]  # (S, N)
    organ_f1, exact = (percent_of(shares.astype(np.float64), first.organs.patients[known]) for shares in by_slice)
    agree = [consistent(*pair, first.decisions.belongs) for pair in given]
    return Description(
        test_set=first.test_set,
        column=first.column,
        way=way,
        slices=len(shown),
        patients=organ_f1.patients,
        seeds=len(seeds),
        organ_f1=organ_f1.value,
        organ_f1_lo=organ_f1.lo,
        organ_f1_hi=organ_f1.hi,
        organ_micro=100 * float(np.mean([x.micro for x in organ])),
        organ_macro=100 * float(np.mean([x.macro for x in organ])),
        organ_exact=exact.value,
        organ_exact_lo=exact.lo,
        organ_exact_hi=exact.hi,
        station_f1=100 * float(np.mean([_mean(sample_f1(s[of_station], stations)) for _, s in given])),
        station_exact=100 * float(np.mean([_mean(exact_match(s[of_station], stations)) for _, s in given])),
        consistent=100 * float(np.mean([_mean(values) for values in agree])),
        station_slices=len(stations),
    )


def _certainty(seeds: Sequence[Judged]) -> Certainty:
    rows = []
    seeds = [one.with_known_organs() for one in seeds]
    first = seeds[0]
    if not len(first.organs.keys):
        return Certainty(first.test_set, first.column, 0, len(seeds), *[float("nan")] * 8)
    for one in seeds:
        shown, right, pairs = one.organs.targets, one.best_is_right, ~one.organs.unsure
        named, empty = ~one.decided.abstained, ~shown.any(axis=1)
        probability = one.decided.organ_probabilities[pairs]
        rows.append((
            100 * calibration_error(probability, shown[pairs]),
            100 * calibration_error(one.likeliest.max(axis=1), right),
            brier(probability, shown[pairs]),
            100 * (1 - right.mean()),
            100 * one.risk_coverage().area,
            100 * named.mean(),
            100 * _mean((~right[named]).astype(float)),
            100 * _mean((~named[empty]).astype(float)),
        ))  # fmt: skip
    means = [float(x) for x in np.mean(rows, axis=0)]
    return Certainty(first.test_set, first.column, len(first.organs.keys), len(seeds), *means)


def _mean(values: NDArray[Any]) -> float:
    """Mean of what isn't NaN; NaN where nothing is left."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
