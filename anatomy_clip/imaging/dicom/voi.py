"""Values to greys: the first VOI LUT or window of a header (PS3.3 C.11.2), within 0 to 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from anatomy_clip.core.refusals import Refused
from anatomy_clip.imaging.dicom.fields import Fields, named
from anatomy_clip.imaging.dicom.refusing import refusing

F32 = NDArray[np.float32]
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_SHOWN = (0.5, 99.5)  # percentiles of the values that are black and white where nothing else is stated


def greys(dataset: Dataset, values: F32, counted: NDArray[np.bool_]) -> tuple[F32, tuple[str, ...]]:
    """Apply the VOI LUT; else the window; else one over nearly all values, and say so.

    Args:
        dataset: the file.
        values: (rows, columns), after Modality LUT or rescale.
        counted: (rows, columns), which of them are no padding.

    Returns:
        (rows, columns) within 0 to 1, 0 what is displayed first; and notes.

    Raises:
        Refused: LUT or window is damaged.
    """
    fields = Fields(dataset)
    sequence = fields.get("VOILUTSequence")
    if sequence:
        with refusing(f"{named('VOILUTSequence')} is damaged", "correct it, or remove it"):
            return _looked_up(sequence[0], values, dataset.original_encoding[1] is False), ()
    centre, width = fields.number("WindowCenter"), fields.number("WindowWidth")
    if centre is not None and width is not None:
        return windowed(values, centre, width, fields.text("VOILUTFunction").upper() or "LINEAR"), ()
    low, high = np.percentile(values[counted], _SHOWN) if counted.any() else (0.0, 0.0)
    note = f"it has no VOI LUT and no window: it is shown from percentile {_SHOWN[0]} to {_SHOWN[1]} of its values"
    return windowed(values, float(low + high) / 2, max(float(high - low), 1e-6), "LINEAR_EXACT"), (note,)


def windowed(values: F32, centre: float, width: float, function: str) -> F32:
    """Apply a window by its function, PS3.3 C.11.2.1.2 and C.11.2.1.3.

    Args:
        values: any shape.
        centre: of the window.
        width: of the window.
        function: LINEAR, LINEAR_EXACT or SIGMOID.

    Returns:
        The same shape, within 0 to 1.

    Raises:
        Refused: the width is too small, or the function unknown.
    """
    if function not in FUNCTIONS:
        raise Refused(f"{named('VOILUTFunction')} is not one of {', '.join(FUNCTIONS)}", "correct the field")
    if (width < 1 and function == "LINEAR") or width <= 0:
        raise Refused(f"{named('WindowWidth')} is too small", "correct the field")
    with np.errstate(over="ignore"):
        if function == "SIGMOID":
            grey = 1 / (1 + np.exp(-4 * (values - np.float32(centre)) / np.float32(width)))
        elif function == "LINEAR" and width == 1:
            grey = (values > centre - 0.5).astype(np.float32)
        else:
            exact = function == "LINEAR_EXACT"
            middle, span = (centre, width) if exact else (centre - 0.5, width - 1)
            grey = (values - np.float32(middle)) / np.float32(span) + np.float32(0.5)
    return np.asarray(np.clip(grey, 0, 1), np.float32)


def _looked_up(lut: Dataset, values: F32, big_endian: bool) -> F32:
    # pydicom.pixels.apply_voi counts the places of a table of 8 bits in 8 bits, so it wraps where there are over 256
    count, first, bits = (int(number) for number in lut.LUTDescriptor)
    count = count or 2**16
    if not 8 <= bits <= 16:
        raise ValueError(bits)
    data = lut.LUTData
    if isinstance(data, bytes):
        table = np.frombuffer(data, np.uint8 if bits == 8 and len(data) < 2 * count else ">u2" if big_endian else "<u2")
    else:
        table = np.asarray(data)
    entries = table[:count].astype(np.float32) / np.float32(2**bits - 1)
    if len(entries) != count:
        raise ValueError(len(entries))
    places = np.clip(np.rint(values) - first, 0, count - 1).astype(np.int32)
    return np.asarray(np.clip(entries, 0, 1)[places], np.float32)
