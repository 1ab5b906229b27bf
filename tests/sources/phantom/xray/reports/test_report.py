import re
from collections import Counter

import numpy as np
import pytest

from anatomy_clip.core.radiographs import Finding
from anatomy_clip.core.terms import Side, State, Visibility
from anatomy_clip.sources.phantom.xray.reports.report import write_report
from anatomy_clip.sources.phantom.xray.reports.study import to_say
from anatomy_clip.sources.phantom.xray.reports.words import wordings
from anatomy_clip.text.reports.labeller import NO_FINDING, NOT_A_FINDING, finding_names, label_text
from anatomy_clip.text.reports.sections import join_texts
from anatomy_clip.text.reports.sentences import split_sentences
from anatomy_clip.text.reports.states import Label
from tests.sources.phantom.xray.reports.studies import draw_study, film


def report(films, seed=0, held_out=False):
    return write_report(films, np.random.default_rng(seed), held_out=held_out)


def labels(films, seed=0, held_out=False):
    return label_text(join_texts(report(films, seed, held_out).values()))


def wanted(said, part):
    """Labels of a report that says this; of what is absent the side doesn't count."""
    found = {finding: Label() for finding in finding_names()}
    found |= {name: Label(one.state, one.side) for name, one in said.items()}
    states = [one.state for name, one in said.items() if name not in NOT_A_FINDING]
    normal = State.POSITIVE if part == "chest" else State.UNMENTIONED
    worst = next((one for one in (State.POSITIVE, State.UNCERTAIN) if one in states), None)
    found[NO_FINDING] = Label({State.POSITIVE: State.NEGATIVE, State.UNCERTAIN: State.UNCERTAIN}.get(worst, normal))
    return found


@pytest.mark.parametrize("held_out", [False, True])
def test_the_labeller_finds_in_a_report_what_it_says_and_nothing_else(held_out):
    for number in range(1200):
        films = draw_study(np.random.default_rng(number), number)
        said = to_say(films, np.random.default_rng([number, 1]))
        found = labels(films, [number, 1], held_out)
        found = {name: Label(one.state) if one.state is State.NEGATIVE else one for name, one in found.items()}
        assert found == wanted(said, films[0].part), report(films, [number, 1], held_out)


def test_the_state_of_a_study_is_that_of_its_films():
    rng = np.random.default_rng(0)
    films = [
        film(edema="invisible", nodule="subtle", consolidation="subtle", cardiomegaly="clear", atelectasis="no"),
        film(projection="lateral", edema="invisible", nodule="clear", consolidation="invisible", atelectasis="no"),
    ]
    said = [to_say(films, rng) for _ in range(400)]
    states = {name: {one[name].state for one in said if name in one} for one in said for name in one}
    assert states == {
        "nodule": {State.POSITIVE}, "consolidation": {State.UNCERTAIN}, "cardiomegaly": {State.POSITIVE},
        "atelectasis": {State.NEGATIVE},
    }  # fmt: skip
    assert sum("atelectasis" not in one for one in said) / 400 == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize("seed", range(40))
def test_what_no_film_shows_is_not_said_and_not_denied(seed):
    found = labels([film(consolidation="invisible", edema="no", pleural_effusion="invisible", nodule="no")], seed)
    assert found["consolidation"].state is found["pleural_effusion"].state is State.UNMENTIONED


@pytest.mark.parametrize("seed", range(20))
def test_a_lateral_film_of_the_chest_tells_no_side(seed):
    effusion = Finding(State.POSITIVE, Side.LEFT, "lower", "mild", visibility=Visibility.CLEAR)
    assert labels([film(projection="lateral", pleural_effusion=effusion)], seed)["pleural_effusion"].side is None
    assert labels([film(pleural_effusion=effusion)], seed)["pleural_effusion"].side is Side.LEFT


def test_lateral_films_alone_say_nothing_of_the_heart():
    films = [film(projection="lateral", nodule="no", pleural_effusion="no")]
    texts = [" ".join(report(films, seed, seed % 2 == 0).values()).lower() for seed in range(60)]
    assert not any(re.search("heart|mediastin|cardiac", one) for one in texts)


def test_words_of_a_finding_follow_its_severity_side_zone_and_measure():
    nodule = Finding(State.POSITIVE, Side.RIGHT, "upper", "mild", 18.2, Visibility.CLEAR)
    effusion = Finding(State.POSITIVE, Side.BOTH, "lower", "severe", 900.0, Visibility.CLEAR)
    texts = [report([film(nodule=nodule, pleural_effusion=effusion)], seed)["findings"] for seed in range(60)]
    assert all("right upper lung" in one and re.search(r"effusions\b", one) for one in texts)
    assert {re.search(r"18 mm|1\.8 cm|small", one, re.I)[0].lower() for one in texts} == {"18 mm", "1.8 cm", "small"}
    assert any("an 18 mm" in one.lower() for one in texts)
    assert not any(re.search(r"\ba (?:18|8|[aeio])|  | \.|\{", one.lower()) for one in texts)


def test_a_limb_s_report_names_part_and_side_and_bone():
    fracture = Finding(State.POSITIVE, Side.LEFT, "radius", "severe", visibility=Visibility.CLEAR)
    films = [film("wrist", "PA", Side.LEFT, limb_fracture=fracture, support_devices="no"),
             film("wrist", "lateral", Side.LEFT, limb_fracture=fracture, support_devices="no")]  # fmt: skip
    for seed in range(20):
        text = report(films, seed)
        assert text["findings"].startswith("PA and lateral views of the left wrist")
        assert "left radius" in text["impression"]


def test_the_impression_names_what_is_there_by_its_weight():
    films = [film(cardiomegaly="clear", pneumothorax="clear", nodule="subtle", edema="no")]
    for seed in range(20):
        text = report(films, seed)["impression"].lower()
        assert text.index("pneumothora") < re.search(r"cardiomegaly|enlargement", text).start() < text.index("nod")
        assert "edema" not in text


def test_reports_are_as_long_as_those_of_open_i():
    sizes = Counter()
    for number in range(300):
        text = report(draw_study(np.random.default_rng(number), number, "chest"), number)
        sizes["findings", len(split_sentences(text["findings"], 1)) in range(3, 7)] += 1
        sizes["impression", len(split_sentences(text["impression"], 1)) in (1, 2)] += 1
    assert sizes["findings", True] > 255 and sizes["impression", True] > 285


def lists(node):
    if isinstance(node, list):
        return [node]
    return [one for part in node.values() for one in lists(part)] if isinstance(node, dict) else []


def test_two_wordings_of_eight_are_kept_for_test_reports():
    train, test = lists(wordings(False)), lists(wordings(True))
    divided = [(ours, theirs) for ours, theirs in zip(train, test, strict=True) if ours != theirs]
    assert len(divided) > 20
    assert all((len(set(ours)), len(set(theirs)), set(ours) & set(theirs)) == (6, 2, set()) for ours, theirs in divided)


def test_no_sentence_of_a_test_report_stands_in_another_one():
    def sentences(held_out):
        studies = (draw_study(np.random.default_rng(number), number) for number in range(400))
        texts = [join_texts(report(films, 7, held_out).values()) for films in studies]
        return {one for text in texts for one in split_sentences(text, 1)}

    assert not sentences(True) & sentences(False)


def test_the_same_seed_writes_the_same_report():
    films = draw_study(np.random.default_rng(3))
    assert report(films, 5) == report(films, 5)
    assert len({report(films, seed)["findings"] for seed in range(20)}) > 10
