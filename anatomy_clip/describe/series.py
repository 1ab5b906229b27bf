"""From the embeddings of a series' slices to what the series shows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.terms import Modality, Orientation, Protocol, modality_words
from anatomy_clip.describe.body_axis import ranges, smooth
from anatomy_clip.describe.body_parts import agrees
from anatomy_clip.describe.bundle.folder import Bundle, Floats
from anatomy_clip.describe.description import Finding, Range, SeriesDescription, SliceDescription, SourceImage
from anatomy_clip.imaging.dicom.geometry import holes
from anatomy_clip.inference.decisions import Decided

SHARE = 0.05  # of a series' slices that must name an organ, or a station that has no place along the body axis
_DIGITS = 4  # of probabilities: what lies behind says nothing


@dataclass(frozen=True)
class SeriesFacts:
    """What is known of a series before the model has seen its slices.

    Attributes:
        path: their name in the answer.
        modality, orientation: None where nothing says.
        protocol, evidence: of MR.
        positions_mm: place of each slice along the normal; None where unknown.
        thickness_mm: of each slice; empty where unknown.
        headwards: whether axial slices run towards the head; None where unknown, or for another plane.
        body_part: defined term of the header, or "".
        variant: what tells it from others of the same path.
        notes: what a user should know.
        sources: where each slice came from; empty for what isn't DICOM.
        burned_in: the header says that text stands in the pixels.
    """

    path: str
    modality: Modality | None = None
    protocol: Protocol = Protocol.NONE
    evidence: str = ""
    orientation: Orientation | None = None
    positions_mm: tuple[float | None, ...] = (None,)
    thickness_mm: tuple[float | None, ...] = ()
    headwards: bool | None = None
    body_part: str = ""
    variant: str = ""
    notes: tuple[str, ...] = ()
    sources: tuple[SourceImage, ...] = field(default=(), repr=False)
    burned_in: bool = False

    @property
    def step_mm(self) -> float | None:
        """Usual distance between slices; None for a single slice, or without positions."""
        known = [mm for mm in self.positions_mm if mm is not None]
        return float(np.median(np.abs(np.diff(known)))) if len(known) > 1 else None


@dataclass(frozen=True)
class Embedded:
    """What the model made of a series' slices.

    Attributes:
        kept: (N,) places in the series of the slices that could be read.
        embeddings: (N, D) unit norm.
        blank: (N,) slices of one value: there is nothing to see.
        pictures: (N, side, side) uint8, or None where they weren't asked for.
    """

    kept: Sequence[int]
    embeddings: Floats
    blank: NDArray[np.bool_]
    pictures: NDArray[np.uint8] | None = None


def best_caption(bundle: Bundle, facts: SeriesFacts, seen: Embedded) -> tuple[int, float]:
    """The best caption, among those that what is known of a series leaves: its place, and its mean cosine."""
    allowed = _allowed(bundle, facts)
    said = seen.embeddings[~seen.blank] if (~seen.blank).any() else seen.embeddings
    means = (bundle.embeddings["caption"][allowed] @ said.T).mean(axis=1)
    return int(allowed[means.argmax()]), float(means.max())


def describe_series(bundle: Bundle, facts: SeriesFacts, seen: Embedded) -> SeriesDescription:
    """Say what a series of at least one slice shows."""
    decided = bundle.decide(seen.embeddings)
    silent = decided.abstained | seen.blank
    stations, found = _stations(bundle, facts, seen, decided, ~silent)
    organs = _organs(bundle, decided, ~silent, [one.name for one in stations])
    abstained = bool(silent.all())
    caption = "" if abstained or not bundle.captions else bundle.captions[best_caption(bundle, facts, seen)[0]].text
    named = [one.name for one in stations], [one.name for one in organs]
    return SeriesDescription(
        path=facts.path,
        modality=facts.modality.value if facts.modality else "",
        protocol=facts.protocol.value,
        evidence=facts.evidence,
        orientation=facts.orientation.value if facts.orientation else "",
        stations=stations,
        organs=organs,
        ranges=found,
        caption=caption,
        abstained=abstained,
        body_part=facts.body_part,
        agrees=agrees(facts.body_part, *named),
        notes=facts.notes,
        slices=tuple(_slice(bundle, facts, seen, decided, bool(silent[n]), n) for n in range(len(seen.kept))),
        variant=facts.variant,
        burned_in=facts.burned_in,
    )


def _allowed(bundle: Bundle, facts: SeriesFacts) -> NDArray[np.int64]:
    """Captions that agree with what the header says: with the protocol if there are such, else with the modality."""
    planes = {facts.orientation.value} if facts.orientation else {one.orientation for one in bundle.captions}
    modality = facts.modality
    words = modality_words(modality, facts.protocol) if modality else ""

    def places(fits: Sequence[bool]) -> NDArray[np.int64]:
        return np.flatnonzero([ok and one.orientation in planes for ok, one in zip(fits, bundle.captions, strict=True)])

    exact = places([one.modality == words for one in bundle.captions])
    if len(exact) and words != Modality.MR.value:  # plain "MR" says nothing of the protocol
        return exact
    machine = places([not modality or one.modality.startswith(modality.value) for one in bundle.captions])
    return machine if len(machine) else np.arange(len(bundle.captions))


def _stations(
    bundle: Bundle, facts: SeriesFacts, seen: Embedded, decided: Decided, told: NDArray[np.bool_]
) -> tuple[tuple[Finding, ...], tuple[Range, ...]]:
    names, probabilities = bundle.taxonomy.stations, decided.station_probabilities
    if not told.any():
        return (), ()
    if facts.orientation not in (None, Orientation.AXIAL):
        return _enough(names, decided.stations, probabilities, told), ()
    path = smooth(probabilities, told, facts.step_mm, facts.headwards)
    chosen = np.zeros_like(decided.stations)
    chosen[np.arange(len(path)), path] = True
    if len(path) == 1:  # a single slice may lie where two stations meet
        chosen |= decided.stations
    places = [facts.positions_mm[n] for n in seen.kept]
    found = _findings(names, {k: probabilities[told & chosen[:, k], k] for k in _places(chosen[told].any(axis=0))})
    return found, ranges(path, told, names, places, _holes(facts, seen.kept))


def _holes(facts: SeriesFacts, kept: Sequence[int]) -> Collection[int]:
    """After which of the slices that could be read others are missing."""
    places = [mm for n in kept if (mm := facts.positions_mm[n]) is not None]
    thickness = [facts.thickness_mm[n] if facts.thickness_mm else None for n in kept]
    return holes(places, thickness) if len(places) == len(kept) else ()


def _organs(bundle: Bundle, decided: Decided, told: NDArray[np.bool_], stations: Sequence[str]) -> tuple[Finding, ...]:
    """Organs that enough slices name, and that belong to a station of the series."""
    shown = np.array([name in stations for name in bundle.taxonomy.stations])
    possible = (bundle.decisions.belongs & shown).any(axis=1)
    return _enough(bundle.taxonomy.organs, decided.organs & possible, decided.organ_probabilities, told)


def _enough(
    names: Sequence[str], named: NDArray[np.bool_], probabilities: NDArray[np.float64], told: NDArray[np.bool_]
) -> tuple[Finding, ...]:
    """Labels that at least a share of the slices name, each with its mean probability in those."""
    named = named & told[:, None]
    least = max(1.0, SHARE * len(named))
    return _findings(names, {k: probabilities[named[:, k], k] for k in _places(named.sum(axis=0) >= least)})


def _places(chosen: Any) -> list[int]:
    return [int(k) for k in np.flatnonzero(chosen)]


def _findings(names: Sequence[str], values: dict[int, NDArray[np.float64]]) -> tuple[Finding, ...]:
    found = [Finding(names[k], round(float(value.mean()), _DIGITS)) for k, value in values.items()]
    return tuple(sorted(found, key=lambda one: -one.score))


def _slice(
    bundle: Bundle, facts: SeriesFacts, seen: Embedded, decided: Decided, silent: bool, n: int
) -> SliceDescription:
    place = seen.kept[n]

    def named(names: Sequence[str], chosen: NDArray[np.bool_], values: NDArray[np.float64]) -> tuple[Finding, ...]:
        return _findings(names, {} if silent else {k: values[[k]] for k in _places(chosen)})

    return SliceDescription(
        index=place,
        position_mm=facts.positions_mm[place],
        stations=named(bundle.taxonomy.stations, decided.stations[n], decided.station_probabilities[n]),
        organs=named(bundle.taxonomy.organs, decided.organs[n], decided.organ_probabilities[n]),
        abstained=silent,
        source=facts.sources[place] if facts.sources else None,
        picture=None if seen.pictures is None else seen.pictures[n],
    )
