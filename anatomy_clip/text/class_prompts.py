"""Evaluation prompts, one text for each label and template; training prompts never change them."""

from __future__ import annotations

from collections.abc import Sequence

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.text.templates import fill, slots_of


class EvaluationPrompts:
    """Prompts that ask for one organ or one station at a time, independently (eqs. 2 and 3).

    The paper does not say which words it puts round a label. The defaults in `conf/eval` are what is left of
    Table I's sentences without the rest: "An image of {organ} organs" and "An image of {station} region".

    Args:
        organ_templates: templates whose only slot is {organ}.
        station_templates: templates whose only slot is {station}.

    Raises:
        ValueError: no template, or one with another slot.
    """

    def __init__(self, organ_templates: Sequence[str], station_templates: Sequence[str]) -> None:
        self.organ_templates = _check(organ_templates, "organ")
        self.station_templates = _check(station_templates, "station")

    def organ_prompts(self, taxonomy: Taxonomy) -> list[list[str]]:
        """Prompts of the organs, K lists (the taxonomy's order) of T texts."""
        return [[fill(template, {"organ": organ}) for template in self.organ_templates] for organ in taxonomy.organs]

    def station_prompts(self, taxonomy: Taxonomy) -> list[list[str]]:
        """Prompts of the stations, S lists (the taxonomy's order) of T texts."""
        return [[fill(t, {"station": station}) for t in self.station_templates] for station in taxonomy.stations]

    def texts(self, taxonomy: Taxonomy) -> dict[str, list[list[str]]]:
        """All prompts: label kind ("organ", "station") -> as above."""
        return {"organ": self.organ_prompts(taxonomy), "station": self.station_prompts(taxonomy)}


def _check(templates: Sequence[str], slot: str) -> tuple[str, ...]:
    if isinstance(templates, str) or not templates:
        raise ValueError(f"{slot}_templates: give a list of at least one template, not {templates!r}")
    for template in templates:
        if slots_of(template) != {slot}:
            raise ValueError(f"{slot}_templates: {template!r} must have the slot {{{slot}}} and no other")
    return tuple(templates)
