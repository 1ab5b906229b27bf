"""A frame as its file asks to be shown: Modality LUT, then VOI LUT or window, then inversion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_voi

from anatomy_clip.core.refusals import Refused, guarded
from anatomy_clip.imaging.dicom.decode import stored_frame
from anatomy_clip.imaging.dicom.fields import Fields, named
from anatomy_clip.imaging.dicom.values import Values, modality_values, padded


@dataclass(frozen=True)
class Window:
    """A VOI window (PS3.3 C.11.2.1.2).

    Attributes:
        centre: Window Center.
        width: Window Width; above 0, and at least 1 for LINEAR.
        function: LINEAR, LINEAR_EXACT or SIGMOID.
    """

    centre: float
    width: float
    function: str = "LINEAR"

    @property
    def valid(self) -> bool:
        """Whether the standard defines this window; WW=0 it doesn't."""
        return self.width >= 1 if self.function == "LINEAR" else self.width > 0

    def share(self, values: Values) -> Values:
        """Map values to 0 (black) to 1 (white)."""
        if self.function == "SIGMOID":
            return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - self.centre) / self.width, -700, 700))))
        if self.function == "LINEAR_EXACT":
            return np.clip((values - self.centre) / self.width + 0.5, 0, 1)
        if self.width == 1:  # the ramp has no length: a threshold
            return (values > self.centre - 0.5).astype(np.float64)
        return np.clip((values - (self.centre - 0.5)) / (self.width - 1) + 0.5, 0, 1)


def display(dataset: Dataset, window: int = 0, number: int = 1) -> NDArray[np.uint8]:
    """Show a frame as its file asks; without a usable view, from its least to its greatest value.

    Args:
        dataset: a whole file, from `read_whole` or pydicom.
        window: which view: the items of VOI LUT Sequence first, then the usable windows.
        number: the frame, from 1.

    Returns:
        (rows, columns) as stored, not turned; padding is black.

    Raises:
        ValueError: the file has fewer views, or its pixels can't be decoded.
    """
    with guarded(f"frame {number} can't be shown"):
        stored = stored_frame(dataset, number)
        values, mask = modality_values(dataset, stored, number), padded(dataset, stored)
        share = _shared(dataset, Fields(dataset, number), values, mask, window)
        if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
            share = 1 - share
        grey: NDArray[np.uint8] = np.where(mask, 0, np.floor(share * 255 + 0.5)).astype(np.uint8)
    return grey


def windows(dataset: Dataset, number: int = 1) -> list[Window]:
    """The usable windows of a frame, in the file's order.

    Raises:
        ValueError: centres and widths differ in number, or hold no numbers.
    """
    return _windows(Fields(dataset, number))


def _windows(fields: Fields) -> list[Window]:
    centres, widths = fields.numbers("WindowCenter"), fields.numbers("WindowWidth")
    if len(centres) != len(widths):
        raise Refused(f"{named('WindowCenter')} has {len(centres)} values, {named('WindowWidth')} {len(widths)}",
                      "mend the fields")  # fmt: skip
    function = fields.text("VOILUTFunction").upper() or "LINEAR"
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise Refused(f"{named('VOILUTFunction')} is none of LINEAR, LINEAR_EXACT, SIGMOID", "mend the field")
    found = [Window(centre, width, function) for centre, width in zip(centres, widths, strict=True)]
    return [window for window in found if window.valid]


def _shared(dataset: Dataset, fields: Fields, values: Values, mask: NDArray[np.bool_], window: int) -> Values:
    """(rows, columns), 0 to 1 before any inversion."""
    luts, found = len(fields.get("VOILUTSequence") or ()), _windows(fields)
    views = luts + len(found)
    if window < 0 or (window >= views and window > 0):
        raise Refused(f"window {window} was asked for, but there are {views}", "count from 0")
    if window < luts:
        return _by_lut(dataset, values, window)
    if found:
        return found[window - luts].share(values)
    image = values[~mask]
    low, high = (float(image.min()), float(image.max())) if image.size else (0.0, 0.0)
    return np.clip((values - low) / (high - low), 0, 1) if high > low else np.zeros(values.shape)


def _by_lut(dataset: Dataset, values: Values, index: int) -> Values:
    with guarded(f"{named('VOILUTSequence')} is damaged", "mend the field"):
        bits = int(dataset.VOILUTSequence[index].LUTDescriptor[2])
        out = np.asarray(apply_voi(np.rint(values).astype(np.int64), dataset, index), np.float64)
        # Some files state fewer bits than their entries use; the entries are what is shown.
        full = max(2**bits - 1, float(out.max()))
        return np.asarray(np.clip(out / full, 0, 1))
