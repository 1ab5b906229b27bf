"""A rule labeller of findings: text to a state and a side for each.

It works as NegBio (Peng et al., AMIA Summits 2018, arXiv 1712.05898) and CheXpert's labeller (Irvin et al., AAAI 2019,
arXiv 1901.07031) do: find mentions, judge each by the cues of its part of the sentence, and take the strongest
of a text. The code and the words are own; it reads surface words, not a parse. docs/LABELLER.md says how well it does.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from anatomy_clip.core.terms import State
from anatomy_clip.text.reports.cues import decide, find_cues
from anatomy_clip.text.reports.mentions import find_mentions
from anatomy_clip.text.reports.sentences import split_sentences
from anatomy_clip.text.reports.sides import find_sides
from anatomy_clip.text.reports.states import Label, merge_sides
from anatomy_clip.text.reports.vocabulary import findings

NO_FINDING = "no_finding"
NOT_A_FINDING = (NO_FINDING, "support_devices")  # a chest with a pacemaker may be normal

_ORDER = list(State)
_QUOTES = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"'}
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-")
)
_HYPHEN = re.compile(r"(?<=\w)-(?=\w)")
_SPACED = re.compile(r"\s*([?;:])\s*")


def finding_names() -> tuple[str, ...]:
    """The findings, in their order; the last is `no_finding`."""
    return tuple(findings())


def label_text(text: str) -> dict[str, Label]:
    """What a text states of every finding.

    Where its sentences differ, positive wins over uncertain, and that over negative; the side is that of the mentions
    of the state that won. `no_finding` is positive where the text calls the chest normal, uncertain or negative where
    it states another finding (devices aside) as uncertain or positive, whatever it says besides.

    Args:
        text: sentences; of a whole report give `sections.described`, or a question of its indication counts too.
    """
    labels: dict[str, list[Label]] = {}
    for sentence in split_sentences(text, min_words=1):
        for finding, label in _label(plain(sentence)):
            labels.setdefault(finding, []).append(label)
    merged = {name: _merge(labels.get(name, [])) for name in findings()}
    stated = [label.state for name, label in merged.items() if name not in NOT_A_FINDING]
    if State.POSITIVE in stated:
        merged[NO_FINDING] = Label(State.NEGATIVE)
    elif State.UNCERTAIN in stated:
        merged[NO_FINDING] = Label(State.UNCERTAIN)
    return merged


def plain(sentence: str) -> str:
    """Lower case, plain quotation marks, no hyphens within words, single blanks: what the words of the YAML expect."""
    text = unicodedata.normalize("NFKC", sentence).translate(_QUOTES).lower().replace("can't", "cannot")
    return " ".join(_SPACED.sub(r" \1 ", _HYPHEN.sub(" ", text)).split())


@lru_cache(maxsize=1 << 14)  # reports repeat their sentences
def _label(sentence: str) -> tuple[tuple[str, Label], ...]:
    mentions = find_mentions(sentence)
    if not mentions:
        return ()
    decided = decide(sentence, mentions, find_cues(sentence, mentions))
    sides = find_sides(sentence, mentions, [start for _, start in decided])
    labels = (Label(state, side) for (state, _), side in zip(decided, sides, strict=True))
    return tuple(zip((one.finding for one in mentions), labels, strict=True))


def _merge(labels: list[Label]) -> Label:
    state = min((label.state for label in labels), key=_ORDER.index, default=State.UNMENTIONED)
    return Label(state, merge_sides([one.side for one in labels if one.state is state]) if labels else None)
