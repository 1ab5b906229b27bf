"""The labeller's words: findings.yaml and cues.yaml, read and compiled once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

NEVER = re.compile(r"(?!)")
SIDED = ("own", "shared")


@dataclass(frozen=True)
class Words:
    """How one finding is mentioned.

    Attributes:
        words: mentions.
        negative, uncertain: phrases that state it by themselves.
        excluded: phrases that look like a mention and are none.
        near_words, near: `near_words` is a mention where `near` stands in the same part of the sentence.
        side: "own", "shared" or empty: whether it has a side, and whether one may hold from before another mention.
    """

    words: re.Pattern[str]
    negative: re.Pattern[str]
    uncertain: re.Pattern[str]
    excluded: re.Pattern[str]
    near_words: re.Pattern[str]
    near: re.Pattern[str]
    side: str


@cache
def findings() -> dict[str, Words]:
    """Finding -> its words, in the order of findings.yaml."""
    return {name: _words(part) for name, part in _read("findings.yaml").items()}


@cache
def cues() -> dict[str, re.Pattern[str]]:
    """Kind of cue -> its pattern, in the order of cues.yaml."""
    return {name: compiled(part) for name, part in _read("cues.yaml").items()}


def compiled(phrases: Any) -> re.Pattern[str]:
    """One pattern of a phrase or a list of them, at the borders of words; what is none matches nothing."""
    if not phrases:
        return NEVER
    # a long phrase goes on in the next line of the YAML after a "|", where the break would be a blank
    listed = [re.sub(r"\|\s+", "|", one) for one in ([phrases] if isinstance(phrases, str) else phrases)]
    return re.compile(rf"(?<!\w)(?:{'|'.join(listed)})(?!\w)")


def _words(part: dict[str, Any]) -> Words:
    near = part.get("near", {})
    return Words(
        compiled(part.get("words")), compiled(part.get("negative")), compiled(part.get("uncertain")),
        compiled(part.get("not")), compiled(near.get("words")), compiled(near.get("near")), part.get("side", ""),
    )  # fmt: skip


def _read(name: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((files("anatomy_clip.text.reports") / name).read_text(encoding="utf-8"))
    return data
