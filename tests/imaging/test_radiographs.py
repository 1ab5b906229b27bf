from __future__ import annotations

import numpy as np
import pytest

from anatomy_clip.core.radiographs import Box, RadiographRecord
from anatomy_clip.imaging.radiographs import Radiograph, square


@pytest.mark.parametrize(("shape", "side"), [((40, 80), 160), ((40, 80), 20), ((80, 40), 80), ((60, 60), 30)])
def test_masks_and_boxes_move_with_the_pixels(shape, side):
    pixels = np.zeros(shape, np.float32)
    pixels[10:20, 20:36] = 1
    record = RadiographRecord("s", "train", "p", "s", "i", boxes=(Box("x", 20, 10, 16, 10),), spacing_mm=(0.5, 0.5))
    image, fitted, masks = square(Radiograph(pixels, {"x": pixels > 0}), record, side)
    assert image.shape == (side, side) and image.dtype == np.uint8 and fitted.masks == ("x",)
    scale = side / max(shape)
    assert fitted.spacing_mm == pytest.approx((0.5 / scale, 0.5 / scale))
    (box,) = fitted.boxes
    rows, columns = np.nonzero(masks["x"])
    drawn = (columns.min(), rows.min(), columns.max() + 1 - columns.min(), rows.max() + 1 - rows.min())
    np.testing.assert_allclose(drawn, (box.left, box.top, box.width, box.height), atol=0.51)
    assert (image[masks["x"]] > 100).mean() > 0.95 and (image[~masks["x"]] < 140).mean() > 0.95
