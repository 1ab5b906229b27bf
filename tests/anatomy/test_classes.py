"""Exclusive classes of films: which film has which, and what a set of them refuses."""

import numpy as np
import pytest
from films import make_record

from anatomy_clip.anatomy.classes import ClassSet, class_numbers, class_of
from anatomy_clip.anatomy.labels import label_matrices, label_names
from anatomy_clip.core.radiographs import Finding
from anatomy_clip.core.refusals import Refused
from anatomy_clip.core.terms import State, Visibility

CLASSES = ("no_finding", "consolidation", "covid_pattern")


def stated(*shown):
    return {name: Finding(State.POSITIVE if name in shown else State.NEGATIVE) for name in CLASSES}


def film(findings):
    return make_record(0, findings=findings)


def test_a_film_has_a_class_where_it_shows_one_and_has_no_other():
    def of(findings):
        return class_of(film(findings), CLASSES)

    assert [of(stated(name)) for name in CLASSES] == [0, 1, 2]
    assert of(stated()) == of(stated("consolidation", "covid_pattern")) == of({}) == -1
    hidden = Finding(State.POSITIVE, visibility=Visibility.INVISIBLE)
    assert of(stated("no_finding") | {"covid_pattern": hidden}) == -1
    assert of(stated("consolidation") | {"covid_pattern": Finding(State.UNCERTAIN)}) == -1


def test_label_vectors_show_the_class_alone_and_give_it_back():
    labels = ClassSet(CLASSES)
    records = [film(stated(*shown)) for shown in (["consolidation"], [], ["no_finding"], CLASSES[1:], CLASSES[2:])]
    found = label_matrices(records, labels)
    assert list(found) == list(label_names(labels)) == ["class"] and label_names(labels)["class"] == CLASSES
    assert found["class"].tolist() == [[0, 1, 0], [-1] * 3, [1, 0, 0], [-1] * 3, [0, 0, 1]]
    assert class_numbers(found["class"]).tolist() == [1, -1, 0, -1, 2] == [class_of(r, CLASSES) for r in records]
    assert label_matrices([], labels)["class"].shape == (0, 3)
    assert class_numbers(np.zeros((0, 3), np.int8)).shape == (0,)


@pytest.mark.parametrize("classes", [[], ["edema"], ["edema", "edema"], ["edema", "nodule", "edema"]])
def test_fewer_than_two_classes_or_one_twice_are_refused(classes):
    with pytest.raises(
        Refused,
        match=r"^taxonomy\.classes: it has fewer than two classes, or the same class twice; list each class once",
    ):
        ClassSet(classes)
