from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol

RECORD = SliceRecord(
    source="phantom",
    split="train",
    patient="p1",
    study="s",
    series="1",
    index=3,
    modality=Modality.MR,
    protocol=Protocol.T2,
    orientation=Orientation.SAGITTAL,
    structures={"femur_left": 812.25, "patella": 130.0},
    spacing_mm=(0.5, 0.75),
    thickness_mm=3.0,
    licence="CC0-1.0",
)


def patients(*names, source="a"):
    return Manifest(replace(RECORD, source=source, patient=name, index=i) for name in names for i in range(3))


def rewritten(path, **columns):
    table = pq.read_table(path)
    rows = [row | columns for row in table.to_pylist()]
    new = pa.Table.from_pylist(rows).replace_schema_metadata(table.schema.metadata)
    pq.write_table(new, path)
    return path


def test_round_trip(tmp_path):
    records = [
        RECORD,
        replace(RECORD, index=4, modality=Modality.CT, protocol=Protocol.NONE, structures={}, caption="A knee."),
    ]
    Manifest(records).write(tmp_path / "m.parquet")
    read = Manifest.read(tmp_path / "m.parquet")
    assert list(read) == records
    assert isinstance(read[0].modality, Modality) and read[0].spacing_mm == (0.5, 0.75)


@pytest.mark.parametrize("few", [0, 100])
def test_records_are_those_that_were_written_however_many_there_are(tmp_path, monkeypatch, few):
    monkeypatch.setattr("anatomy_clip.core.manifest._FEW", few)
    monkeypatch.setattr("anatomy_clip.core.manifest._AT_ONCE", 2)
    stated = replace(RECORD, patient="p2", organs=("liver",), stations=(), caption="\u00e4 'quoted' \"caption\"")
    records = [RECORD, stated, *patients("p3"), replace(RECORD, structures={'od"d\\ name': 1e20})]
    Manifest(records).write(tmp_path / "m.parquet")
    read = Manifest.read(tmp_path / "m.parquet")
    for manifest in (read, Manifest(records), pickle.loads(pickle.dumps(read)), Manifest.join([read[:2], read[2:]])):
        assert list(manifest) == records and len(manifest) == 6
        assert [manifest[n] for n in range(-6, 6)] == records * 2
        assert list(manifest.take([4, 0])) == [records[4], records[0]]
        assert list(manifest[1:6:2]) == records[1:6:2] and not len(manifest.take([]))
        assert manifest.column("patient") == [record.patient for record in records]
        assert manifest.patients() == {("phantom", "p1"), ("phantom", "p2"), ("a", "p3")}
        with pytest.raises(IndexError):
            manifest[6]


def test_an_empty_manifest_round_trips(tmp_path):
    Manifest([]).write(tmp_path / "m.parquet")
    assert list(Manifest.read(tmp_path / "m.parquet")) == list(Manifest.join([])) == []


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"modality": "PT"}, "row 0: modality 'PT' is unknown"),
        ({"orientation": "oblique"}, "row 0: orientation 'oblique' is unknown"),
        ({"patient": ""}, "row 0: patient is empty"),
        ({"structures": "{bad"}, "row 0: structures is not a JSON object"),
        ({"structures": json.dumps({"liver": -1})}, "negative"),
        ({"structures": '{"liver": NaN}'}, "non-finite"),
        ({"structures": '{"liver": 1e999}'}, "non-finite"),
        ({"structures": '{"liver": 007.5}'}, "row 0: structures is not a JSON object"),
        ({"structures": '{"li\nver": 7.5}'}, "row 0: structures is not a JSON object"),
        ({"structures": None}, "row 0: structures is not a JSON object"),
        ({"patient": None}, "row 0: patient is empty"),
        ({"protocol": None}, "row 0: protocol None is unknown"),
        ({"index": "third"}, r"m\.parquet: a column is of another type"),
    ],
)
def test_faults_are_named(tmp_path, columns, message):
    Manifest([RECORD]).write(tmp_path / "m.parquet")
    with pytest.raises(ValueError, match=message):
        Manifest.read(rewritten(tmp_path / "m.parquet", **columns))


def test_a_fault_is_named_by_its_row(tmp_path):
    path = tmp_path / "m.parquet"
    Manifest(patients("p1")).write(path)
    table = pq.read_table(path)
    for name, values in (
        ("structures", ["{}", "{}", "{"]),
        ("patient", ["a", "b", ""]),
        ("modality", ["CT", "MR", ""]),
    ):
        pq.write_table(table.set_column(table.column_names.index(name), name, pa.array(values)), path)
        with pytest.raises(ValueError, match=rf"m\.parquet, row 2: {name}"):
            Manifest.read(path)


def test_missing_file_column_and_version(tmp_path):
    path = tmp_path / "m.parquet"
    with pytest.raises(ValueError, match=r"m\.parquet"):
        Manifest.read(path)
    path.write_bytes(b"no parquet")
    with pytest.raises(ValueError, match="can't be read"):
        Manifest.read(path)
    Manifest([RECORD]).write(path)
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["licence"]), path)
    with pytest.raises(ValueError, match="licence"):
        Manifest.read(path)
    pq.write_table(table.replace_schema_metadata({"manifest_version": "0"}), path)
    with pytest.raises(ValueError, match="version 0"):
        Manifest.read(path)


def test_first_rows_of_patients():
    manifest = Manifest([*patients("p2", "p1", "p2"), *patients("p2", source="b")])
    assert manifest.first_rows() == {("a", "p2"): 0, ("a", "p1"): 3, ("b", "p2"): 9}


def test_a_patient_in_two_splits_of_one_manifest_is_refused(tmp_path):
    records = [replace(RECORD, patient=p, split=s) for p in ("p1", "p2") for s in ("train", "set1")]
    Manifest([*records, replace(RECORD, patient="p0")]).write(tmp_path / "m.parquet")
    with pytest.raises(ValueError, match=r"patient p1 \(and 1 more patients\) is in the splits set1, train"):
        Manifest.read(tmp_path / "m.parquet")
