"""Stored pixels to values: padding, rescale and Modality LUT, of each frame by its own header."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut

from anatomy_clip.core.refusals import Refused
from anatomy_clip.imaging.dicom.decode import Stored
from anatomy_clip.imaging.dicom.fields import Fields, named
from anatomy_clip.imaging.dicom.refusing import refusing

Values = NDArray[np.float64]


def modality_values(dataset: Dataset, stored: Stored, number: int = 1) -> Values:
    """Apply the frame's Modality LUT or its rescale; Enhanced files keep that in the functional groups.

    Args:
        dataset: the file's data set.
        stored: (rows, columns) as decoded.
        number: the frame, from 1.

    Returns:
        (rows, columns); HU for CT.

    Raises:
        Refused: the LUT is damaged, or the result is not finite.
    """
    fields = Fields(dataset, number)
    with refusing(f"{named('ModalityLUTSequence')} is damaged", "correct the field"), np.errstate(all="ignore"):
        if fields.get("ModalityLUTSequence") is not None:
            values = np.asarray(apply_modality_lut(stored, dataset), np.float64)
        else:
            slope, intercept = fields.number("RescaleSlope"), fields.number("RescaleIntercept")
            values = np.multiply(stored, 1.0 if slope is None else slope, dtype=np.float64)
            values += intercept or 0.0
    ends = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)  # NaN where any value is
    if not all(abs(end) <= np.finfo(np.float32).max for end in ends):
        raise Refused(f"frame {number} has values that are not finite", "correct its rescale, or leave it out")
    return values


def padding_mask(dataset: Dataset, stored: Stored) -> NDArray[np.bool_]:
    """Where a frame is padding: Pixel Padding Value, up to Pixel Padding Range Limit where there is one.

    Args:
        dataset: the file's data set.
        stored: (rows, columns) as decoded.

    Returns:
        (rows, columns).
    """
    fields = Fields(dataset)
    value = fields.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, np.bool_)
    limit = fields.get("PixelPaddingRangeLimit")
    ends = sorted(_as_stored(fields, end) for end in (value, value if limit is None else limit))
    return (stored >= ends[0]) & (stored <= ends[1])


def stored_range(dataset: Dataset) -> tuple[int, int]:
    """The least and greatest number that a stored pixel can hold."""
    fields = Fields(dataset)
    bits, signed = fields.whole("BitsStored"), _signed(fields)
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


def _as_stored(fields: Fields, value: Any) -> int:
    """Padding written with the other signedness (US for SS) means the same bits."""
    with refusing(f"{named('PixelPaddingValue')} is not a whole number", "correct the field"):
        span = 2 ** fields.whole("BitsAllocated")
        bits: int = int(value) % span
        return bits - span if _signed(fields) and bits >= span // 2 else bits


def _signed(fields: Fields) -> bool:
    return bool(fields.get("PixelRepresentation") == 1)
