from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.radiographs import RADIOGRAPHS, Box, Finding, Question, RadiographRecord
from anatomy_clip.core.records import SLICES, SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Projection, Protocol, Side, State, Visibility

PLAIN = RadiographRecord("films", "train", "p1", "s1", "f1")
FULL = RadiographRecord(
    "films", "train", "p2", "s2", "f2", part="chest", projection=Projection.PA, side=Side.LEFT,
    spacing_mm=(4.4, 4.4), magnification=1.1, licence="CC0-1.0",
    findings={
        "pleural_effusion": Finding(State.POSITIVE, Side.LEFT, "lower", "mild", 210.5, Visibility.SUBTLE),
        "edema": Finding(State.NEGATIVE),
    },
    boxes=(Box("pleural_effusion", 50.0, 60.5, 20.0, 8.0),), masks=("pleural_effusion", "heart"),
    report={"findings": "Small left effusion.", "impression": "Effusion."},
    questions=(Question("presence", "Is there an effusion?", "yes", "pleural_effusion"),), acquisition={"kvp": 120.0},
)  # fmt: skip
SLICE = SliceRecord("a", "train", "p1", "s", "1", 0, Modality.CT, Protocol.NONE, Orientation.AXIAL)


def test_a_record_comes_back_as_it_was_written(tmp_path):
    Manifest([PLAIN, FULL]).write(tmp_path / "m.parquet")
    read = Manifest.read(tmp_path / "m.parquet")
    assert list(read) == [PLAIN, FULL] and read.kind is RADIOGRAPHS
    assert isinstance(read[1].findings["pleural_effusion"].side, Side) and isinstance(read[1].projection, Projection)
    assert read.patients() == {("films", "p1"), ("films", "p2")}
    assert list(Manifest.join([read, read.take([1])])) == [PLAIN, FULL, FULL]


def test_slices_and_radiographs_are_not_taken_for_each_other(tmp_path):
    Manifest([FULL]).write(tmp_path / "films.parquet")
    Manifest([SLICE]).write(tmp_path / "slices.parquet")
    with pytest.raises(ValueError, match=r"films\.parquet: holds radiographs, and slices are needed"):
        Manifest.read(tmp_path / "films.parquet", SLICES)
    with pytest.raises(ValueError, match=r"slices\.parquet: holds slices, and radiographs are needed"):
        Manifest.read(tmp_path / "slices.parquet", RADIOGRAPHS)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("findings", [{"finding": "edema", "state": "maybe"}], "findings hold the unknown state 'maybe'"),
        ("findings", [{"finding": "edema", "state": "positive", "side": "up"}], "unknown side 'up'"),
        ("projection", "from above", "row 0: projection 'from above' is unknown"),
    ],
)
def test_an_unknown_term_is_named(tmp_path, column, value, message):
    Manifest([FULL]).write(tmp_path / "m.parquet")
    table = pq.read_table(tmp_path / "m.parquet")
    at = table.column_names.index(column)
    table = table.set_column(at, column, pa.array([value], RADIOGRAPHS.schema().field(column).type))
    pq.write_table(table, tmp_path / "m.parquet")
    with pytest.raises(ValueError, match=message):
        Manifest.read(tmp_path / "m.parquet")


def test_a_mirrored_record_swaps_sides_and_reflects_boxes():
    wordless = replace(FULL, report={}, questions=())
    mirrored = wordless.mirrored(96)
    assert mirrored.side is Side.RIGHT and mirrored.findings["pleural_effusion"].side is Side.RIGHT
    assert mirrored.findings["edema"].side is None
    assert mirrored.boxes == (Box("pleural_effusion", 26.0, 60.5, 20.0, 8.0),)
    assert mirrored.mirrored(96) == wordless


def test_a_film_with_words_is_not_mirrored_unless_as_published():
    for words in (replace(FULL, questions=()), replace(FULL, report={})):
        with pytest.raises(ValueError, match=r"film f2.*flip=as_published"):
            words.mirrored(96)
        assert words.mirrored(96, texts_as_published=True).report == words.report


def test_a_finding_that_no_film_shows_is_not_shown():
    there = Finding(State.POSITIVE)
    assert there.shown and replace(there, visibility=Visibility.SUBTLE).shown
    assert not replace(there, visibility=Visibility.INVISIBLE).shown and not Finding(State.NEGATIVE).shown
