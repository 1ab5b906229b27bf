from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anatomy_clip.core.records import Manifest, SliceRecord, check_leakage
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


def test_an_empty_manifest_round_trips(tmp_path):
    Manifest([]).write(tmp_path / "m.parquet")
    assert len(Manifest.read(tmp_path / "m.parquet")) == 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"modality": "PT"}, "row 0: modality 'PT' is unknown"),
        ({"orientation": "oblique"}, "row 0: orientation 'oblique' is unknown"),
        ({"patient": ""}, "row 0: patient is empty"),
        ({"structures": "{bad"}, "row 0: structures is no JSON object"),
        ({"structures": json.dumps({"liver": -1})}, "negative"),
        ({"structures": '{"liver": NaN}'}, "non-finite"),
    ],
)
def test_faults_are_named(tmp_path, columns, message):
    Manifest([RECORD]).write(tmp_path / "m.parquet")
    with pytest.raises(ValueError, match=message):
        Manifest.read(rewritten(tmp_path / "m.parquet", **columns))


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


def test_leakage_names_manifests_and_patients():
    with pytest.raises(ValueError, match=r"p2.*'train'.*'set1'"):
        check_leakage({"train": patients("p1", "p2"), "validation": patients("p9"), "set1": patients("p2", "p3")})
    check_leakage({"train": patients("p1"), "set1": patients("p2")})


def test_equal_ids_of_two_sources_are_two_patients():
    check_leakage({"train": patients("1", source="a"), "set1": patients("1", source="b")})


def test_a_patient_in_two_splits_of_one_manifest_is_refused(tmp_path):
    records = [replace(RECORD, patient=p, split=s) for p in ("p1", "p2") for s in ("train", "set1")]
    Manifest([*records, replace(RECORD, patient="p0")]).write(tmp_path / "m.parquet")
    with pytest.raises(ValueError, match=r"patient p1 \(and 1 more patients\) stands in the splits set1, train"):
        Manifest.read(tmp_path / "m.parquet")
