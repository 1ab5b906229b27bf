"""What a record's report says of its film, and the words of many reports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from anatomy_clip.core.radiographs import RadiographRecord
from anatomy_clip.text.reports.sections import DESCRIBING, join_texts

_WORD = re.compile(r"\w+")


def described_by(report: Mapping[str, str]) -> str:
    """Findings and impression of a report, section -> text; empty where it has neither."""
    return join_texts(report.get(name) for name in DESCRIBING)


def split_words(text: str) -> list[str]:
    """The words of a text in lower case; what is no letter, digit or underscore parts them."""
    return _WORD.findall(text.lower())


def report_words(records: Iterable[RadiographRecord]) -> tuple[str, ...]:
    """The distinct words of the records' reports, in alphabetical order."""
    texts = {described_by(record.report) for record in records}
    return tuple(sorted({word for text in texts for word in split_words(text)}))
