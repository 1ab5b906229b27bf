"""NIH ChestX-ray14 in its published layout and in small, made here; the real one where it is at hand."""

import os
from pathlib import Path

import numpy as np
import pytest
from sources.radiographs.pictures import all_films, write_film

from anatomy_clip.core.radiographs import Box
from anatomy_clip.core.refusals import Refusal
from anatomy_clip.core.terms import Projection, State
from anatomy_clip.sources.radiographs.nih import NihChestXray14
from anatomy_clip.sources.radiographs.nih_tables import FINDINGS, NAMES

REAL = Path(os.environ.get("REAL_DATA", Path(__file__).parents[3].parent / "shared" / "realdata")) / "radiographs"
HEAD = ("Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]")  # fmt: skip
ROW = "{name},{labels},0,{patient},58,M,{view},2000,1000,0.1,0.2"


def table(folder, *rows, name="labels.csv", head=HEAD):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join([head, *rows]) + "\n")


@pytest.fixture
def published(tmp_path):
    """Three patients in two image folders, the third in the test list; a box on the second film."""
    rows = [("1_000", "Cardiomegaly|Effusion", 1, "PA"), ("1_001", "No Finding", 1, "AP"), ("2_000", "Mass", 2, "PA"),
            ("3_000", "Infiltration|Pneumonia", 3, "AP")]  # fmt: skip
    table(tmp_path, *(ROW.format(name=f"{n}.png", labels=f, patient=p, view=v) for n, f, p, v in rows),
          name="Data_Entry_2017.csv")  # fmt: skip
    for n, (name, *_) in enumerate(rows):
        box = (128, 64, 32, 96) if name == "2_000" else None
        write_film(tmp_path / f"images_00{n % 2 + 1}" / "images" / f"{name}.png", (256, 256), box)
    boxes = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n2_000.png,Mass,512,256,128,384,,,\n"
    (tmp_path / "BBox_List_2017.csv").write_text(boxes)
    (tmp_path / "train_val_list.txt").write_text("1_000.png\n1_001.png\n2_000.png\n")
    (tmp_path / "test_list.txt").write_text("3_000.png\n")
    return tmp_path


def test_the_published_layout(published):
    films, others = all_films(NihChestXray14(published, shares={"train": 0.5, "validation": 0, "test": 0.5}))
    assert others == []
    records = {record.image: record for _, _, record in films}
    assert {name: record.split for name, record in records.items()} == {
        "1_000": "train", "1_001": "train", "2_000": "train", "3_000": "test",
    }  # fmt: skip
    first = records["1_000"]
    positive = {name for name, finding in first.findings.items() if finding.state is State.POSITIVE}
    assert positive == {"cardiomegaly", "pleural_effusion"}
    assert set(first.findings) == set(FINDINGS) == set(NAMES.values())
    assert {one.state for one in records["1_001"].findings.values()} == {State.NEGATIVE}
    assert records["3_000"].findings["consolidation"].state is State.POSITIVE
    assert (first.projection, records["1_001"].projection) == (Projection.PA, Projection.AP)
    assert first.patient == records["1_001"].patient == "1"
    assert first.spacing_mm == pytest.approx((1000 * 0.2 / 256, 2000 * 0.1 / 256))  # the film is 200 x 200 mm


def test_boxes_are_scaled_to_the_film_and_lie_on_what_was_drawn(published):
    films, _ = all_films(NihChestXray14(published))
    film, record = next((film, record) for _, film, record in films if record.image == "2_000")
    assert record.boxes == (Box("nodule", 128, 64, 32, 96),)  # half of the 1,024 pixels is half of 256
    rows, columns = np.nonzero(film.pixels == 1)
    assert (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1) == (128, 64, 32, 96)


def test_the_small_layout(tmp_path):
    table(tmp_path, ROW.format(name="1_000.png", labels="Pneumothorax|Mass", patient=1, view="PA")
          + ',"Pneumothorax:0,0,512,1024;Mass:16,32,64,128"', head=HEAD + ",bbox")  # fmt: skip
    write_film(tmp_path / "images" / "1_000.png", (64, 64))
    ((split, _, record),), others = all_films(NihChestXray14(tmp_path, shares={"test": 1.0}))
    assert split == "test" and others == []
    assert record.boxes == (Box("pneumothorax", 0, 0, 32, 64), Box("nodule", 1, 2, 4, 8))


def test_patients_are_split_whole_and_by_nothing_but_their_id(tmp_path):
    rows = [ROW.format(name=f"{p}_{n}.png", labels="No Finding", patient=p, view="PA") for p in range(200)
            for n in range(2)]  # fmt: skip
    table(tmp_path, *rows)
    source = NihChestXray14(tmp_path)
    parts = {split: set(source.volumes(split)) for split in source.splits()}
    assert list(parts) == ["train", "validation", "test"]
    assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == 200
    assert 140 < len(parts["train"]) < 180
    table(tmp_path, *rows[200:])
    assert set(NihChestXray14(tmp_path).volumes("train")) == {p for p in parts["train"] if int(p) >= 100}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": "Cardiomegalie"}, r"labels.csv, line 2: finding 'Cardiomegalie' .*did you mean 'Cardiomegaly'"),
        ({"patient": ""}, "line 2: Image Index or Patient ID is empty"),
        ({"bbox": "Mass:1,2,3"}, "line 2: a box of nodule is not x,y,w,h within 1024"),
        ({"bbox": "Mass:1000,2,300,4"}, "a box of nodule"),
        ({"bbox": "Mass:nan,2,300,4"}, "a box of nodule"),
    ],
)
def test_bad_rows_are_refused_by_line(tmp_path, change, message):
    cells = {"name": "1_0.png", "labels": "No Finding", "patient": "1", "view": "PA", "bbox": ""} | change
    table(tmp_path, ROW.format(**cells) + f',"{cells["bbox"]}"', head=HEAD + ",bbox")
    with pytest.raises(ValueError, match=message):
        NihChestXray14(tmp_path).splits()


def test_a_patient_in_both_lists_and_a_film_in_none_are_refused(published):
    (published / "test_list.txt").write_text("1_001.png\n3_000.png\n")
    (published / "train_val_list.txt").write_text("1_000.png\n2_000.png\n")
    with pytest.raises(ValueError, match="line 3: a patient is in both lists"):
        NihChestXray14(published).splits()
    (published / "test_list.txt").write_text("3_000.png\n")
    with pytest.raises(ValueError, match="line 3: its Image Index is in neither list"):
        NihChestXray14(published).splits()


def test_bad_films_cost_only_themselves(published):
    (published / "images_001" / "images" / "1_000.png").write_bytes(b"no picture")
    (published / "images_002" / "images" / "1_001.png").unlink()
    write_film(published / "images_001" / "images" / "2_000.png", (8, 8))
    films, others = all_films(NihChestXray14(published))
    assert [record.image for _, _, record in films] == ["3_000"]
    assert all(isinstance(one, Refusal) and one.remedy for one in others)
    reasons = {Path(one.where).stem: one.reason for one in others}
    assert "can't be read as JPEG or PNG" in reasons["1_000"]
    assert "missing" in reasons["1_001"] and "8 x 8" in reasons["2_000"]


def test_without_a_table_and_with_wrong_shares(tmp_path):
    with pytest.raises(ValueError, match=r"has none of labels\.csv, Data_Entry_2017\.csv"):
        NihChestXray14(tmp_path).splits()
    with pytest.raises(ValueError, match="give shares from 0 that sum to 1"):
        NihChestXray14(tmp_path, shares={"train": 0.5})


@pytest.mark.skipif(not (REAL / "nih_boxes").is_dir(), reason=f"no real radiographs at {REAL}")
def test_real_films_are_all_taken():
    films, others = all_films(NihChestXray14(REAL / "nih_boxes"))
    assert len(films) == 27 and others == []
    assert sum(len(record.boxes) for _, _, record in films) == 29
    assert sum(record.findings["consolidation"].state is State.POSITIVE for _, _, record in films) == 27
    assert all(film.pixels.shape == (1024, 1024) for _, film, _ in films)
    films, others = all_films(NihChestXray14(REAL / "nih_64px"))
    assert len(films) == 475 and others == []
    normal = sum(all(one.state is State.NEGATIVE for one in r.findings.values()) for _, _, r in films)
    assert normal == 256
