"""Caption templates: pure functions from slots to sentences; the templates themselves stand in conf/prompts.

A *wording* is one way to say all that a slice shows: templates from the fullest to the barest, of which the first is
used whose slots the slice can fill. So a slice with no organ or no station gets a shorter sentence, and so does one of
which none is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from string import Formatter

SLOTS = ("orientation", "modality", "organ", "station")

Wording = tuple[str, ...]
Slots = Mapping[str, str]


@lru_cache(maxsize=1024)
def slots_of(template: str) -> frozenset[str]:
    """Names of the slots in a template.

    Raises:
        ValueError: a slot that no template has, or unbalanced braces.
    """
    try:
        names = frozenset(name for _, name, _, _ in Formatter().parse(template) if name is not None)
    except ValueError as error:
        raise ValueError(f"template {template!r}: {error}") from None
    unknown = sorted(names - set(SLOTS))
    if unknown:
        raise ValueError(f"template {template!r}: unknown slot {unknown[0]!r}; known: {', '.join(SLOTS)}")
    return names


def join_organs(organs: Sequence[str]) -> str:
    """Several organs in one slot, as in the paper: "liver, intestine"."""
    return ", ".join(organs)


def join_stations(stations: Sequence[str]) -> str:
    """Several stations in one slot: "abdomen and pelvis"."""
    return " and ".join(stations)


def make_slots(orientation: str, modality: str, organs: Sequence[str], stations: Sequence[str]) -> dict[str, str]:
    """The slots that a slice can fill; a slice with no organ or no station has no such slot."""
    slots = {"orientation": orientation, "modality": modality}
    if organs:
        slots["organ"] = join_organs(organs)
    if stations:
        slots["station"] = join_stations(stations)
    return slots


def fill(template: str, slots: Slots) -> str:
    """Fill a template.

    Raises:
        ValueError: a slot of the template that is not among `slots`.
    """
    missing = sorted(slots_of(template) - set(slots))
    if missing:
        raise ValueError(f"template {template!r}: there is no text for the slot {missing[0]!r}")
    return template.format_map(slots)


def fill_first(wording: Wording, slots: Slots) -> str:
    """Fill the first template of a wording whose slots are all there.

    Raises:
        ValueError: none fits; end a wording with a template that needs neither organ nor station.
    """
    for template in wording:
        if slots_of(template) <= set(slots):
            return template.format_map(slots)
    raise ValueError(f"no template of {list(wording)} can be filled from {sorted(slots)}")


def check_wording(wording: Wording) -> None:
    """Refuse a wording that could fail on some slice.

    Raises:
        ValueError: no template, an unknown slot, or no template that needs neither organ nor station.
    """
    if not any(slots_of(template) <= {"orientation", "modality"} for template in wording):
        raise ValueError(f"wording {list(wording)}: its last template must need neither organ nor station")
