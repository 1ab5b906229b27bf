"""Words of one finding: noun phrases with their severity and place, put into sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from anatomy_clip.core.radiographs import Finding
from anatomy_clip.core.terms import Side
from anatomy_clip.sources.phantom.xray.reports.words import Table

_NUMBER = re.compile(r"\d+")
_ORDINALS = {1: "1st", 2: "2nd", 3: "3rd"}


def pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    """One of several texts."""
    return choices[int(rng.integers(len(choices)))]


def fill(template: str, slots: Mapping[str, str]) -> str:
    """A template with its slots filled, single blanks, "an" before vowels."""
    text = " ".join(template.format_map(slots).split())
    text = re.sub(r"\b([Aa]) (?=[aeiou8])", r"\1n ", text)
    return re.sub(r" (?=[.,;?])", "", text)


def sentence(text: str) -> str:
    """A text that begins with a capital and ends with a point."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def joined(parts: Sequence[str], last: str) -> str:
    """Parts of a list, with a word before the last one."""
    return f" {last} ".join(one for one in (", ".join(parts[:-1]), parts[-1]) if one)


def slots_of(name: str, finding: Finding, part: str, table: Table, rng: np.random.Generator) -> dict[str, str]:
    """What fills the slots of a finding's phrases.

    Args:
        name: of the finding.
        finding: as it is to be said.
        part: what was examined, with its side.
        table: `wordings`.
        rng: draws among equal words.
    """
    words, side = table["findings"][name], finding.side or "none"
    devices = finding.zone.split(", ") if finding.zone else [words["noun"]]
    many = finding.side is Side.BOTH and not words.get("uncountable")
    if name == "support_devices":
        many = len(devices) > 1 or devices[-1].endswith("s")
    plural = many or bool(words.get("plural"))
    return {
        "size": _size(words, finding, rng),
        "ly": table["ly"].get(finding.severity, ""),
        **{slot: table[slot].get(side, "") for slot in ("side", "sided", "on")},
        "in": table["in"].get(finding.zone, table["in"]["any"])[side],
        "rib": _rib(finding),
        "bone": f"{finding.side or ''} {finding.zone}" if finding.zone else part,
        "part": part,
        "device": joined(devices, "and"),
        "a": "" if plural or words.get("uncountable") else "a",
        "is": "are" if plural else "is",
        "s": "s" if plural else "",
        "x": "ces" if plural else "x",
        "y": "ies" if plural else "y",
    }


def _size(words: Table, finding: Finding, rng: np.random.Generator) -> str:
    """The severity's word; of what is measured on films, often the measure."""
    if words.get("unit") and finding.measure is not None and rng.uniform() < 0.6:
        return f"{finding.measure:.0f} mm" if rng.uniform() < 0.5 else f"{finding.measure / 10:.1f} cm"
    return str(words["sizes"].get(finding.severity, ""))


def _rib(finding: Finding) -> str:
    if finding.side is Side.BOTH:
        return "ribs on both sides"
    number = _NUMBER.search(finding.zone)
    which = _ORDINALS.get(int(number[0]), f"{number[0]}th") if number else finding.zone
    return f"{finding.side or ''} {which} rib"
