"""Stored pixels of one frame, decoded but not yet rescaled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from anatomy_clip.core.refusals import FETCH_AGAIN, Refused
from anatomy_clip.imaging.dicom.codestream import claimed_shape, lossless_fault
from anatomy_clip.imaging.dicom.fields import Fields, named
from anatomy_clip.imaging.dicom.files import MAX_SAMPLES, read_whole
from anatomy_clip.imaging.dicom.refusing import refusing

Stored = NDArray[Any]
_CONVERT = "convert it to Explicit VR Little Endian, for instance with dcmdjpeg"

# One decoder a syntax, so that a machine with more packages installed gives no other pixels.
DECODERS: dict[str, str] = {
    RLELossless: "pydicom",
    JPEGBaseline8Bit: "pillow",
    JPEGExtended12Bit: "pillow",  # of 8 bits
    JPEGLossless: "gdcm",
    JPEGLosslessSV1: "gdcm",
    **dict.fromkeys(JPEGLSTransferSyntaxes, "pyjpegls"),
    **dict.fromkeys(JPEG2000TransferSyntaxes, "pylibjpeg"),
}


def stored_frame(dataset: Dataset, number: int = 1) -> Stored:
    """Decode one frame.

    Args:
        dataset: the whole file.
        number: the frame, from 1.

    Returns:
        (rows, columns) of whole numbers, as stored: no rescale, no inversion; unused bits cleared.

    Raises:
        Refused: the header claims too much, the codec is not supported, or the frame is damaged.
    """
    shape = _checked_shape(dataset, number)
    with refusing("its Transfer Syntax UID (0002,0010) is missing or unknown"):
        syntax = UID(dataset.file_meta.TransferSyntaxUID)
        compressed = syntax.is_compressed
    plugin = DECODERS.get(syntax, "")
    if compressed:
        _check_stream(dataset, number, shape, plugin)
        _check_codec(syntax, plugin, dataset.get("BitsStored"))
    with refusing(f"frame {number} can't be decoded from {syntax.name}", told=True):
        # pydicom clears unused bits and mends a wrong sign in JPEG 2000 and JPEG-LS.
        pixels = np.asarray(pixel_array(dataset, index=number - 1, raw=True, decoding_plugin=plugin))
    if pixels.shape != shape:
        raise Refused(f"frame {number} decodes to {pixels.shape}, but the header says {shape}", FETCH_AGAIN)
    return pixels


class FrameReader:
    """Reads frames of many files, and keeps the last file open in memory for the next frame."""

    def __init__(self) -> None:
        """Start with no file."""
        self._path: Path | None = None
        self._dataset = Dataset()

    def dataset(self, path: Path) -> Dataset:
        """A file with its pixels, still encoded.

        Raises:
            Refused: as `read_whole`.
        """
        if path != self._path:
            self._path = None
            self._dataset = read_whole(path)
            self._path = path
        return self._dataset


def _checked_shape(dataset: Dataset, number: int) -> tuple[int, int]:
    fields = Fields(dataset, number)
    rows, columns = fields.whole("Rows"), fields.whole("Columns")
    frames = fields.whole("NumberOfFrames") if fields.get("NumberOfFrames") is not None else 1
    if not 1 <= number <= frames:
        raise Refused(f"it has no frame {number}, but only {frames}", FETCH_AGAIN)
    if rows * columns * frames > MAX_SAMPLES:
        claim = f"{frames} frames of {rows} x {columns} pixels"
        raise Refused(
            f"its header states {claim}, above the limit of {MAX_SAMPLES} samples", "leave it out, or split it"
        )
    if "PixelData" not in dataset:
        raise Refused(f"has no {named('PixelData')}", "leave it out: it is not an image")
    return rows, columns


def _check_stream(dataset: Dataset, number: int, shape: tuple[int, int], plugin: str) -> None:
    """Refuse a compressed frame that claims another size than the header, or that would bring GDCM down."""
    fields = Fields(dataset, number)
    with refusing(f"frame {number} can't be found in its Pixel Data (7FE0,0010)"):
        stream = get_frame(dataset.PixelData, number - 1, number_of_frames=int(fields.number("NumberOfFrames") or 1))
    claimed = claimed_shape(stream)
    if claimed is not None and claimed != shape:
        raise Refused(
            f"the compressed frame {number} states {claimed} pixels, but the header says {shape}", FETCH_AGAIN
        )
    if plugin == "gdcm":
        if fields.whole("SamplesPerPixel") != 1:
            raise Refused("a lossless JPEG with several samples per pixel is not CT or MR", "leave it out")
        if fault := lossless_fault(stream, shape, fields.whole("BitsAllocated")):
            raise Refused(f"frame {number} can't be decoded: {fault}", FETCH_AGAIN)


def _check_codec(syntax: UID, plugin: str, bits: int | None) -> None:
    if syntax == JPEGExtended12Bit and bits != 8:  # only a GPL codec can
        raise Refused(f"{syntax.name} of {bits} bits can't be decoded here", _CONVERT)
    with refusing(f"{syntax.name} is not a transfer syntax that can be decoded here", _CONVERT):
        available = get_decoder(syntax).available_plugins
    if plugin and plugin not in available:
        raise Refused(
            f"{syntax.name} needs the decoder {plugin}", f"install {plugin}; installed: {', '.join(available)}"
        )
