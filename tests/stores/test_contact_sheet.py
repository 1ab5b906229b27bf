"""The contact sheet: one row a station and modality."""

import cv2
import numpy as np
import pytest

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.stores.contact_sheet import NO_STATION, contact_sheet, group_rows

TAXONOMY = Taxonomy.load("whole_body")


def record(index, modality=Modality.CT, protocol=Protocol.NONE, **structures):
    return SliceRecord("s", "train", "p", "st", "se", index, modality, protocol, Orientation.AXIAL, structures)


RECORDS = [
    *(record(n, liver=9000.0, vertebrae_L1=900.0) for n in range(30)),
    record(30, Modality.MR, Protocol.T2, brain=9000.0, skull=3000.0),
    record(31, skin=50.0),
]


def test_rows_are_stations_by_modality():
    rows = group_rows(RECORDS, TAXONOMY)
    assert rows["abdomen", "CT"] == list(range(30))
    assert rows["head", "MR T2"] == [30]
    assert rows[NO_STATION, "CT"] == [31]
    assert group_rows([record(0)], TAXONOMY) == {("not stated", "CT"): [0]}


def test_the_picture_has_a_row_for_each_and_at_most_so_many_columns(tmp_path):
    images = np.full((len(RECORDS), 96, 96), 180, np.uint8)
    contact_sheet(images, RECORDS, TAXONOMY, tmp_path / "new" / "sheet.png", columns=5)
    sheet = cv2.imread(str(tmp_path / "new" / "sheet.png"), cv2.IMREAD_GRAYSCALE)
    height = sheet.shape[0] / len(group_rows(RECORDS, TAXONOMY))
    assert height == int(height)
    abdomen, head = sheet[: int(height)], sheet[int(height) : 2 * int(height)]
    assert (abdomen == 180).mean() > 4.5 * (head == 180).mean()  # five slices against one


def test_a_missing_record_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="2 images for 1 records"):
        contact_sheet(np.zeros((2, 8, 8), np.uint8), RECORDS[:1], TAXONOMY, tmp_path / "x.png")
