"""Labelled slices as PNG and JPEG: tables, grey values, ids, and files that can't be used."""

import os
import pickle
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from anatomy_clip.core.refusals import Refusal
from anatomy_clip.imaging.intensity import Display
from anatomy_clip.sources.scans.folder import Folder
from anatomy_clip.sources.scans.label_table import COLUMNS, PICTURE_COLUMNS
from anatomy_clip.sources.scans.pictures import Pictures

REAL = Path(os.environ.get("REAL_DATA", Path(__file__).parents[2].parent / "shared" / "realdata")) / "slices"
MORE = (*PICTURE_COLUMNS, "source", "organs_unsure")


def save(path, value=100, shape=(40, 50), dtype=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros(shape, dtype)
    pixels[5:-5, 5:-5] = value
    Image.fromarray(pixels).save(path)
    return pixels


def row(file, patient="p1", modality="CT", protocol="", plane="axial", stations="chest", organs="lungs", **more):
    return file, patient, modality, protocol, plane, stations, organs, more.get("source", ""), more.get("unsure", "")


def table(root, *rows, columns=MORE):
    lines = [",".join(columns)] + [",".join(cells[: len(columns)]) for cells in rows]
    (root / "labels.csv").write_text("\n".join(lines) + "\n")


def taken(source):
    return [item for volume in source.volumes("all") for item in source.slices("all", volume)]


def test_a_row_becomes_a_record_and_a_cell_that_is_empty_says_nothing(tmp_path):
    for name in ("a.png", "b.png", "c.jpg"):
        save(tmp_path / name)
    table(
        tmp_path,
        row("a.png", unsure="heart;liver", source="abc"),
        row("b.png", patient="p2", modality="mr", protocol="T2", plane="Sagittal", stations="", organs=""),
        row("c.jpg", source="abc"),
    )
    source = Pictures(tmp_path, name="pics", licence="CC0", salt="s")
    assert source.volumes("all") == ["a.png", "b.png"]  # a and c are of one patient
    assert [source.owner(volume) for volume in source.volumes("all")] == [("abc", "p1"), ("pics", "p2")]
    (_, a), (_, c), (_, b) = taken(source)
    assert (a.source, a.stations, a.organs, a.unsure) == ("abc", ("chest",), ("lungs",), ("heart", "liver"))
    assert (b.source, b.stations, b.organs, b.unsure) == ("pics", None, None, ())
    assert (b.modality, b.protocol, b.orientation, b.licence, b.index) == ("MR", "T2", "sagittal", "CC0", 0)
    assert a.patient == c.patient != b.patient and a.series != c.series
    assert a.spacing_mm == (1.0, 1.0) and not any(word in repr((a, b)) for word in ("p1", "p2", "a.png"))


def test_the_optional_columns_may_be_absent(tmp_path):
    save(tmp_path / "a.png")
    table(tmp_path, row("a.png"), columns=PICTURE_COLUMNS)
    ((_, record),) = taken(Pictures(tmp_path, name="pics"))
    assert record.source == "pics" and record.unsure == ()


def test_the_display_gives_back_the_grey_values_of_ct(tmp_path):
    pixels = np.arange(64 * 64, dtype=np.uint32).reshape(64, 64) % 256
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "a.png")
    deep = save(tmp_path / "b.png", 40_000, dtype=np.uint16)
    table(tmp_path, row("a.png"), row("b.png", "p2", modality="MR"))
    (ct, _), (mr, _) = taken(Pictures(tmp_path, window=[50, 350]))
    np.testing.assert_array_equal(Display(level=50, width=350).grey(ct), pixels)
    assert ct.pixels.min() == 50 - 175 and ct.pixels.max() == 50 + 175
    np.testing.assert_array_equal(mr.pixels, deep // 256)


def test_a_patient_has_the_id_that_a_folder_gives_them(tmp_path):
    save(tmp_path / "a.png")
    table(tmp_path, row("a.png"))
    nib.save(nib.Nifti1Image(np.zeros((8, 7, 2), np.int16), np.diag([-2.0, -2, 4, 1])), tmp_path / "a.nii")
    cells = ("a.nii", "p1", "CT", "", "axial", "0", "0", "chest", "lungs")
    (tmp_path / "rows.csv").write_text(",".join(COLUMNS) + "\n" + ",".join(cells) + "\n")
    for given in ({"salt": "x"}, {"salt_file": tmp_path / "data" / ".salt"}):
        ids = [
            item[1].patient
            for source in (Pictures(tmp_path, **given), Folder(tmp_path, "rows.csv", **given))
            for item in taken(pickle.loads(pickle.dumps(source)))
            if isinstance(item, tuple)
        ]
        assert len(ids) == 2 and len(set(ids)) == 1


def test_a_bad_file_is_refused_by_name_and_the_rest_go_on(tmp_path):
    root = tmp_path / "root"
    names = "good cut tiny huge gone html out".split()
    for name in names:
        save(root / f"{name}.png", shape=(20, 90) if name == "tiny" else (40, 50))
    (root / "cut.png").write_bytes((root / "cut.png").read_bytes()[:60])
    (root / "html.png").write_text("<html>not found</html>")
    Image.new("1", (8000, 8000)).save(root / "huge.png")
    (root / "gone.png").unlink()
    (root / "out.png").unlink()
    save(tmp_path / "elsewhere.png")
    (root / "out.png").symlink_to(tmp_path / "elsewhere.png")
    table(root, *(row(f"{name}.png") for name in names), row("../elsewhere.png"), row("good.png/", plane=""))
    with pytest.raises(ValueError, match=r"line 10: file 'good\.png' is also in .*line 2; remove"):
        Pictures(root)
    save(root / "oblique.png")
    table(root, *(row(f"{name}.png") for name in names), row("../elsewhere.png"), row("oblique.png", plane=""))
    items = taken(Pictures(root))
    assert sum(isinstance(item, tuple) for item in items) == 1
    said = {item.where: item.reason for item in items if isinstance(item, Refusal)}
    assert set(said) == {*(f"{name}.png" for name in names[1:]), "../elsewhere.png", "oblique.png"}
    assert "can't be read" in said["cut.png"] and "can't be read" in said["html.png"]
    assert said["tiny.png"] == "is 90 x 20 pixels: too small" and "8000 x 8000" in said["huge.png"]
    assert "missing" in said["gone.png"] and "symbolic link" in said["out.png"]
    assert said["oblique.png"] == "its row states no orientation"


@pytest.mark.parametrize(
    ("cells", "match"),
    [
        (row(""), "line 2: file is empty"),
        (row("a.png", patient=""), "line 2: patient is empty"),
        (row("a.png", organs="lung"), r"line 2: organ 'lung' .* \(did you mean 'lungs'\?\)"),
        (row("a.png", unsure="harte"), "line 2: organ 'harte'"),
        (row("a.png", plane="oblique"), "line 2: orientation 'oblique' is unknown"),
        (row("a.png", protocol="T1"), "line 2: protocol is T1, but CT has none"),
    ],
)
def test_a_row_that_is_wrong_is_named(tmp_path, cells, match):
    table(tmp_path, cells)
    with pytest.raises(ValueError, match=match):
        Pictures(tmp_path)


def test_a_table_that_is_none_and_a_window_without_width(tmp_path):
    with pytest.raises(ValueError, match=r"labels\.csv: the label table is missing"):
        Pictures(tmp_path)
    table(tmp_path, row("a.png"))
    with pytest.raises(ValueError, match=r"source\.window=\[40, 0\]"):
        Pictures(tmp_path, window=[40, 0])
    prints = [Pictures(tmp_path, salt=salt).fingerprint() for salt in "aab"]
    table(tmp_path, row("a.png", organs="heart"))
    prints.append(Pictures(tmp_path, salt="a").fingerprint())
    assert prints[0] == prints[1] and len({tuple(one.values()) for one in prints}) == 3
    assert "b" not in prints[2].values()


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data aren't here")
def test_every_real_picture_is_taken_but_for_the_one_without_a_plane():
    source = Pictures(REAL)
    items = taken(source)
    assert sum(isinstance(item, tuple) for item in items) == 849
    assert [item.reason for item in items if isinstance(item, Refusal)] == ["its row states no orientation"]
    patients = {item[1].patient for item in items if isinstance(item, tuple)}
    assert len(source.volumes("all")) == 347 and len(patients) == 346
