"""An evenly spaced series to a volume, so that other planes can be cut out of it."""

from __future__ import annotations

from math import prod

import numpy as np

from anatomy_clip.core.refusals import Refused
from anatomy_clip.imaging.dicom.decode import FrameReader
from anatomy_clip.imaging.dicom.files import MAX_SAMPLES
from anatomy_clip.imaging.dicom.geometry import normal
from anatomy_clip.imaging.dicom.pixels import load
from anatomy_clip.imaging.dicom.series import DicomSeries
from anatomy_clip.imaging.orientation import MAX_TILT_DEGREES, tilt_degrees
from anatomy_clip.imaging.volume import Volume, normal_axis

MAX_GANTRY_TILT_DEGREES = 1.0  # beyond it a stack is a sheared box, not a rectangular one
_EVEN = 0.02  # steps may differ from the usual one by this share, or by what rounding leaves
_ROUNDING_MM = 0.02


def read_volume(series: DicomSeries) -> Volume:
    """Stack the slices of a series.

    Args:
        series: at least two slices at even distances, not tilted against their direction of travel.

    Returns:
        Canonical RAS+ axes; values as `read_frames`.

    Raises:
        ValueError: the slices are too few, unevenly spaced, tilted or oblique, or a frame can't be read.
    """
    _check(series)
    reader = FrameReader()
    # A displayed slice is a plane of the volume, transposed and with both axes reversed (see `display_plane`).
    planes = [load(series, index, reader, blank=True) for index in range(len(series.frames))]
    axis = normal_axis(series.orientation)
    # DICOM's x and y run to the patient's left and back, against RAS+; z runs to the head in both.
    ascending = float(normal(series.row, series.column)[axis]) * (-1, -1, 1)[axis] > 0
    stack = np.stack([image.pixels[::-1, ::-1].T for image in (planes if ascending else planes[::-1])])
    spacing = [*planes[0].spacing_mm[::-1]]  # transposed: columns first
    spacing.insert(axis, float(series.spacing_mm or 0.0))
    x, y, z = spacing
    return Volume(np.ascontiguousarray(np.moveaxis(stack, 0, axis)), (x, y, z), series.modality, series.protocol)


def _check(series: DicomSeries) -> None:
    where = series.frames[0].path.parent
    if len(series.frames) < 2 or not series.spacing_mm:
        raise Refused("a volume needs two slices or more", "read its slices one by one", where)
    if prod(series.shape) * len(series.frames) > MAX_SAMPLES:
        raise Refused(f"its slices make more than {MAX_SAMPLES} voxels", "read its slices one by one", where)
    steps = np.diff(series.positions_mm)
    if np.abs(steps - series.spacing_mm).max() > max(_EVEN * series.spacing_mm, _ROUNDING_MM):
        raise Refused(f"its slices lie {steps.min():.2f} to {steps.max():.2f} mm apart", "read its slices one by one, "
                      "or fill the gaps", where)  # fmt: skip
    if series.tilt_degrees > MAX_GANTRY_TILT_DEGREES:
        raise Refused(f"its slices are tilted by {series.tilt_degrees:.1f} degrees against their direction of travel",
                      "read its slices one by one, or resample it first", where)  # fmt: skip
    axes = np.eye(4)
    axes[:3, :3] = np.transpose([series.row, series.column, normal(series.row, series.column)])
    if tilt_degrees(axes) > MAX_TILT_DEGREES:
        raise Refused(f"it lies {tilt_degrees(axes):.0f} degrees off the patient's axes", "resample it first", where)
