"""Where a sentence mentions findings."""

from __future__ import annotations

import re
from dataclasses import dataclass

from anatomy_clip.core.terms import State
from anatomy_clip.text.reports.vocabulary import NEVER, Words, findings

_FAR = 60  # characters between "fracture" and the bone
_PART = re.compile(r"(?:[^,;:]|,(?= (?:and )?\d))+")  # commas of "4th, 5th and 6th ribs" divide nothing


@dataclass(frozen=True)
class Mention:
    """A finding's words at a place.

    Attributes:
        finding: its name.
        start, end: where the words stand.
        state: what the words say by themselves ("heart size is normal"); None where the sentence's cues decide.
    """

    finding: str
    start: int
    end: int
    state: State | None = None


def find_mentions(sentence: str) -> list[Mention]:
    """Mentions of findings in a plain sentence, in their order; of overlapping ones the longest (all of one place)."""
    found: list[Mention] = []
    for name, words in findings().items():
        excluded = [one.span() for one in words.excluded.finditer(sentence)]
        own = [*_direct(name, words, sentence), *_near(name, words, sentence)]
        own = [one for one in own if not any(start < one.end and one.start < end for start, end in excluded)]
        found += own
    return sorted(_longest(found), key=lambda one: (one.start, one.end))


def _direct(name: str, words: Words, sentence: str) -> list[Mention]:
    fixed = [(words.negative, State.NEGATIVE), (words.uncertain, State.UNCERTAIN), (words.words, None)]
    if name == "no_finding":
        fixed[2] = (words.words, State.POSITIVE)
    return [Mention(name, *one.span(), state) for pattern, state in fixed for one in pattern.finditer(sentence)]


def _near(name: str, words: Words, sentence: str) -> list[Mention]:
    """Mentions of two words apart: each place (bone) goes with the nearest event (fracture) of its part."""
    found: list[Mention] = []
    if words.near is NEVER:
        return found
    normal = [one.span() for one in words.negative.finditer(sentence)]  # its place is spoken for: "heart is normal"
    for part in _PART.finditer(sentence):
        events = [one.span() for one in words.near_words.finditer(sentence, *part.span())]
        for place in words.near.finditer(sentence, *part.span()) if events else ():
            gap, (start, end) = min((max(s - place.end(), place.start() - e), (s, e)) for s, e in events)
            if gap <= _FAR and not any(first <= place.start() < last for first, last in normal):
                found.append(Mention(name, start, end))
    return list(dict.fromkeys(found))


def _longest(found: list[Mention]) -> list[Mention]:
    kept: list[Mention] = []
    for one in sorted(found, key=lambda one: (one.start - one.end, one.start)):
        taken = [other for other in kept if other.start < one.end and one.start < other.end]
        if all((other.start, other.end) == (one.start, one.end) and other.finding != one.finding for other in taken):
            kept.append(one)
    return kept
