import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from anatomy_clip.core.radiographs import Finding
from anatomy_clip.core.terms import Side, State, Visibility
from anatomy_clip.sources.phantom.xray.reports.questions import ask
from anatomy_clip.sources.phantom.xray.reports.words import asked
from tests.sources.phantom.xray.reports.studies import ROWS, draw_study, film


def cohort(groups=120, prevalence=0.13, held_out=False):
    """Films of groups of 16 patients, with their questions."""
    asked_of = []
    for group in range(groups):
        rng = np.random.default_rng(group)
        films = [one for k in range(16) for one in draw_study(rng, 16 * group + k, "chest", prevalence)]
        asked_of += zip(films, ask(films, np.random.default_rng([group, 1]), held_out=held_out), strict=True)
    return asked_of


@pytest.fixture(scope="module")
def asked_of():
    return cohort()


def test_yes_and_no_are_equally_many_within_each_kind_and_finding(asked_of):
    counts = defaultdict(Counter)
    for _, questions in asked_of:
        for one in questions:
            counts[one.kind, one.finding][one.answer] += 1
    for key, answers in counts.items():
        assert answers["yes"] == answers["no"], key
    assert {kind for kind, _ in counts} == {"presence", "side", "finding", "view", "number", "severity"}
    assert all(counts["presence", name]["yes"] >= 60 for name in ROWS)


def test_words_alone_answer_no_better_than_a_coin(asked_of):
    told = defaultdict(Counter)
    for _, questions in asked_of:
        for one in questions:
            told[one.question][one.answer] += 1
    assert len(told) > 300
    assert all(len(answers) == 2 and len(set(answers.values())) == 1 for answers in told.values())


WORDS = {"left": "on the left", "right": "on the right", "both": "on both sides"}
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")
NOUNS = {"pulmonary edema": "edema", "pattern of viral pneumonia": "covid_pattern"}


def is_true(question, one):
    """Whether an answer is true, by the film's record and the words of the question."""
    shown = {name for name, finding in one.findings.items() if finding.shown}
    if question.kind == "presence":
        return question.answer == ("yes" if question.finding in shown else "no")
    if question.kind == "finding":
        return NOUNS.get(question.answer, question.answer.replace(" ", "_")) in shown
    if question.kind == "side":
        answer, named = one.findings[question.finding].side.value, WORDS[one.findings[question.finding].side]
    elif question.kind == "view":
        answer = named = one.projection.value
    else:
        answer = named = NUMBERS[len(shown - {"support_devices"})]
    if not re.search(rf"\b{named}\b", question.question):
        return question.answer == "no"
    return question.answer in ("yes", answer)


def test_answers_are_true_of_the_film(asked_of):
    told = [(question, one) for one, questions in asked_of for question in questions]
    told = [(question, one) for question, one in told if question.kind != "severity"]
    told = [(question, one) for question, one in told if question.kind != "number" or not question.finding]
    assert len(told) > 5000
    assert [question for question, one in told if not is_true(question, one)] == []
    assert {question.kind for question, _ in told} == {"presence", "finding", "side", "view", "number"}


def test_two_films_that_differ_get_the_same_question():
    small, large = (
        Finding(State.POSITIVE, side, "lower", size, visibility=Visibility.CLEAR)
        for side, size in ((Side.LEFT, "mild"), (Side.RIGHT, "severe"))
    )
    films = [film(pleural_effusion=small), film(pleural_effusion=large)]
    for seed in range(30):
        first, second = ask(films, np.random.default_rng(seed))
        assert [one.question for one in first] == [one.question for one in second]
        answers = {one.kind: {one.answer, other.answer} for one, other in zip(first, second, strict=True)}
        assert answers["side"] in ({"left", "right"}, {"yes", "no"})
        assert answers["severity"] in ({"small", "large"}, {"yes", "no"})
        assert set(answers) == {"side", "severity"}  # presence, number and view are the same of both


def test_nothing_is_asked_about_what_a_film_does_not_show_or_can_not_tell():
    hidden = [film(nodule="invisible"), film(nodule="no")]
    assert not any(one.finding for questions in ask(hidden, np.random.default_rng(0)) for one in questions)
    hand = Finding(State.POSITIVE, Side.LEFT, "radius", visibility=Visibility.CLEAR)
    other = Finding(State.POSITIVE, Side.RIGHT, "radius", visibility=Visibility.CLEAR)
    wrists = [film("wrist", "PA", Side.LEFT, limb_fracture=hand), film("wrist", "PA", Side.RIGHT, limb_fracture=other)]
    assert ask(wrists, np.random.default_rng(0)) == ((), ())
    assert ask([], np.random.default_rng(0)) == ()


def test_films_are_compared_with_films_of_the_same_view_only():
    films = [film(nodule="clear"), film(projection="lateral", nodule="no"), film("wrist", limb_fracture="clear")]
    asked_for = [{one.kind for one in questions} for questions in ask(films, np.random.default_rng(0))]
    assert asked_for == [{"view"}, {"view"}, set()]


def test_devices_are_counted_by_their_names():
    lines = [
        film(support_devices=Finding(State.POSITIVE, zone=zone, visibility=Visibility.CLEAR))
        for zone in ("pacemaker", "chest_drain, tracheal_tube")
    ]
    answers = [
        {one.answer for seed in range(20) for one in ask(lines, np.random.default_rng(seed))[k] if one.kind == "number"}
        for k in (0, 1)
    ]
    assert answers == [{"one", "yes", "no"}, {"two", "yes", "no"}]


def test_no_question_of_a_test_film_stands_among_others(asked_of):
    test = {one.question for _, questions in cohort(20, held_out=True) for one in questions}
    assert len(test) > 50
    assert not test & {one.question for _, questions in asked_of for one in questions}


def test_each_kind_has_its_wordings():
    for kind, forms in asked(False).items():
        for form in ("choice", "yes_no"):
            if kind not in ("words", "numbers", "counted") and form in forms:
                assert len(set(forms[form])) >= 4 and len(set(asked(True)[kind][form])) >= 2


def test_a_film_has_no_more_questions_than_wanted_and_the_same_seed_asks_the_same():
    films = [one for k in range(20) for one in draw_study(np.random.default_rng(k), k, "chest", 0.4)]
    first = ask(films, np.random.default_rng(1), most=3)
    assert max(map(len, first)) == 3
    assert first == ask(films, np.random.default_rng(1), most=3) != ask(films, np.random.default_rng(2), most=3)
