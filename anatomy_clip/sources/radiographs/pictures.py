"""PNG and JPEG files as films and as masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anatomy_clip.core.refusals import Refused
from anatomy_clip.imaging.pictures import read_levels, read_stored
from anatomy_clip.imaging.radiographs import F32, Mask


def read_film(path: Path) -> F32:
    """Read a film that is stored as it is displayed, dense tissue bright.

    Returns:
        (H, W), 0 to 1 of what the file's bits can hold; colours as grey.

    Raises:
        Refused: the file is missing, damaged, tiny, huge or of one grey all over.
    """
    stored = read_levels(path)
    if stored.min() == stored.max():
        raise Refused("all its pixels have the same grey value", "leave it out: it shows nothing", path)
    return (stored / np.float32(255 if stored.dtype == np.uint8 else 65535)).astype(np.float32)


def read_mask(path: Path) -> Mask:
    """Read a mask: all that is neither black nor transparent.

    Returns:
        (H, W).

    Raises:
        Refused: the file is missing, damaged or huge, or no PNG.
    """
    stored = read_stored(path, ("PNG",), "RGBA")
    return stored > 0 if stored.ndim == 2 else stored[..., :3].any(axis=-1) & (stored[..., 3] > 0)
