"""Which side a sentence gives each of its mentions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from anatomy_clip.core.terms import Side
from anatomy_clip.text.reports.mentions import Mention
from anatomy_clip.text.reports.states import merge_sides
from anatomy_clip.text.reports.vocabulary import findings

_ORGAN = r"(?! (?:atri\w+|ventric\w+|heart|main ?stem|main bronch\w+|main stem))"
_WORDS = {
    Side.BOTH: r"bilateral(?:ly)?|both(?: (?:lung )?bases)?|bi ?(?:basilar|basal|apical)|bihilar|(?:lung )?bases",
    Side.LEFT: rf"left(?:ward|sided)?{_ORGAN}|lt|l[ul]l|lingular?",
    Side.RIGHT: rf"right(?:ward|sided)?{_ORGAN}|rt|r[uml]l",
}
_TIES = "in|at|on|of|within|along|involving|throughout|overlying|over|from|affecting|through|to"
_PLACES = "mid|lower|upper|lateral|medial|posterior|anterior|distal|proximal"
_BEHIND = rf"(?:{_TIES})(?: (?:the|a|its))?(?: (?:{_PLACES}))? "
_SIDE = re.compile(
    rf"(?P<away>(?:shift|deviat|rotat)\w*[\w ]{{0,30}}? )?(?P<behind>{_BEHIND})?(?<!\w)"
    rf"(?:(?P<both>{_WORDS[Side.BOTH]})|(?P<left>{_WORDS[Side.LEFT]})|(?P<right>{_WORDS[Side.RIGHT]}))(?!\w)"
)
_JOINT = re.compile(r"\b(?:and|or|than)\b|[/>&]")
_BORDER = re.compile(r";|\b(?:but|however|although|though|while|whereas|except|aside from)\b")


@dataclass(frozen=True)
class _Word:
    side: Side
    behind: bool
    start: int
    end: int


def find_sides(sentence: str, mentions: Sequence[Mention], barriers: Sequence[int]) -> list[Side | None]:
    """The side of each mention of a plain sentence; None where it is not told.

    A side word before a mention holds for it, and on for further ones where the finding shares sides; one that a
    preposition ties to the words before it ("effusion at the left base") holds for the mention before it.

    Args:
        sentence: the plain sentence.
        mentions: in their order.
        barriers: the denial before a mention starts there; no side word before it holds for the mention. -1: none does.
    """
    words = [one for one in map(_word, _SIDE.finditer(sentence)) if one]
    sided = [bool(findings()[one.finding].side) and one.state is None for one in mentions]
    places = [k for k, has in enumerate(sided) if has]
    sides: list[Side | None] = [None] * len(mentions)
    for k in places:
        own = _ahead(
            sentence, mentions[k], [mentions[j] for j in places if mentions[j].end <= mentions[k].start], words
        )
        own = [one for one in own if one.start >= barriers[k]]
        sides[k] = merge_sides([one.side for one in own or _behind(sentence, mentions, places, k, words)])
    _share(sentence, mentions, barriers, places, sides)
    return sides


def _word(found: re.Match[str]) -> _Word | None:
    side = next(side for side in Side if found[side])
    behind = bool(found["behind"]) or found[side] == "bilaterally"
    return None if found["away"] else _Word(side, behind, found.start(side), found.end())


def _ahead(sentence: str, mention: Mention, earlier: Sequence[Mention], words: Sequence[_Word]) -> list[_Word]:
    """Side words between the mention and the one before it that no preposition ties to that one."""
    start = max([one.end for one in earlier if one.end <= mention.start], default=0)
    own = [one for one in words if start <= one.start and one.end <= mention.end]
    own = [one for one in own if not _BORDER.search(sentence[one.end : mention.start])]
    while start and own and own[0].behind and not _BORDER.search(sentence[start : own[0].start]):
        own = own[1:]
    kept = own[-1:]
    for one in reversed(own[:-1]):
        if not _continues(sentence, one, kept[0]):
            break
        kept.insert(0, one)
    return kept


def _behind(
    sentence: str, mentions: Sequence[Mention], places: Sequence[int], k: int, words: Sequence[_Word]
) -> list[_Word]:
    """Side words after the mention that a preposition or the sentence's order ties to it."""
    later = [mentions[j].start for j in places if mentions[j].start > mentions[k].start]
    after = [one for one in words if one.start >= mentions[k].end and one.end <= (later[0] if later else len(sentence))]
    after = [one for one in after if not _BORDER.search(sentence[mentions[k].end : one.start])]
    if not after or not (after[0].behind or not later):
        return []
    own = after[:1]
    for one in after[1:]:
        if not _continues(sentence, own[-1], one) or (later and not one.behind):
            break
        own.append(one)
    return own


def _continues(sentence: str, first: _Word, second: _Word) -> bool:
    between = sentence[first.end : second.start]
    return len(between) <= 40 and bool(_JOINT.search(between))


def _share(
    sentence: str, mentions: Sequence[Mention], barriers: Sequence[int], places: Sequence[int], sides: list[Side | None]
) -> None:
    """Give mentions without a side that of the mention before, or of the one that ends their list."""
    for before, k in pairwise(places):
        gap = sentence[mentions[before].end : mentions[k].start]
        shared = findings()[mentions[k].finding].side == "shared"
        if shared and sides[k] is None and not _BORDER.search(gap) and barriers[k] < mentions[before].end:
            sides[k] = sides[before]
    for k, after in reversed(list(pairwise(places))):
        gap = sentence[mentions[k].end : mentions[after].start]
        if sides[k] is None and re.fullmatch(r",? ?(?:and|or|vs|versus) (?:\w+ )?", gap) and not _SIDE.search(gap):
            sides[k] = sides[after] if findings()[mentions[k].finding].side == "shared" else None
