"""What the header calls the body part, beside what the image shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

import yaml

Terms = Mapping[str, Mapping[str, list[str]]]


@cache
def terms() -> Terms:
    """DICOM's defined terms -> the stations, or else the organs, that agree with them."""
    text = (files("anatomy_clip.describe") / "body_parts.yaml").read_text(encoding="utf-8")
    found: Terms = yaml.safe_load(text)
    return found


def defined_term(said: str) -> str:
    """The defined term that a header says, or "": anything else could be a name, and is kept to itself."""
    plain = "".join(letter for letter in said.upper() if letter.isalnum())
    return plain if plain in terms() else ""


def agrees(term: str, stations: Iterable[str], organs: Iterable[str]) -> bool | None:
    """Whether a defined term and what an image shows can be of one body part.

    Args:
        term: from `defined_term`.
        stations: named in the image.
        organs: named in the image.

    Returns:
        None where the header says nothing, or nothing is named in the image.
    """
    stations, organs = set(stations), set(organs)
    known = terms().get(term)
    if known is None or not stations | organs:
        return None
    shown = stations if "stations" in known else organs
    return not shown.isdisjoint(known.get("stations", known.get("organs", [])))
