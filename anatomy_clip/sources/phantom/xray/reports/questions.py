"""Questions about simulated films: always the same words to two films whose answers differ.

Complementary pairs as in VQA v2 (Goyal et al., CVPR 2017, arXiv 1612.00837), which balance each question by itself: to
the same words one film answers yes and the other one no, or one film the first of two choices and the other one the
second. So yes and no are equally many within each kind, finding and wording, exactly and whatever the prevalence. Who
reads the words alone is right half the time. It needs a handful of films at a time, never the whole cohort.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from anatomy_clip.core.radiographs import Question, RadiographRecord
from anatomy_clip.sources.phantom.xray.reports.facts import Topic, facts
from anatomy_clip.sources.phantom.xray.reports.phrases import fill, noun_of, pick
from anatomy_clip.sources.phantom.xray.reports.words import asked


class _Answer(NamedTuple):
    film: int
    answer: str


Pair = tuple[Topic, _Answer, _Answer]


def ask(
    films: Sequence[RadiographRecord], rng: np.random.Generator, *, held_out: bool = False, most: int = 6
) -> tuple[tuple[Question, ...], ...]:
    """Ask questions about films, each of two films that answer it differently.

    Findings that are there and that the film doesn't show are never asked about.

    Args:
        films: of several patients of one cohort, in any order; the more, the more findings differ among them.
        rng: generator.
        held_out: use the wordings that are kept for test films, and no others.
        most: questions a film.

    Returns:
        For each film its questions.
    """
    questions: list[list[Question]] = [[] for _ in films]
    for topic, first, second in _in_turn(films, rng):
        if max(len(questions[first.film]), len(questions[second.film])) < most:
            words, answers = _worded(topic, first.answer, second.answer, held_out, rng)
            for one, answer in zip((first, second), answers, strict=True):
                questions[one.film].append(Question(topic.kind, words, answer, topic.finding))
    return tuple(map(tuple, questions))


def _in_turn(films: Sequence[RadiographRecord], rng: np.random.Generator) -> list[Pair]:
    """All pairs of films that answer differently, by chance, but so that each kind of question has its turn."""
    told: dict[Topic, list[_Answer]] = {}
    for number, film in enumerate(films):
        for topic, answer in facts(film):
            told.setdefault(topic, []).append(_Answer(number, answer))
    by_kind: dict[str, list[Pair]] = {}
    for topic, answers in told.items():
        by_kind.setdefault(topic.kind, []).extend((topic, *pair) for pair in _pairs(answers, rng))
    ranked: list[tuple[int, Pair]] = []
    for pairs in by_kind.values():
        ranked += ((turn, pairs[place]) for turn, place in enumerate(rng.permutation(len(pairs))))
    return [pair for _, pair in sorted(ranked, key=lambda one: one[0])]


def _pairs(answers: Sequence[_Answer], rng: np.random.Generator) -> list[tuple[_Answer, _Answer]]:
    """As many pairs of different answers as can be, each film in one: always of the two commonest answers left."""
    groups: dict[str, list[_Answer]] = {}
    for place in rng.permutation(len(answers)):
        groups.setdefault(answers[place].answer, []).append(answers[place])
    pairs = []
    while len(groups) > 1:
        first, second = sorted(groups, key=lambda one: len(groups[one]))[-2:]
        pairs.append((groups[first].pop(), groups[second].pop()))
        groups = {answer: left for answer, left in groups.items() if left}
    return pairs


def _worded(
    topic: Topic, first: str, second: str, held_out: bool, rng: np.random.Generator
) -> tuple[str, tuple[str, str]]:
    """A question that two films answer differently, and their answers."""
    table, part = asked(held_out), topic.scope[0]
    form = pick(tuple(table[topic.kind]), rng)
    options = [(first, second), (second, first)][int(rng.integers(2))]
    named = [table["words"].get(one) or noun_of(one, part) for one in options]
    noun = noun_of(topic.finding, part)
    slots = {"a": named[0], "b": named[1], "x": named[0], "finding": noun, "the": f"the {noun.removeprefix('a ')}"}
    question = fill(pick(table[topic.kind][form], rng), slots | {"what": table["counted"].get(topic.finding, "")})
    if form == "choice":
        return question, (noun_of(first, part).removeprefix("a "), noun_of(second, part).removeprefix("a "))
    right = "yes" if topic.kind == "presence" else options[0]
    return question, ("yes", "no") if first == right else ("no", "yes")
