"""Data cards: what each collection is, whose it is, what is in it, and what is known to be wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Bad:
    """Wrong labels: subjects (none where the list isn't known), what is wrong, and the issue that says so."""

    subjects: tuple[str, ...]
    what: str
    issue: str


@dataclass(frozen=True)
class Card:
    """A collection's data card.

    Attributes:
        name: name of the source or collection.
        what: one sentence.
        licence: SPDX id, or words.
        url: page of the publisher; empty for what this package makes itself.
        citation: what to cite.
        counts: what -> number, 1 or more.
        limits: what a user must know.
        known_bad: wrong labels that somebody found.
    """

    name: str
    what: str
    licence: str
    url: str
    citation: str
    counts: Mapping[str, int]
    limits: tuple[str, ...]
    known_bad: tuple[Bad, ...] = ()

    def bad_subjects(self) -> frozenset[str]:
        """Subjects that an issue names."""
        return frozenset(subject for bad in self.known_bad for subject in bad.subjects)


@cache
def cards() -> Mapping[str, Card]:
    """The cards of `cards.yaml`, by name; ValueError as for `read_cards`."""
    return read_cards(files("anatomy_clip.sources").joinpath("cards.yaml").read_text(encoding="utf-8"))


def read_cards(text: str) -> dict[str, Card]:
    """Read cards from YAML and check them.

    Raises:
        ValueError: a card lacks a field or has an unknown or empty one, a count isn't 1 or more, or an issue of wrong
            labels lacks its address; the message names card and field.
    """
    import yaml

    return {str(name): _card(str(name), part) for name, part in yaml.safe_load(text).items()}


def _card(name: str, part: Mapping[str, Any]) -> Card:
    known = {field.name for field in fields(Card)} - {"name"}
    if unknown := sorted(set(part) - known):
        raise ValueError(f"card {name}: unknown field {', '.join(unknown)}; fields are {', '.join(sorted(known))}")
    for field in sorted(known - {"known_bad"}):
        if field not in part or (field != "url" and not part[field]):
            raise ValueError(f"card {name}: {field} is missing or empty; add it")
    for field in ("what", "licence", "url", "citation"):
        if not isinstance(part[field], str):
            raise ValueError(f"card {name}: {field} is {part[field]!r}, not text; put it in quotes")
    for what, count in part["counts"].items():
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"card {name}: counts.{what} is {count!r}; give a whole number of at least 1")
    limits = part["limits"]
    if not isinstance(limits, list) or not all(isinstance(limit, str) for limit in limits):
        raise ValueError(f"card {name}: limits is not a list of sentences; put sentences with a colon in quotes")
    bad = tuple(_bad(name, one) for one in part.get("known_bad", []))
    texts = {field: part[field] for field in ("what", "licence", "url", "citation")}
    return Card(name=name, counts=dict(part["counts"]), limits=tuple(limits), known_bad=bad, **texts)


def _bad(name: str, one: Mapping[str, Any]) -> Bad:
    if set(one) != {"subjects", "what", "issue"} or not str(one["issue"]).startswith("https://"):
        raise ValueError(f"card {name}: known_bad needs subjects, what and issue (an https address); it is {one}")
    return Bad(tuple(one["subjects"]), one["what"], one["issue"])
