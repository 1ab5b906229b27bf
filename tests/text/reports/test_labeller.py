import csv
from pathlib import Path

import pytest

from anatomy_clip.core.terms import Side, State
from anatomy_clip.text.reports.labeller import NO_FINDING, NOT_A_FINDING, finding_names, label_text, plain
from anatomy_clip.text.reports.states import Label

HERE = Path(__file__).parent
FLOORS = {"tune": (71, 71, 60, 60), "held_out": (242, 246, 196, 200)}  # decisions right, of; sentences right, of
NAMES = {"P": State.POSITIVE, "U": State.UNCERTAIN, "N": State.NEGATIVE}


def wanted(labels):
    """All labels of a row of sentences.csv, and the findings that the row names."""
    named = {}
    for part in filter(None, labels.split("; ")):
        finding, value = part.split("=")
        state, _, side = value.partition(":")
        named[finding] = Label(State(state), Side(side) if side else None)
    full = {finding: named.get(finding, Label()) for finding in finding_names()}
    stated = {label.state for finding, label in named.items() if finding not in NOT_A_FINDING}
    if State.POSITIVE in stated:
        full[NO_FINDING] = Label(State.NEGATIVE)
    elif State.UNCERTAIN in stated:
        full[NO_FINDING] = Label(State.UNCERTAIN)
    return full, set(named)


def rows(part):
    with (HERE / "sentences.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["part"] == part]


@pytest.mark.parametrize("part", FLOORS)
def test_sentences_by_hand_are_labelled_as_well_as_measured(part):
    """A decision: state and side of a finding that the sentence's row names; a sentence: all findings, named or not."""
    decisions = right = whole = 0
    for row in rows(part):
        full, named = wanted(row["labels"])
        got = label_text(row["sentence"])
        decisions += len(named)
        right += sum(got[finding] == full[finding] for finding in named)
        whole += got == full
    least_right, of, least_whole, sentences = FLOORS[part]
    assert (decisions, len(rows(part))) == (of, sentences)
    assert right >= least_right
    assert whole >= least_whole


def test_every_finding_is_among_the_sentences():
    named = {finding for part in FLOORS for row in rows(part) for finding in wanted(row["labels"])[1]}
    assert named == set(finding_names())


@pytest.mark.parametrize(
    ("text", "finding", "expected"),
    [
        ("No change in the small left effusion.", "pleural_effusion", "P left"),
        ("There is no evidence for effusion, infiltrate, or edema.", "edema", "N"),
        ("No effusion, but the heart is enlarged.", "cardiomegaly", "P"),
        ("No pneumothorax and a moderate left effusion.", "pleural_effusion", "P left"),
        ("Density representing atelectasis rather than pneumonia.", "atelectasis", "P"),
        ("Density representing atelectasis rather than pneumonia.", "consolidation", "N"),
        ("Lungs free of consolidation, nodules and edema.", "nodule", "N"),
        ("Pneumonia can't be excluded.", "consolidation", "U"),
        ("Atelectasis, but pneumonia cannot be excluded.", "atelectasis", "P"),
        ("Opacity may be due to atelectasis, effusion, or pneumonia.", "atelectasis", "U"),
        ("Prior left effusion has cleared.", "pleural_effusion", "N left"),
        ("Scarring from prior pneumonia.", "consolidation", "-"),
        ("Probably no effusion.", "pleural_effusion", "U"),
        ("No effusion is suspected.", "pleural_effusion", "N"),
        ("Pneumonia is not likely.", "consolidation", "N"),
        ("?pneumonia", "consolidation", "U"),
        ("Left effusion, probably small.", "pleural_effusion", "P left"),
        ("Atelectasis at the left base and right effusion.", "atelectasis", "P left"),
        ("Atelectasis at the left base and right effusion.", "pleural_effusion", "P right"),
        ("Consolidation in the right lung; on the left there is atelectasis.", "atelectasis", "P left"),
        ("Right pneumothorax with shift of the mediastinum to the left.", "pneumothorax", "P right"),
        ("Pacemaker leads end in the right atrium.", "support_devices", "P"),
        ("The heart is normal and the right hilum is enlarged.", "cardiomegaly", "N"),
        ("No fractures of the ribs or clavicle.", "limb_fracture", "N"),
        ("Fractures of the left 4th, 5th and 6th ribs.", "rib_fracture", "P left"),
        ("Compression fracture of T12.", "rib_fracture", "-"),
        ("GROUND-GLASS opacities", "covid_pattern", "P"),
        ("Right hydropneumothorax.", "pneumothorax", "P right"),
        ("Right basilar opacity is likely atelectasis.", "atelectasis", "U right"),
        ("The density was probable pneumonia.", "consolidation", "U"),
        ("Pneumonia is likely.", "consolidation", "U"),
        ("Pneumonia is likely in the right lung.", "consolidation", "U right"),
        ("Pneumonia is likely, atelectasis is present.", "atelectasis", "P"),
        ("Possible left effusion, mild atelectasis or small nodule.", "nodule", "U"),
        ("Possible left effusion, mild atelectasis.", "atelectasis", "P left"),
        ("The heart is of normal size.", "cardiomegaly", "N"),
        ("Atelectasis at both lung bases and right rib fracture.", "rib_fracture", "P right"),
        ("Atelectasis at both lung bases and right rib fracture.", "atelectasis", "P both"),
        ("No fracture of the left shoulder.", "limb_fracture", "N left"),
        ("Plate and screws of the left radius.", "support_devices", "P left"),
        ("Platelike atelectasis.", "support_devices", "-"),
        ("Right hydropneumothorax.", "pleural_effusion", "P right"),
    ],
)
def test_cues_and_sides(text, finding, expected):
    label = label_text(text)[finding]
    state, _, side = expected.partition(" ")
    assert label == Label(NAMES.get(state, State.UNMENTIONED), Side(side) if side else None)


def test_of_several_sentences_the_strongest_state_counts_with_its_sides():
    text = "No left effusion. Possible left effusion. Right effusion."
    assert label_text(text)["pleural_effusion"] == Label(State.POSITIVE, Side.RIGHT)
    assert label_text("Left effusion. Right effusion.")["pleural_effusion"] == Label(State.POSITIVE, Side.BOTH)
    assert label_text("No effusion. Possible effusion.")["pleural_effusion"].state is State.UNCERTAIN


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("No acute cardiopulmonary abnormality.", "P"),
        ("No acute cardiopulmonary abnormality. Pacemaker.", "P"),
        ("No acute cardiopulmonary abnormality. Cardiomegaly.", "N"),
        ("No acute cardiopulmonary abnormality. Possible effusion.", "U"),
        ("No effusion.", "-"),
        ("No acute bony abnormality.", "-"),
    ],
)
def test_no_finding_follows_from_the_others(text, state):
    assert label_text(text)[NO_FINDING].state is NAMES.get(state, State.UNMENTIONED)


@pytest.mark.parametrize("text", ["", " \n", "\x00\ufffd", "\ud800", "___ XXXX.", "Поле зрения.", "((((", "? ? ."])
def test_text_without_a_finding_mentions_none(text):
    assert label_text(text) == dict.fromkeys(finding_names(), Label())


def test_letters_marks_and_lines_make_no_difference():
    plainly = label_text("Small right-sided effusion. No pneumothorax.")
    assert label_text("SMALL RIGHT\N{NON-BREAKING HYPHEN}SIDED\n EFFUSION.  1. NO PNEUMOTHORAX") == plainly
    assert plain("It\N{RIGHT SINGLE QUOTATION MARK}s  COVID-19") == "it's covid 19"
