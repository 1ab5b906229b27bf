"""Stations of a slice: structures vote by area, level first, class second, limbs last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from anatomy_clip.anatomy.rules import Areas


@dataclass(frozen=True)
class Voter:
    """A structure that votes for one station, or for several between which the rest of the slice decides.

    Attributes:
        base: structure name without side.
        stations: stations it may vote for; the first one where nothing else speaks for any of them.
        beyond: area a side that does not vote, mm2 (a femoral head and neck are no lower body).
    """

    base: str
    stations: tuple[str, ...]
    beyond: float = 0.0

    def votes(self, areas: Areas) -> float:
        """Area that votes, mm2."""
        if not self.beyond:
            return areas.of((self.base,))
        return sum(max(area - self.beyond, 0.0) for area in areas.parts(self.base))


@dataclass(frozen=True)
class Tier:
    """Voters of one rank; a tier is used only if the tiers above it give no vote."""

    voters: tuple[Voter, ...]


@dataclass(frozen=True)
class Ballot:
    """How the stations of a slice in one plane are found.

    Attributes:
        tiers: in order of rank.
        witnesses: voters whose areas decide between the stations of an undecided voter, whatever their tier.
        share: share of a tier's votes from which a station counts, 0-1.
        least: votes below which a tier is silent, mm2.
    """

    tiers: tuple[Tier, ...]
    witnesses: tuple[Voter, ...]
    share: float
    least: float

    def stations(self, areas: Areas) -> frozenset[str]:
        """Stations that the slice shows; empty if no tier speaks."""
        for tier in self.tiers:
            counted = [(voter, votes) for voter in tier.voters if (votes := voter.votes(areas)) > 0]
            total = sum(votes for _, votes in counted)
            if total < self.least:
                continue
            tally = self._tally(counted, areas)
            return frozenset(station for station, votes in tally.items() if votes >= self.share * total)
        return frozenset()

    def _tally(self, counted: Sequence[tuple[Voter, float]], areas: Areas) -> dict[str, float]:
        """Votes a station, mm2; an undecided voter shares its votes out as the witnesses' areas stand."""
        support: Mapping[str, float] | None = None
        tally: dict[str, float] = {}
        for voter, votes in counted:
            if len(voter.stations) == 1:
                tally[voter.stations[0]] = tally.get(voter.stations[0], 0.0) + votes
                continue
            if support is None:
                support = self._support(areas)
            for station, part in _shares(voter.stations, support).items():
                tally[station] = tally.get(station, 0.0) + part * votes
        return tally

    def _support(self, areas: Areas) -> dict[str, float]:
        support: dict[str, float] = {}
        for witness in self.witnesses:
            station = witness.stations[0]
            support[station] = support.get(station, 0.0) + witness.votes(areas)
        return support


def _shares(stations: Sequence[str], support: Mapping[str, float]) -> dict[str, float]:
    total = sum(support.get(station, 0.0) for station in stations)
    if total <= 0:
        return {stations[0]: 1.0}
    return {station: support.get(station, 0.0) / total for station in stations}
