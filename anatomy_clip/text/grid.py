"""Every caption that names one plane, one modality, one organ and one station."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.terms import Modality, Orientation, Protocol, modality_words
from anatomy_clip.text.templates import SLOTS, fill, slots_of

MODALITIES: tuple[str, ...] = tuple(
    dict.fromkeys([modality_words(Modality.CT, Protocol.NONE), *(modality_words(Modality.MR, p) for p in Protocol)])
)


class CaptionGrid:
    """The captions of one template over all of its slots' values.

    Attributes:
        template: the caption's template.
        axes: slot -> its values, in the order of the grid's axes.

    Raises:
        ValueError: the template lacks a slot.
    """

    def __init__(self, template: str, taxonomy: Taxonomy) -> None:
        missing = [slot for slot in SLOTS if slot not in slots_of(template)]
        if missing:
            raise ValueError(
                f"template {template!r} must have every slot; these are missing: {', '.join(missing)} missing"
            )
        self.template = template
        self.axes: Mapping[str, tuple[str, ...]] = {
            "orientation": tuple(Orientation),
            "modality": MODALITIES,
            "organ": tuple(taxonomy.organs),
            "station": tuple(taxonomy.stations),
        }

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of values: (planes, modalities, organs, stations)."""
        return tuple(map(len, self.axes.values()))

    def captions(self) -> list[str]:
        """All captions, the last slot running fastest."""
        return [
            fill(self.template, dict(zip(self.axes, values, strict=True))) for values in product(*self.axes.values())
        ]

    def caption(self, place: tuple[int, ...]) -> str:
        """The caption at one place of the grid."""
        values = {slot: self.axes[slot][n] for slot, n in zip(self.axes, place, strict=True)}
        return fill(self.template, values)


def contradict(words: str) -> list[int]:
    """Places of the modalities that contradict one: the other machine, or another of two named MR protocols."""
    own, _, protocol = words.partition(" ")
    found = []
    for n, other in enumerate(MODALITIES):
        machine, _, its = other.partition(" ")
        if machine != own or (protocol and its and its != protocol):
            found.append(n)
    return found
