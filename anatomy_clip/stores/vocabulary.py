"""The words of a store's reports, kept beside its manifest: what a text tower of whole words is made for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.radiographs import RADIOGRAPHS
from anatomy_clip.core.refusals import Refused
from anatomy_clip.text.reports.words import report_words

VOCABULARY = "vocabulary.json"
VOCABULARY_VERSION = 1  # raised when reports are cut into words in another way


def write_vocabulary(folder: Path, records: Manifest[Any]) -> tuple[str, ...]:
    """Write the words of the films' reports into a store's folder; returns the file's name, where there are any."""
    words = report_words(records) if records.kind is RADIOGRAPHS else ()
    if not words:
        return ()
    (folder / VOCABULARY).write_text(json.dumps(words, ensure_ascii=False, indent=0), encoding="utf-8")
    return (VOCABULARY,)


def read_vocabulary(store: Path) -> tuple[str, ...]:
    """Read the words of a store's reports.

    Raises:
        Refused: the store has none, or the file can't be read.
    """
    try:
        return tuple(json.loads((store / VOCABULARY).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise Refused(
            f"it has no readable vocabulary ({type(error).__name__}): it has no films with reports, or it was made by "
            "an old version",
            "prepare a store of films with reports, and list it first in data.train",
            store / VOCABULARY,
        ) from error
