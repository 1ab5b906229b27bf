"""PNG and JPEG files as films and as masks."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.refusals import FETCH_AGAIN, Refused
from anatomy_clip.imaging.radiographs import F32, Mask

MAX_PIXELS = 2**25  # as DICOM films
MAX_BYTES = 2**28  # of one file
MIN_SIDE = 32


def read_film(path: Path) -> F32:
    """Read a film that is stored as it is displayed, dense tissue bright.

    Returns:
        (H, W), 0 to 1 of what the file's bits can hold; colours as grey.

    Raises:
        Refused: the file is missing, damaged, tiny, huge or of one grey all over.
    """
    stored = _stored(path, ("JPEG", "PNG"), "L")
    if min(stored.shape) < MIN_SIDE:
        raise Refused(f"is {stored.shape[1]} x {stored.shape[0]} pixels: too small for a film", "leave it out", path)
    if stored.min() == stored.max():
        raise Refused("is of one grey all over", "leave it out: it shows nothing", path)
    return (stored / np.float32(255 if stored.dtype == np.uint8 else 65535)).astype(np.float32)


def read_mask(path: Path) -> Mask:
    """Read a mask: all that is neither black nor transparent.

    Returns:
        (H, W).

    Raises:
        Refused: the file is missing, damaged or huge, or no PNG.
    """
    stored = _stored(path, ("PNG",), "RGBA")
    return stored > 0 if stored.ndim == 2 else stored[..., :3].any(axis=-1) & (stored[..., 3] > 0)


def _stored(path: Path, formats: tuple[str, ...], mode: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Pixels in a mode, or (H, W) uint16 where a PNG holds 16 bits."""
    from PIL import Image

    if not path.is_file():
        raise Refused("image is missing", "fetch the collection again", path)
    if path.stat().st_size > MAX_BYTES:
        raise Refused(f"is larger than {MAX_BYTES} bytes", "shrink it, or leave it out", path)
    try:
        source = BytesIO(path.read_bytes())  # of a file, PIL asks for as many bytes as a damaged PNG claims, gigabytes
        with warnings.catch_warnings(action="ignore"), Image.open(source, formats=formats) as image:
            width, height = image.size
            if width * height <= MAX_PIXELS:
                return np.asarray(image, np.uint16) if image.mode[0] == "I" else np.asarray(image.convert(mode))
    except MemoryError:
        raise
    except Exception as error:  # a damaged file makes PIL raise of every kind
        raise Refused(f"can't be read as {' or '.join(formats)} ({type(error).__name__})", FETCH_AGAIN, path) from None
    raise Refused(
        f"claims {width} x {height} pixels, over the limit of {MAX_PIXELS}", "shrink it, or leave it out", path
    )
