"""PNG and JPEG files to grey values, with the limits that files from elsewhere need."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.refusals import FETCH_AGAIN, Refused

MAX_PIXELS = 2**25  # as DICOM films
MAX_BYTES = 2**28  # of one file
MIN_SIDE = 32
Stored = NDArray[np.uint8] | NDArray[np.uint16]


def read_grey(path: Path) -> NDArray[np.uint8]:
    """Read a picture as grey values of 8 bits.

    Returns:
        (H, W); colours as grey, of 16 bits the upper 8.

    Raises:
        Refused: the file is missing, damaged, tiny or huge.
    """
    stored = read_levels(path)
    return (stored >> 8 if stored.dtype == np.uint16 else stored).astype(np.uint8)


def read_levels(path: Path) -> Stored:
    """Read a picture as grey values of as many bits as the file has, 8 or 16.

    Returns:
        (H, W); colours as grey.

    Raises:
        Refused: the file is missing, damaged, tiny or huge.
    """
    stored = read_stored(path, ("JPEG", "PNG"), "L")
    if min(stored.shape) < MIN_SIDE:
        raise Refused(f"is {stored.shape[1]} x {stored.shape[0]} pixels: too small", "leave it out", path)
    return stored


def read_stored(path: Path, formats: tuple[str, ...], mode: str) -> Stored:
    """Read the pixels of a picture.

    Args:
        path: the file.
        formats: that it may have, as PIL calls them.
        mode: that it is converted to, as PIL calls it.

    Returns:
        (H, W) or (H, W, channels) in that mode; (H, W) uint16 where a PNG holds 16 bits.

    Raises:
        Refused: the file is missing, damaged or huge, or of another format.
    """
    from PIL import Image

    if not path.is_file():
        raise Refused("the image is missing", "fetch the collection again", path)
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
        f"its header states {width} x {height} pixels, above the limit of {MAX_PIXELS}",
        "shrink it, or leave it out",
        path,
    )
