from __future__ import annotations

import pytest

from anatomy_clip.anatomy.rules import Areas, expand, parse_names, parse_rule, split_side
from anatomy_clip.core.terms import Orientation

AXIAL, CORONAL = Orientation.AXIAL, Orientation.CORONAL


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("femur_left", ("femur", "left")),
        ("rib_right_10", ("rib_10", "right")),
        ("lung_upper_lobe_left", ("lung_upper_lobe", "left")),
        ("fibula", ("fibula", None)),
        ("leftover", ("leftover", None)),
    ],
)
def test_split_side(name, expected):
    assert split_side(name) == expected


def test_expand():
    assert expand("a_{x,y}_{1..3}") == ["a_x_1", "a_x_2", "a_x_3", "a_y_1", "a_y_2", "a_y_3"]
    assert expand("plain") == ["plain"]


def test_areas_by_side():
    areas = Areas({"ulna_left": 3.0, "ulna_right": 5.0, "radius": 10.0})
    assert areas.of(("ulna", "radius")) == 18.0
    assert areas.of(("ulna", "radius"), 0) == 13.0  # a radius with no side counts for either
    assert areas.of(("ulna",), 1) == 5.0
    assert areas.of(("nothing",)) == 0.0
    assert areas.parts("ulna") == (3.0, 5.0, 0.0) and areas.parts("nothing") == ()


def rule(**data):
    return parse_rule(data, {"arm": ["ulna", "radius"]}, float, "test")


def test_one_side_and_exclusion():
    elbow = rule(all={"humerus": 100, "arm": 100}, one_side=True)
    assert elbow.holds(Areas({"humerus_left": 100, "ulna_left": 60, "radius_left": 40}), AXIAL)
    assert not elbow.holds(Areas({"humerus_left": 100, "ulna_right": 100}), AXIAL)
    assert not elbow.holds(Areas({"humerus_left": 99, "ulna_left": 100}), AXIAL)
    forearm = rule(all={"arm": 100}, none={"humerus": 50}, one_side=True, planes=["axial"])
    assert forearm.holds(Areas({"ulna_left": 100, "humerus_right": 900}), AXIAL)
    assert not forearm.holds(Areas({"ulna_left": 100, "humerus_left": 900}), AXIAL)
    assert not forearm.holds(Areas({"ulna_left": 100}), CORONAL)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"al": {"liver": 1}}, "unknown rule key 'al'"),
        ({"none": {"liver": 1}}, "needs 'all'"),
        ({"all": {"liver": 0}}, "must be positive"),
        ({"all": {"kidney_left": 1}}, "write 'kidney'"),
        ({"all": {"liver": 1}, "planes": ["oblique"]}, "oblique"),
    ],
)
def test_faults_in_rules_are_named(data, message):
    with pytest.raises(ValueError, match=message):
        rule(**data)


def test_groups_and_braces_in_names():
    assert parse_names("arm + vertebrae_C{3..4} + arm", {"arm": ["ulna"]}, "t") == (
        "ulna",
        "vertebrae_C3",
        "vertebrae_C4",
    )
