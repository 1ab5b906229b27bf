import json

import numpy as np
import pytest
from support import compose_config

from anatomy_clip.anatomy.findings import FindingSet
from anatomy_clip.anatomy.labels import label_matrices, label_names
from anatomy_clip.core.radiographs import Finding, RadiographRecord
from anatomy_clip.core.refusals import Refused
from anatomy_clip.core.terms import State, Visibility
from anatomy_clip.runs.wiring import build
from anatomy_clip.text.reports.vocabulary import findings as of_the_labeller

NAMES = ("edema", "nodule", "pneumothorax", "consolidation", "atelectasis", "rib_fracture", "cardiomegaly")


def film(**states):
    findings = {name: one if isinstance(one, Finding) else Finding(one) for name, one in states.items()}
    return RadiographRecord("s", "train", "p", "st", "i", findings=findings)


FILM = film(
    edema=State.POSITIVE, nodule=State.NEGATIVE, pneumothorax=State.UNCERTAIN, consolidation=State.UNMENTIONED,
    atelectasis=Finding(State.POSITIVE, visibility=Visibility.INVISIBLE),
    rib_fracture=Finding(State.POSITIVE, visibility=Visibility.SUBTLE), no_finding=State.NEGATIVE,
)  # fmt: skip


def test_states_become_labels_and_what_no_film_shows_is_unknown():
    labels = FindingSet(NAMES).vector(FILM)
    assert labels.dtype == np.int8
    assert dict(zip(NAMES, labels.tolist(), strict=True)) == {
        "edema": 1, "nodule": 0, "pneumothorax": -1, "consolidation": -1, "atelectasis": -1, "rib_fracture": 1,
        "cardiomegaly": -1,
    }  # fmt: skip


@pytest.mark.parametrize(("policy", "expected"), [(0, 0), (1, 1), ("ignore", -1)])
def test_an_uncertain_finding_counts_as_its_policy_says_and_no_other_does(policy, expected):
    labels = FindingSet(NAMES, {"pneumothorax": policy})
    unsure = film(pneumothorax=State.UNCERTAIN, nodule=State.UNCERTAIN)
    assert labels.vector(unsure).tolist() == [-1, -1, expected, -1, -1, -1, -1]


def test_matrices_have_a_row_a_film_and_the_names_are_in_their_order():
    labels = FindingSet(NAMES)
    assert label_names(labels) == {"finding": NAMES}
    matrix = label_matrices([FILM, film()], labels)["finding"]
    assert matrix.shape == (2, 7) and (matrix[0] == labels.vector(FILM)).all() and (matrix[1] == -1).all()
    assert label_matrices([], labels)["finding"].shape == (0, 7)


def test_the_set_comes_back_from_plain_values():
    labels = FindingSet(NAMES, {"edema": 1, "nodule": "ignore"})
    plain = json.loads(json.dumps(labels.to_dict()))
    assert plain == labels.to_dict() == FindingSet.from_dict(plain).to_dict()


def test_the_config_names_what_the_labeller_knows_but_no_finding():
    labels = build(compose_config("config", "taxonomy=findings").taxonomy)
    assert {*labels.findings} == {*of_the_labeller()} - {"no_finding"}


@pytest.mark.parametrize(
    ("findings", "uncertain", "said"),
    [
        ([], {}, "empty"),
        (["edema", "edema"], {}, "twice"),
        (["edema", "nodule"], {"nodul": 1}, "did you mean 'nodule'"),
        (["edema"], {"edema": 2}, r"edema=2: isn't known; give 0, 1 or ignore"),
    ],
)
def test_what_cannot_be_is_refused(findings, uncertain, said):
    with pytest.raises(Refused, match=said):
        FindingSet(findings, uncertain)
