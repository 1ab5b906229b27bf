"""Frames of a series to slices in display convention."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.refusals import Refusal, Refused
from anatomy_clip.core.terms import Modality
from anatomy_clip.imaging.dicom.decode import FrameReader, stored_frame
from anatomy_clip.imaging.dicom.geometry import turn
from anatomy_clip.imaging.dicom.refusing import refusing
from anatomy_clip.imaging.dicom.series import DicomSeries, Frame
from anatomy_clip.imaging.dicom.values import modality_values, padding_mask, stored_range
from anatomy_clip.imaging.slices import Slice


def read_frames(series: DicomSeries) -> Iterator[Slice | Refusal]:
    """Read the frames of a series in order, one file in memory at a time: each a slice, or why it can't be used."""
    reader = FrameReader()
    for index in range(len(series.frames)):
        try:
            yield load(series, index, reader)
        except Refused as error:
            yield error.refusal


def load(series: DicomSeries, index: int, reader: FrameReader, blank: bool = False) -> Slice:
    """Read one slice through a reader that keeps its file.

    Args:
        series: from `find_series`.
        index: the slice, from 0.
        reader: reads the files.
        blank: take a constant slice too, as the ends of a volume can be.

    Raises:
        Refused: the file is damaged or needs a missing decoder, or the frame is constant or not finite; names the file.
    """
    frame = series.frames[index]
    try:
        with refusing(f"frame {frame.number} can't be read"):
            values = _values(series, frame, reader)
            if not blank and values.min() == values.max():
                raise Refused(
                    f"all pixels of frame {frame.number} have the same value", "leave it out: it shows nothing"
                )
    except Refused as error:
        raise error.at(frame.path) from None
    turned = turn(series.row, series.column, series.orientation)
    thickness = frame.thickness_mm or series.thickness_mm or series.spacing_mm or 0.0
    return Slice(
        turned.pixels(values), turned.spacing(series.pixel_spacing_mm), thickness,
        series.modality, series.protocol, series.orientation,
    )  # fmt: skip


def _values(series: DicomSeries, frame: Frame, reader: FrameReader) -> NDArray[np.float32]:
    """(rows, columns) as stored; HU for CT."""
    dataset = reader.dataset(frame.path)
    stored = stored_frame(dataset, frame.number)
    if stored.shape != series.shape:
        raise Refused(f"frame {frame.number} is no longer {series.shape} pixels", "read the series again")
    values = modality_values(dataset, stored, frame.number)
    if series.modality is Modality.MR and dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        # Arbitrary units: turn them so that more is brighter. HU mean the same however they are shown.
        ends = modality_values(dataset, np.asarray([stored_range(dataset)]), frame.number)
        values = ends.sum() - values
    mask = padding_mask(dataset, stored)
    if not mask.any():
        return values.astype(np.float32)
    background = values[~mask].min(initial=values.max())
    return np.where(mask, background, values).astype(np.float32)
