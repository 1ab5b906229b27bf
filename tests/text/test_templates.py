from __future__ import annotations

import pytest
from support import TABLE1_ORGAN, TABLE1_STATION

from anatomy_clip.text import templates as t


def test_table_one_word_for_word():
    slots = t.make_slots("sagittal", "MR T2", ["knee"], ["lower body"])
    assert t.fill(TABLE1_STATION, slots) == (
        "A sagittal oriented MR T2 image of knee organs belong to lower body region"
    )
    slots = t.make_slots("axial", "CT", ["liver", "intestine"], [])
    assert t.fill(TABLE1_ORGAN, slots) == "An image of axial CT scan consisting of liver, intestine organs"


def test_several_stations_are_joined():
    assert t.make_slots("axial", "CT", [], ["abdomen", "pelvis"])["station"] == "abdomen and pelvis"


def test_slots():
    assert t.slots_of(TABLE1_STATION) == set(t.SLOTS)
    assert t.slots_of("plain") == frozenset()
    assert "organ" not in t.make_slots("axial", "CT", [], ["head"])


def test_the_first_template_that_can_be_filled_is_used():
    wording = ("{organ} in {station}", "{organ}", "{station}", "{modality}")
    cases = {
        (True, True): "liver in abdomen",
        (True, False): "liver",
        (False, True): "abdomen",
        (False, False): "CT",
    }
    for (organ, station), sentence in cases.items():
        slots = t.make_slots("axial", "CT", ["liver"] * organ, ["abdomen"] * station)
        assert t.fill_first(wording, slots) == sentence


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: t.slots_of("{organs}"), "unknown slot 'organs'"),
        (lambda: t.slots_of("{organ"), "template"),
        (lambda: t.slots_of("{}"), "unknown slot ''"),
        (lambda: t.fill("{organ}", {"station": "head"}), "no text for the slot 'organ'"),
        (lambda: t.fill_first(("{organ}",), {"modality": "CT"}), "no template"),
        (lambda: t.check_wording(("{organ}", "{station}")), "neither organ nor station"),
        (lambda: t.check_wording(()), "neither organ nor station"),
    ],
)
def test_faults_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
