"""Labels by level: neighbours with the same labels are joined, from head to foot."""

from rich.console import Console

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.stores.levels import Level, axial_series, levels, table

TAXONOMY = Taxonomy.load("whole_body")


def row(index, organs, stations=("abdomen",), orientation=Orientation.AXIAL, series="s"):
    return SliceRecord(
        "t", "test", "p", "s", series, index, Modality.CT, Protocol.NONE, orientation, organs=organs, stations=stations
    )


def test_neighbours_with_the_same_labels_are_joined_from_the_top():
    rows = [row(8, ("liver",)), row(2, ("intestine",)), row(4, ("liver",)), row(6, ("liver",)), row(0, ("intestine",))]
    rows += [row(10, ("liver",), ("chest",))]
    (series,) = axial_series(rows).values()
    assert levels(series, TAXONOMY) == [
        Level(10, 10, 1, ("chest",), ("liver",)),
        Level(4, 8, 3, ("abdomen",), ("liver",)),
        Level(0, 2, 2, ("abdomen",), ("intestine",)),
    ]
    console = Console(record=True, width=120)
    console.print(table("ct", series, TAXONOMY))
    assert "8-4" in console.export_text()


def test_unknown_labels_are_no_level_without_labels():
    rows = [row(0, ()), row(1, None), row(2, None, None)]
    found = levels(rows, TAXONOMY)
    assert [(level.stations, level.organs) for level in found] == [
        (None, None),
        (("abdomen",), None),
        (("abdomen",), ()),
    ]
    console = Console(record=True, width=120)
    console.print(table("ct", rows, TAXONOMY))
    assert console.export_text().count("not stated") == 3


def test_other_planes_and_single_slices_are_left_out():
    sagittal = [row(n, ("liver",), orientation=Orientation.SAGITTAL, series="g") for n in range(3)]
    assert axial_series([*sagittal, row(0, ("liver",), series="one")]) == {}
