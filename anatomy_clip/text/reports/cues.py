"""Cues of negation and uncertainty, and how far they reach."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from anatomy_clip.core.terms import State
from anatomy_clip.text.reports.mentions import Mention
from anatomy_clip.text.reports.vocabulary import cues

_REACH = 70  # characters from a mention to a cue behind it
_NO_LIST = "is|are|was|has|have|no|not|with|in|at|but|however|although|though|while|which|there"
_LIST = re.compile(rf",? ?(?:(?:and|or|nor|vs|versus|and/or|/),? ?)?(?:(?!(?:{_NO_LIST})\b)\w+ ){{0,3}}")
_EITHER = re.compile(r",? ?(?:or|vs|versus|/) (?:\w+ ){0,2}")
_JOINED = re.compile(r"(?:,|\band|\bor|\bnor|\bwith)\s*$")
_LATER_OR = re.compile(r"\b(?:or|nor)\b")
_STATES = {"negative": State.NEGATIVE, "uncertain": State.UNCERTAIN, "skipped": State.UNMENTIONED}


@dataclass(frozen=True)
class Cue:
    """Words that make mentions before or behind them negative, uncertain or of no account.

    Attributes:
        state: what a mention becomes.
        before: whether the cue stands before its mentions.
        start, end: where it stands.
    """

    state: State
    before: bool
    start: int
    end: int


def find_cues(sentence: str, mentions: Sequence[Mention]) -> list[Cue]:
    """Cues of a plain sentence, in their order; of overlapping ones the longest, and none that is part of a mention."""
    found = [(one.span(), kind) for kind, pattern in cues().items() for one in pattern.finditer(sentence)
             if kind not in ("ends", "starts") and one.group()]  # fmt: skip
    kept: list[Cue] = []
    taken = [(one.start, one.end) for one in mentions]
    for (start, end), kind in sorted(found, key=lambda one: (one[0][0] - one[0][1], one[0][0])):
        if all(end <= s or e <= start for s, e in taken):
            taken.append((start, end))
            if kind != "none":
                kept.append(Cue(_STATES[kind.split("_")[0]], kind.endswith("before"), start, end))
    return sorted(kept, key=lambda one: one.start)


def decide(sentence: str, mentions: Sequence[Mention], found: Sequence[Cue]) -> list[tuple[State, int]]:
    """The state of each mention, and where the denial starts that stands before it (-1: none does).

    A cue behind a mention that denies it is stronger than doubts before it; a denial before it is stronger than doubts
    behind it ("no effusion is suspected").
    """
    before = [_before(sentence, one, found) for one in mentions]
    behind = [_behind(sentence, place, mentions, found) for place in range(len(mentions))]
    states = [one.state or _stronger(front, back) for one, front, back in zip(mentions, before, behind, strict=True)]
    for place in range(len(mentions) - 1):
        gap = sentence[mentions[place].end : mentions[place + 1].start]
        pair = (states[place], states[place + 1])
        if _EITHER.fullmatch(gap) and State.NEGATIVE not in pair and State.UNMENTIONED not in pair:
            fixed = (mentions[place].state, mentions[place + 1].state)
            states[place : place + 2] = [was or State.UNCERTAIN for was in fixed]
    denials = [one.start if one and one.state is State.NEGATIVE else -1 for one in before]
    return list(zip(states, denials, strict=True))


def _stronger(front: Cue | None, back: Cue | None) -> State:
    if front and (front.state is State.NEGATIVE or back is None or back.state is not State.NEGATIVE):
        return front.state
    return back.state if back else State.POSITIVE


def _before(sentence: str, mention: Mention, found: Sequence[Cue]) -> Cue | None:
    """The first cue before a mention that reaches it; one that begins a new part of a list takes over."""
    reaching: Cue | None = None
    for cue in found:
        if cue.before and cue.end <= mention.start and _reaches(sentence, cue, mention):
            if reaching is None or _JOINED.search(sentence[: cue.start]):
                reaching = cue
    return reaching


def _reaches(sentence: str, cue: Cue, mention: Mention) -> bool:
    between = sentence[cue.end : mention.start]
    if cues()["ends"].search(between):
        return False
    for joint in re.finditer(r",(?! (?:or|nor|and)\b) ?|\band ", between):
        begins = cues()["starts"].match(sentence, cue.end + joint.end())
        listed = cue.state is not State.UNMENTIONED and _LATER_OR.search(_rest(sentence, cue.end + joint.end()))
        if begins and not listed:
            return False
    return True


def _rest(sentence: str, start: int) -> str:
    end = cues()["ends"].search(sentence, start)
    return sentence[start : end.start() if end else len(sentence)]


def _behind(sentence: str, place: int, mentions: Sequence[Mention], found: Sequence[Cue]) -> Cue | None:
    """The cue behind a mention that reaches back to it, over a list of mentions if need be."""
    for cue in found:
        if cue.before or cue.start < mentions[place].end:
            continue
        last = max(k for k, one in enumerate(mentions) if one.end <= cue.start)
        between = sentence[mentions[last].end : cue.start]
        if len(between) > _REACH or cues()["ends"].search(between) or "," in between:
            return None
        chain = all(_LIST.fullmatch(sentence[mentions[k].end : mentions[k + 1].start]) for k in range(place, last))
        return cue if chain else None
    return None
