"""From scores to a description: calibrated probabilities, stations and organs that agree, and when to say nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.inference.label_rule import Bools, Floats, LabelRule, fit_rule
from anatomy_clip.metrics.calibration import platt
from anatomy_clip.metrics.targets import as_targets


class Decided(NamedTuple):
    """What is named of each slice.

    Attributes:
        organs: (N, K) bool.
        stations: (N, S) bool.
        organ_probabilities: (N, K) 0 to 1.
        station_probabilities: (N, S) 0 to 1.
        abstained: (N,) bool: no organ is likely enough, and nothing is named.
    """

    organs: Bools
    stations: Bools
    organ_probabilities: Floats
    station_probabilities: Floats
    abstained: Bools


@dataclass(frozen=True, eq=False)
class Decisions:
    """Rules that turn a slice's scores into its list of stations and organs.

    Attributes:
        organ: rule of the K organs.
        station: rule of the S stations.
        belongs: (K, S) bool, organ k can occur in station s.
        abstain_below: highest organ probability under which nothing is named, 0 to 1.
    """

    organ: LabelRule
    station: LabelRule
    belongs: Bools
    abstain_below: float

    def __post_init__(self) -> None:
        wanted = (len(self.organ.labels), len(self.station.labels))
        if np.shape(self.belongs) != wanted:
            raise ValueError(f"belongs {np.shape(self.belongs)} must be (organs, stations), here {wanted}")

    def decide(self, organ_scores: ArrayLike, station_scores: ArrayLike) -> Decided:
        """Name stations and organs that agree.

        Stations: all over their threshold, at least the likeliest. Organs: all over their threshold that belong to a
        named station. Where no organ is likely enough, neither.

        Args:
            organ_scores: (N, K) cosines.
            station_scores: (N, S) cosines.

        Raises:
            ValueError: another number of labels, or of slices.
        """
        organ, station = self.organ.probabilities(organ_scores), self.station.probabilities(station_scores)
        if len(organ) != len(station):
            raise ValueError(f"{len(organ)} rows of organ scores, but {len(station)} of station scores")
        abstained = organ.max(axis=1) < self.abstain_below
        stations = station >= self.station.threshold
        stations[np.arange(len(station)), station.argmax(axis=1)] = True
        stations[abstained] = False
        allowed = (stations @ self.belongs.T.astype(np.int64)) > 0  # (N, K)
        return Decided((organ >= self.organ.threshold) & allowed, stations, organ, station, abstained)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and checkpoints."""
        return {
            "organ": self.organ.to_dict(),
            "station": self.station.to_dict(),
            "belongs": self.belongs.tolist(),
            "abstain_below": self.abstain_below,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Decisions:
        """Rebuild from what `to_dict` gave.

        Raises:
            ValueError: a field is missing or of the wrong kind.
        """
        try:
            return cls(
                LabelRule.from_dict(data["organ"]),
                LabelRule.from_dict(data["station"]),
                np.asarray(data["belongs"], dtype=np.bool_),
                float(data["abstain_below"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"decisions: {type(error).__name__}: {error}; evaluate the run again (stages=[evaluate])"
            ) from error


def choose(
    organ_scores: ArrayLike,
    organ_targets: ArrayLike,
    station_scores: ArrayLike,
    station_targets: ArrayLike,
    taxonomy: Taxonomy,
    organ_known: ArrayLike | None = None,
) -> Decisions:
    """Choose every number of the rules on validation slices; test slices have no say.

    Organs are chosen on the N slices whose organs are known, stations on the M slices whose stations are.

    Lines and thresholds: see `fit_rule`. Abstention: below the highest probability at which the likeliest organ is as
    often right as wrong, by a logistic line of its own. An organ that a slice leaves open isn't its likeliest, and a
    slice that shows none for certain, but may show one, has no say.

    Args:
        organ_scores: (N, K) cosines.
        organ_targets: (N, K) bool.
        station_scores: (M, S) cosines.
        station_targets: (M, S) bool.
        taxonomy: labels in the order of the columns, and which organ belongs to which station.
        organ_known: (N, K) bool, False where a slice leaves an organ open; None: all are known.

    Raises:
        ValueError: shapes don't fit, a score isn't finite, or no slice shows an organ, or none a station.
    """
    organ = fit_rule(taxonomy.organs, organ_scores, organ_targets, "organ", organ_known)
    station = fit_rule(taxonomy.stations, station_scores, station_targets, "station")
    probability, shown = organ.probabilities(organ_scores), as_targets(organ_targets)
    if organ_known is not None:
        known = np.asarray(organ_known, dtype=np.bool_)
        judged = (shown & known).any(axis=1) | known.all(axis=1)
        probability, shown = np.where(known, probability, -np.inf)[judged], shown[judged]
    return Decisions(organ, station, taxonomy.belongs, _abstain_below(probability, shown))


def _abstain_below(probability: Floats, targets: Bools) -> float:
    """(N, K), (N, K) -> the highest probability at which the likeliest organ is as often right as wrong, 0 to 1."""
    highest: Floats = np.max(probability, axis=1)
    right = targets[np.arange(len(targets)), probability.argmax(axis=1)]
    if right.all() or not right.any():
        return 0.0 if right.all() else 1.0
    line = platt(highest, right)
    if line.slope == 0.0:
        return 0.0 if line.intercept > 0 else 1.0
    return float(np.clip(-line.intercept / line.slope, 0.0, 1.0))
