"""What a Structured Report says of a station or an organ: codes, sides, and regions that span stations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from anatomy_clip.anatomy.taxonomy import Code, Taxonomy


class Kind(Enum):
    """What a group of a document names; a region is several stations together, nothing is where the model abstained."""

    STATION = "station"
    ORGAN = "organ"
    REGION = "region"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Site:
    """An anatomic location as a document gives it.

    Attributes:
        code: its SNOMED CT concept.
        bilateral: both sides of a paired organ.
    """

    code: Code
    bilateral: bool = False


# Organs whose label names the pair. SNOMED CT has no concept "both lungs": it is Lung with laterality Bilateral. The
# label of a limb doesn't tell whether one or both are in view, so it gets no laterality.
_PAIRS = {"39607008", "64033007"}  # Lung, Kidney

_HEAD, _CHEST, _ABDOMEN, _PELVIS, _LOWER_LIMB = "69536005", "816094009", "818981001", "816092008", "61685007"
# Common anatomic regions (CID 4031) of neighbouring stations; of others, each station stands for itself.
_COMBINED = {
    frozenset({_CHEST, _ABDOMEN}): Code("416550000", "Chest and Abdomen"),
    frozenset({_ABDOMEN, _PELVIS}): Code("818982008", "Abdomen and Pelvis"),
    frozenset({_PELVIS, _LOWER_LIMB}): Code("1231522001", "Pelvis and lower extremities"),
    frozenset({_CHEST, _ABDOMEN, _PELVIS}): Code("416775004", "Chest, Abdomen and Pelvis"),
    frozenset({_HEAD, _CHEST, _ABDOMEN, _PELVIS, _LOWER_LIMB}): Code("38266002", "Entire body"),
}


def sites(taxonomy: Taxonomy, kind: Kind, name: str) -> tuple[Site, ...]:
    """Where a station or organ is: one site for each of its codes (the intestine has two, small and large).

    Raises:
        ValueError: the taxonomy has no such name, or no code for it.
    """
    part = taxonomy.station(name) if kind is Kind.STATION else taxonomy.organ(name)
    if not part.codes:
        raise ValueError(
            f"taxonomy {taxonomy.name!r}: {kind.value} {name!r} has no SNOMED CT code; add one under `codes`"
        )
    return tuple(Site(code, code.value in _PAIRS) for code in part.codes)


def combined(stations: Iterable[Site]) -> Site | None:
    """The one region that several stations make together, where SNOMED CT has a concept for it."""
    code = _COMBINED.get(frozenset(site.code.value for site in stations))
    return None if code is None else Site(code)
