"""Labels from real masks, slice by slice, against a list written by others; skipped without the data."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.terms import Orientation

ROOT = Path(os.environ.get("REAL_DATA", Path(__file__).resolve().parents[3] / "shared" / "realdata"))
pytestmark = pytest.mark.skipif(not (ROOT / "labels.csv").exists(), reason="no real data; set REAL_DATA")

# The list calls a neck only where the thyroid gland is; we also take C3 to C7 for one. Slices 213-221 of
# s9002 lie above the gland, at C5 to C7.
MORE = {("s9002", k): {"neck"} for k in range(213, 222)}


def axial_areas(volume: Path) -> list[dict[str, float]]:
    import nibabel as nib

    slices: list[dict[str, float]] = []
    for file in sorted((volume / "segmentations").glob("*.nii.gz")):
        image = nib.load(file)
        assert nib.aff2axcodes(image.affine)[2] in "SI"
        pixel = float(np.prod(image.header.get_zooms()[:2]))
        counts = np.count_nonzero(np.asarray(image.dataobj), axis=(0, 1))
        slices = slices or [{} for _ in counts]
        for areas, count in zip(slices, counts, strict=True):
            if count:
                areas[file.name.removesuffix(".nii.gz")] = float(count) * pixel
    return slices


@pytest.mark.parametrize(
    "volume",
    [
        "totalsegmentator_ct/s9001",
        "totalsegmentator_ct/s9002",
        "totalsegmentator_ct/s9003",
        "totalsegmentator_mr/s9001",
    ],
)
def test_labels_agree(volume):
    body = Taxonomy.load("whole_body")
    slices = axial_areas(ROOT / volume)
    assert not body.unknown({name for areas in slices for name in areas})
    with (ROOT / "labels.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["path"].startswith(volume + "/") and r["how_labelled"] == "mask"]
    checked = 0
    for row in rows:
        for k in range(int(row["first_slice"]), int(row["last_slice"]) + 1):
            organs = set(body.organs_of(slices[k], Orientation.AXIAL))
            assert organs == set(row["organs"].split(";")) | MORE.get((Path(volume).name, k), set()), (
                volume,
                k,
            )
            if row["stations"]:
                assert set(body.stations_of(slices[k], Orientation.AXIAL)) == set(row["stations"].split(";")), (
                    volume,
                    k,
                )
            checked += 1
    assert checked == len(slices)
