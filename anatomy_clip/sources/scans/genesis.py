"""Raw CT slices of GE's Genesis format, packed by Unix `compress`, as the Visible Human Project serves them.

Unpacked, a file is a 3,416-byte header that starts with `IMGF`, then 512 x 512 big-endian 16-bit pixels; HU is the
stored value less 1,024. Header fields are big-endian floats, mm.
"""

from __future__ import annotations

import struct
import subprocess
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.imaging.slices import Slice

HEADER, SIDE = 3416, 512
LENGTH = HEADER + SIDE * SIDE * 2  # bytes of an unpacked file
HU_OFFSET = 1024
_THICKNESS, _PIXEL = 2420, 2444  # offsets of floats; pixel size in x, then in y
_CORNERS = (2548, 2560, 2572)  # top left, top right, bottom right: R, A, S of each
_PACKED = b"\x1f\x9d"  # magic of Unix compress
_LIMITS_MM = (0.1, 20.0)  # of a pixel and of a slice's thickness
_AGAIN = "download it again"


def read_slice(path: Path) -> Slice:
    """Read one `.fre.Z` file as an axial CT slice, HU, the patient's right on the image's left.

    Raises:
        ValueError: the file is missing, truncated, too long, or no Genesis CT slice; the message names it.
    """
    data = unpack(path)
    if data[:4] != b"IMGF":
        raise ValueError(f"{path}: starts with {data[:4]!r}, not IMGF: it is not a GE Genesis slice; {_AGAIN}")
    (thickness,) = struct.unpack_from(">f", data, _THICKNESS)
    columns, rows = struct.unpack_from(">2f", data, _PIXEL)
    low, high = _LIMITS_MM
    fields = {f"slice thickness at byte {_THICKNESS}": (thickness,), f"pixel size at byte {_PIXEL}": (columns, rows)}
    for what, values in fields.items():
        if not all(low <= mm <= high for mm in values):
            raise ValueError(f"{path}: {what} is {values} mm: the header is damaged; {_AGAIN}")
    stored = np.frombuffer(data, dtype=">i2", offset=HEADER).reshape(SIDE, SIDE)  # (H, W)
    pixels = _upright(stored.astype(np.float32) - HU_OFFSET, data)
    spacing = (float(rows), float(columns))
    return Slice(pixels, spacing, float(thickness), Modality.CT, Protocol.NONE, Orientation.AXIAL)


def unpack(path: Path) -> bytes:
    """Unpack a file that Unix `compress` packed, by `gzip -dc`, to exactly the length of a slice.

    gzip writes what it decodes into a pipe that is read no further than one byte past a slice, so a small file that
    unpacks to gigabytes costs neither memory nor disk. (The decoders on the Python index bound neither.)

    Raises:
        ValueError: the file is missing, not packed by `compress`, damaged, or of another length; or there is no gzip.
    """
    try:
        with path.open("rb", buffering=0) as packed:
            magic = packed.read(2)
            if magic != _PACKED:
                raise ValueError(f"{path}: starts with {magic!r}: it was not packed by Unix compress; {_AGAIN}")
            packed.seek(0)
            data, status = _gunzip(packed)
    except FileNotFoundError as error:
        if error.filename == "gzip":
            raise ValueError(
                "the program gzip is not installed, but the .Z files of the Visible Human need it"
            ) from error
        raise ValueError(f"{path}: the file is missing; {_AGAIN}") from error
    except OSError as error:
        raise ValueError(f"{path}: can't be read ({error}); {_AGAIN}") from error
    if len(data) == LENGTH and status == 1:
        raise ValueError(f"{path}: gzip found damaged data in it; {_AGAIN}")
    if len(data) != LENGTH:
        found = f"more than {LENGTH}" if len(data) > LENGTH else f"only {len(data)}"
        raise ValueError(f"{path}: unpacks to {found} bytes, a slice has {LENGTH}; damaged or another format, {_AGAIN}")
    return data


def _gunzip(packed: FileIO) -> tuple[bytes, int]:
    """Unpacked bytes, one more than a slice has at the most, and gzip's exit status."""
    with subprocess.Popen(["gzip", "-dc"], stdin=packed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as gzip:
        assert gzip.stdout is not None
        data = gzip.stdout.read(LENGTH + 1)
        if len(data) > LENGTH:
            gzip.kill()
        return data, gzip.wait()


def _upright(pixels: NDArray[np.float32], header: bytes) -> NDArray[np.float32]:
    """Turn a slice so that the patient's right is on the left and the front is up, by its corners."""
    (left, top, _), (right, _, _), (_, bottom, _) = (struct.unpack_from(">3f", header, at) for at in _CORNERS)
    # GE counts R towards the patient's right and A to the front. Corners that are all 0 leave the slice as it is.
    if right > left:
        pixels = pixels[:, ::-1]
    if bottom > top:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
