"""Words of one finding: noun phrases with their severity and place, put into sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from anatomy_clip.core.radiographs import Finding
from anatomy_clip.core.terms import Side
from anatomy_clip.sources.phantom.xray.reports.words import Table, wordings

CHEST = "chest"
DEVICES = "support_devices"
_NUMBER = re.compile(r"\d+")
_ORDINALS = {1: "1st", 2: "2nd", 3: "3rd"}


def pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    """One of several texts."""
    return choices[int(rng.integers(len(choices)))]


def fill(template: str, slots: Mapping[str, str]) -> str:
    """A template with its slots filled, single blanks, "an" before vowels."""
    text = " ".join(template.format_map(slots).split())
    text = re.sub(r"\b([Aa]) (?=[aeiou8]|1[18]\b)", r"\1n ", text)
    return re.sub(r" (?=[.,;?])", "", text)


def sentence(text: str) -> str:
    """A text that begins with a capital and ends with a point."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def joined(parts: Sequence[str], last: str) -> str:
    """Parts of a list, with a word before the last one."""
    return f" {last} ".join(one for one in (", ".join(parts[:-1]), parts[-1]) if one)


def words_of(name: str, part: str, table: Table) -> Table:
    """A finding's entry in `wordings`, with the words that limbs have of their own."""
    words: Table = table["findings"][name]
    return words if part == CHEST else words | words.get("limb", {})


def noun_of(name: str, part: str) -> str:
    """How questions name a finding, with its article; of what is no finding, the same word."""
    table = wordings(False)
    return str(words_of(name, part, table)["noun"]) if name in table["findings"] else name


def devices_of(finding: Finding) -> tuple[str, ...]:
    """Names of devices, which stand in place of a zone, as "tracheal_tube, chest_drain"."""
    return tuple(finding.zone.split(", ")) if finding.zone else ()


def slots_of(name: str, finding: Finding, part: str, table: Table, rng: np.random.Generator) -> dict[str, str]:
    """What fills the slots of a finding's phrases.

    Args:
        name: of the finding.
        finding: as it is to be said.
        part: what was examined, with its side.
        table: `wordings`.
        rng: draws among equal words.
    """
    words, side = words_of(name, part, table), finding.side or "none"
    devices = [_named(one, table) for one in devices_of(finding)] or [words["noun"]]
    bare = bool(words.get("uncountable"))
    plural = (finding.side is Side.BOTH and not bare) or finding.severity in words.get("plural", ())
    if name == DEVICES:
        plural = len(devices) > 1 or devices[-1].endswith("s")
        bare = bare and not finding.zone
    return {
        "size": _size(words, finding, rng),
        "ly": table["ly"].get(finding.severity, ""),
        **{slot: table[slot].get(side, "") for slot in ("side", "sided", "on")},
        "in": table["in"].get(finding.zone, table["in"]["any"])[side],
        "apical": "apical" if finding.zone == "upper" else "",
        "rib": _rib(finding, plural),
        "bone": f"{finding.side or ''} {_named(finding.zone, table)}" if finding.zone else part,
        "part": part,
        "device": joined(devices, "and"),
        "a": "" if plural or bare else "a",
        "is": "are" if plural else "is",
        "s": "s" if plural else "",
        "x": "ces" if plural else "x",
        "y": "ies" if plural else "y",
    }


def _named(name: str, table: Table) -> str:
    """A bone or device in words."""
    return str(table["names"].get(name, name.replace("_", " ")))


def _size(words: Table, finding: Finding, rng: np.random.Generator) -> str:
    """The severity's word; of what is measured on films, often the measure."""
    if words.get("unit") and finding.measure is not None and rng.uniform() < 0.6:
        return f"{finding.measure:.0f} mm" if rng.uniform() < 0.5 else f"{finding.measure / 10:.1f} cm"
    return str(words["sizes"].get(finding.severity, ""))


def _rib(finding: Finding, plural: bool) -> str:
    if plural:
        return "ribs on both sides" if finding.side is Side.BOTH else f"{finding.side or ''} {finding.zone} ribs"
    number = _NUMBER.search(finding.zone)
    if number:
        return f"the {finding.side or ''} {_ORDINALS.get(int(number[0]), f'{number[0]}th')} rib"
    return f"a {finding.side or ''} {finding.zone} rib"
