import numpy as np

from anatomy_clip.anatomy.labels import (
    UNKNOWN,
    are_stated,
    label_matrices,
    label_names,
    organs_in,
    shown_names,
    stations_in,
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
