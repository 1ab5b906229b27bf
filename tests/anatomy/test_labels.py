import numpy as np
import pytest

from anatomy_clip.anatomy.labels import (
    UNKNOWN,
    are_stated,
    label_matrices,
    label_names,
    organs_in,
    shown_names,
    stations_in,
    unsure_names,
)
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol

TAXONOMY = Taxonomy.load("whole_body")


def record(**known):
    return SliceRecord("s", "t", "p", "s", "s", 0, Modality.CT, Protocol.NONE, Orientation.AXIAL, **known)


def test_what_is_neither_stated_nor_derived_is_unknown_kind_by_kind():
    records = [
        record(),
        record(organs=("liver",)),
        record(stations=("abdomen",)),
        record(organs=(), stations=()),
        record(structures={"liver": 9000.0}),
        record(structures={"liver": 9000.0}, organs=()),
    ]
    assert [organs_in(one, TAXONOMY) for one in records] == [None, ("liver",), None, (), ("liver",), ()]
    stations = [stations_in(one, TAXONOMY) for one in records]
    assert stations == [None, None, ("abdomen",), (), ("abdomen",), ("abdomen",)]
    labels, names = label_matrices(records, TAXONOMY), label_names(TAXONOMY)
    assert are_stated(labels["organ"]).tolist() == [False, True, False, True, True, True]
    assert are_stated(labels["station"]).tolist() == [False, False, True, True, True, True]
    assert are_stated(labels["modality"]).all()
    assert (labels["organ"][[0, 2]] == UNKNOWN).all() and (labels["organ"][3] == 0).all()
    assert [shown_names(row, names["station"]) for row in labels["station"]] == [one or () for one in stations]
    assert np.unique(labels["organ"][4]).tolist() == [0, 1]


def test_an_organ_that_is_left_open_is_unknown_beside_known_ones():
    heart_open = {"unsure": ("heart", "lungs")}
    records = [
        record(organs=("liver",), **heart_open),
        record(structures={"heart": 9000.0, "liver": 9000.0}, **heart_open),
    ]
    labels = label_matrices([*records, record(**heart_open)], TAXONOMY)["organ"]
    for one, row in zip(records, labels, strict=False):
        expected = {"liver": 1, "heart": UNKNOWN, "lungs": UNKNOWN}
        assert row.tolist() == [expected.get(name, 0) for name in TAXONOMY.organs]
        assert organs_in(one, TAXONOMY) == shown_names(row, TAXONOMY.organs) == ("liver",)
        assert set(unsure_names(row, TAXONOMY.organs)) == {"heart", "lungs"}
    assert are_stated(labels).tolist() == [True, True, False] and (labels[2] == UNKNOWN).all()
    assert unsure_names(labels[2], TAXONOMY.organs) == ()
    with pytest.raises(ValueError, match="did you mean 'heart'"):
        label_matrices([record(organs=(), unsure=("hart",))], TAXONOMY)
