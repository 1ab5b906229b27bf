from __future__ import annotations

from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest

from anatomy_clip.cli.prepare import render_film
from anatomy_clip.core.radiographs import Box, Finding, RadiographRecord
from anatomy_clip.core.terms import Projection, Side, State
from anatomy_clip.imaging.radiographs import Radiograph
from anatomy_clip.stores.film_sheet import film_sheet, outlined
from anatomy_clip.stores.prepare import prepare_split
from anatomy_clip.stores.store import Store, pack_masks

NAMES = ("heart", "nodule")
RECORD = RadiographRecord("films", "train", "p", "s", "f", part="chest", projection=Projection.PA)


def films(patient):
    rng = np.random.default_rng(int(patient))
    for n in range(2):
        disc = np.hypot(*(np.mgrid[:16, :16] - rng.uniform(4, 12, (2, 1, 1)))) < 3
        masks = {"nodule": disc} | ({"heart": ~disc} if n else {})
        record = replace(RECORD, patient=patient, image=f"{patient}-{n}", boxes=(Box("nodule", 1, 2, 3, 4),),
                         findings={"nodule": Finding(State.POSITIVE, Side.LEFT)})  # fmt: skip
        yield Radiograph(rng.random((16, 16), np.float32), masks), record


@pytest.fixture
def store(tmp_path):
    def make(workers):
        folder = tmp_path / f"films{workers}" / "train"
        prepare_split(films, ["0", "1", "2"], folder, partial(render_film, 16, NAMES), settings={}, masks=NAMES,
                      workers=workers, max_bad_share=0)  # fmt: skip
        return Store.open(folder, verify=True, kind=None)

    return make


def test_masks_come_back_and_tell_empty_from_not_drawn(store):
    made = store(0)
    assert made.mask_names == NAMES and len(made.manifest) == 6
    for row, (film, _) in enumerate(pair for patient in "012" for pair in films(patient)):
        found = made.masks(row)
        assert found.keys() == film.masks.keys()
        for name, mask in film.masks.items():
            np.testing.assert_array_equal(found[name], mask)


def test_a_store_of_films_is_the_same_with_any_number_of_workers(store):
    one, two = store(0), store(2)
    assert list(one.manifest) == list(two.manifest)
    for name in ("images.npy", "masks.npy", "digests.npy"):
        assert (one.path / name).read_bytes() == (two.path / name).read_bytes()


def test_a_store_of_films_is_refused_where_slices_are_needed(store):
    with pytest.raises(ValueError, match="holds radiographs, and slices are needed"):
        Store.open(store(0).path)


def test_masks_are_named_beforehand():
    mask = np.ones((4, 4), bool)
    assert pack_masks({"nodule": mask}, NAMES, 4).dtype == np.uint8
    assert pack_masks({"m20": mask}, [f"m{n}" for n in range(21)], 4).max() == 1 << 20
    with pytest.raises(ValueError, match="masks: lung"):
        pack_masks({"lung": mask}, NAMES, 4)
    with pytest.raises(ValueError, match="33 names"):
        pack_masks({}, [f"m{n}" for n in range(33)], 4)


def test_the_sheet_has_a_row_a_view_and_a_row_a_finding(store, tmp_path):
    made = store(0)
    film_sheet(made, tmp_path / "sheet.png", columns=4)
    one_row = cv2.imread(str(tmp_path / "sheet.png")).shape[0] // 2
    assert one_row > 128
    outline = outlined(made, 0, "nodule")
    assert outline[6, 3:12].min() == 255 and outline[6 : 6 + 12, 3].min() == 255  # the box, three times as large
