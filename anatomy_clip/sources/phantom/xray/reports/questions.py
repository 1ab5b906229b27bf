"""Questions about simulated films: always the same words to two films whose answers differ.

Complementary pairs as in VQA v2 (Goyal et al., CVPR 2017, arXiv 1612.00837), which balance each question by itself: to
the same words one film answers yes and the other one no, or one film the first of two choices and the other one the
second. So yes and no are equally many within each kind, finding and wording, exactly and whatever the prevalence. Who
reads the words alone is right half the time. It needs a handful of films at a time, never the whole cohort.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from anatomy_clip.core.radiographs import Question, RadiographRecord
from anatomy_clip.core.terms import Projection, State
from anatomy_clip.sources.phantom.xray.reports.phrases import fill, pick
from anatomy_clip.sources.phantom.xray.reports.study import CHEST, sided_by
from anatomy_clip.sources.phantom.xray.reports.words import Table, asked, wordings

_DEVICES = "support_devices"  # no abnormality


class _Topic(NamedTuple):
    """What films may be asked about.

    Attributes:
        kind: of the question.
        finding: that it is about, or none.
        scope: films are compared within the same scope only: part and, but for views, projection.
    """

    kind: str
    finding: str
    scope: tuple[str, str]


class _Answer(NamedTuple):
    """A film's number, and what it answers."""

    film: int
    answer: str


def ask(
    films: Sequence[RadiographRecord], rng: np.random.Generator, *, held_out: bool = False, most: int = 6
) -> tuple[tuple[Question, ...], ...]:
    """Ask questions about films, each to two of them that answer it differently.

    Findings that are there and that the film doesn't show are never asked about.

    Args:
        films: of several patients of one cohort, in any order; eight to sixteen are enough.
        rng: generator.
        held_out: use the wordings that are kept for test films, and no others.
        most: questions a film.

    Returns:
        For each film its questions.
    """
    questions: list[list[Question]] = [[] for _ in films]
    for topic, first, second in _in_turn(films, rng):
        if max(len(questions[first.film]), len(questions[second.film])) < most:
            words, answers = _worded(topic, first.answer, second.answer, asked(held_out), rng)
            for one, answer in zip((first, second), answers, strict=True):
                questions[one.film].append(
                    Question(topic.kind, words, answer, "" if topic.kind == "finding" else topic.finding)
                )
    return tuple(map(tuple, questions))


def _in_turn(films: Sequence[RadiographRecord], rng: np.random.Generator) -> list[tuple[_Topic, _Answer, _Answer]]:
    """All pairs of films that answer differently, by chance, but so that each kind of question has its turn."""
    by_kind = defaultdict(list)
    for topic, answers in _answers(films).items():
        by_kind[topic.kind] += [(topic, *pair) for pair in _pairs(answers, rng)]
    ranked = [
        (turn, pairs[place]) for pairs in by_kind.values() for turn, place in enumerate(rng.permutation(len(pairs)))
    ]
    return [pair for _, pair in sorted(ranked, key=lambda one: one[0])]


def _answers(films: Sequence[RadiographRecord]) -> Mapping[_Topic, list[_Answer]]:
    """Topic -> the films that may be asked about it, each with its answer."""
    found = defaultdict(list)
    for number, film in enumerate(films):
        for kind, finding, answer in _facts(film):
            scope = (film.part, "" if kind == "view" else film.projection.value)
            found[_Topic(kind, finding, scope)].append(_Answer(number, answer))
    return found


def _facts(film: RadiographRecord) -> Iterator[tuple[str, str, str]]:
    """Kind of question, finding and answer of all that a film tells."""
    known = wordings(False)["findings"]
    shown = [name for name in known if name in film.findings and film.findings[name].shown]
    absent = [name for name in known if name in film.findings and film.findings[name].state is State.NEGATIVE]
    yield from (("presence", name, "yes") for name in shown)
    yield from (("presence", name, "no") for name in absent)
    for name in shown:
        finding = film.findings[name]
        if finding.side and film.part == CHEST and sided_by(film):
            yield "side", name, finding.side.value
        if finding.severity in known[name]["sizes"]:
            yield "severity", name, known[name]["sizes"][finding.severity]
    for name, other in product(shown, absent):
        yield "finding", "/".join(sorted((name, other))), name
    if film.projection in (Projection.PA, Projection.AP, Projection.LATERAL):
        yield "view", "", film.projection.value
    if film.findings:
        yield "number", "", asked(False)["numbers"][sum(name != _DEVICES for name in shown)]


def _pairs(answers: Sequence[_Answer], rng: np.random.Generator) -> list[tuple[_Answer, _Answer]]:
    """As many pairs of different answers as there are, each film in one."""
    groups = defaultdict(list)
    for place in rng.permutation(len(answers)):
        groups[answers[place].answer].append(answers[place])
    pairs = []
    while len(groups) > 1:
        first, second = sorted(groups, key=lambda one: len(groups[one]))[-2:]
        pairs.append((groups[first].pop(), groups[second].pop()))
        groups = defaultdict(list, {answer: left for answer, left in groups.items() if left})
    return pairs


def _worded(
    topic: _Topic, first: str, second: str, table: Table, rng: np.random.Generator
) -> tuple[str, tuple[str, str]]:
    """A question that two films answer differently, and their answers."""
    nouns = wordings(False)["findings"]
    forms = table[topic.kind]
    form = pick(tuple(forms), rng)
    noun = nouns[topic.finding]["noun"] if topic.finding in nouns else ""
    slots = {"finding": noun, "the": f"the {noun.removeprefix('a ')}"}
    options = [(first, second), (second, first)][int(rng.integers(2))]
    said = [nouns[one]["noun"] if one in nouns else table["words"].get(one, one) for one in options]
    question = fill(pick(forms[form], rng), slots | {"a": said[0], "b": said[1], "x": said[0]})
    if form == "choice":
        return question, (_short(first), _short(second))
    asked_of = "yes" if topic.kind == "presence" else options[0]
    return question, ("yes", "no") if first == asked_of else ("no", "yes")


def _short(answer: str) -> str:
    """The answer's words: of a finding its noun."""
    nouns = wordings(False)["findings"]
    return str(nouns[answer]["noun"]).removeprefix("a ") if answer in nouns else answer
