"""Prompts that ask an image whether it shows a finding: its forms, against sentences that it isn't there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import product
from typing import Any, NamedTuple

import yaml

from anatomy_clip.core.refusals import Refused

_FILE = "finding_prompts.yaml"
_SLOTS = ("severity", "subtype", "location")


class Prompts(NamedTuple):
    """What asks for one finding.

    Attributes:
        present: every severity x subtype x location (Huang et al. 2021, GLoRIA, section 4.4).
        absent: sentences that it isn't there.
        names: what it is called, the subtypes alone.
    """

    present: tuple[str, ...]
    absent: tuple[str, ...]
    names: tuple[str, ...]


def finding_prompts(findings: Sequence[str]) -> dict[str, Prompts]:
    """The prompts of each finding, as finding_prompts.yaml words them.

    Raises:
        Refused: a finding has none.
    """
    words = yaml.safe_load((files("anatomy_clip.text") / _FILE).read_text(encoding="utf-8"))
    for name in findings:
        if name not in words:
            raise Refused(f"there are no prompts for the finding {name}", f"add them to anatomy_clip/text/{_FILE}")
    return {name: _prompts(words[name]) for name in findings}


def _prompts(words: Mapping[str, Any]) -> Prompts:
    return Prompts(_forms(words), tuple(words["absent"]), tuple(words["subtype"]))


def _forms(words: Mapping[str, Any]) -> tuple[str, ...]:
    parts = product(*(words.get(slot, [""]) for slot in _SLOTS))
    return tuple(" ".join(part for part in form if part) + "." for form in parts)
