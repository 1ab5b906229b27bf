"""A section of a report to its sentences."""

from __future__ import annotations

import re
from collections.abc import Callable

MIN_WORDS = 2  # GLoRIA (Huang et al., ICCV 2021) leaves out sentences of fewer words

_PARAGRAPH = re.compile(r"\n[ \t]*\n|\n(?=[ \t]*(?:\(?\d{1,2}[.)]|[-*\u2022])[ \t])")
_NUMBERING = re.compile(r"(?:(?<=[.!?:;])|^)\s*(?:\(?\d{1,2}[.)]|[-*\u2022])\s+(?=\D)")  # of a list: "1. No effusion."
_END = re.compile(r"[.!?]+[\"')\]]*(?=\s|$)|(?<=[a-z)\]])\.(?=[A-Z][a-z])")
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:dr|drs|mr|mrs|ms|prof|vs|approx|resp|cf|e\.g|i\.e|(?-i:[A-Z]))$", flags=re.I)
_TIME = re.compile(r"\b[ap]\.m$", flags=re.I)  # ends a sentence only where a capital follows
_REMOVED = re.compile(r"\b[xX]{3,}\b|_{2,}|\[\*\*.*?\*\*\]")  # what stands for a removed name or date
_WORD = re.compile(r"[^\W\d_]+")


def split_sentences(text: str, min_words: int = MIN_WORDS) -> tuple[str, ...]:
    """Cut a text into its sentences, in their order, without the numbers and marks of lists.

    A point within a number or after an abbreviation or initial ends no sentence; a blank line and an item of a list
    begin a new one. The marks of removed words (XXXX, ___) stay where they stand.

    Args:
        text: of a section; line breaks within a sentence become blanks.
        min_words: sentences of fewer words are left out; numbers and marks of removed words are no words.
    """
    found = []
    for paragraph in _PARAGRAPH.split(text):
        for part in _NUMBERING.split(" ".join(paragraph.split())):
            found += _sentences(part)
    return tuple(one for one in found if count_words(one) >= min_words)


def cut_at_sentence(text: str, count: Callable[[str], int], limit: int) -> str:
    """The text, or where it is too long as many of its first sentences as fit, at least one.

    Args:
        text: of a report.
        count: says how long a text is.
        limit: the greatest length.
    """
    if count(text) <= limit:
        return text
    sentences = split_sentences(text, min_words=0)
    beginnings = (" ".join(sentences[:n]) for n in range(len(sentences), 1, -1))
    return next((one for one in beginnings if count(one) <= limit), sentences[0])


def count_words(sentence: str) -> int:
    """Words that have a letter and aren't the mark of a removed one."""
    return len(_WORD.findall(_REMOVED.sub(" ", sentence)))


def _sentences(text: str) -> list[str]:
    found, start = [], 0
    for end in _END.finditer(text):
        before, behind = text[start : end.start()], text[end.end() :].lstrip()
        if _ABBREVIATION.search(before) or (_TIME.search(before) and behind[:1].islower()):
            continue
        found.append(text[start : end.end()].strip())
        start = end.end()
    return [one for one in (*found, text[start:].strip()) if one]
