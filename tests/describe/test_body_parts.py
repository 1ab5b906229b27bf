import pytest

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.describe.body_parts import agrees, defined_term, terms


def test_every_term_is_a_code_string_of_words_that_the_taxonomy_has():
    taxonomy = Taxonomy.load("whole_body")
    for term, known in terms().items():
        assert term == term.upper()
        assert term.isalnum()
        assert len(term) <= 16, f"{term}: CS holds 16 characters"
        assert len(known) == 1
        assert set(known.get("stations", [])) <= set(taxonomy.stations), term
        assert set(known.get("organs", [])) <= set(taxonomy.organs), term


def test_the_paths_of_all_stations_are_covered():
    named = {station for known in terms().values() for station in known.get("stations", [])}
    assert named == set(Taxonomy.load("whole_body").stations)


@pytest.mark.parametrize(
    ("said", "term"),
    [("CHEST", "CHEST"), (" chest ", "CHEST"), ("C-SPINE", "CSPINE"), ("ABDOMEN PELVIS", "ABDOMENPELVIS")],
)
def test_spellings(said, term):
    assert defined_term(said) == term


@pytest.mark.parametrize("said", ["", "JOHN^DOE", "CHEST OF JOHN DOE", "19700101"])
def test_anything_else_is_kept_to_itself(said):
    assert defined_term(said) == ""


def test_agreement():
    assert agrees("CHEST", ["chest"], []) is True
    assert agrees("CHEST", ["abdomen", "chest"], ["liver"]) is True
    assert agrees("CHEST", ["pelvis"], ["heart"]) is False
    assert agrees("HAND", ["pelvis"], ["wrist"]) is True  # a hand has no station of its own
    assert agrees("HAND", ["pelvis"], ["liver"]) is False
    assert agrees("CHEST", [], []) is None
    assert agrees("", ["chest"], []) is None
