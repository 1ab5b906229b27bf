"""Contradictions between the frames of one stack: places, thickness and identifiers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from anatomy_clip.imaging.dicom.fields import named
from anatomy_clip.imaging.dicom.geometry import SPARSE, holes, usual_step
from anatomy_clip.imaging.dicom.headers import FrameHeader
from anatomy_clip.imaging.orientation import MAX_TILT_DEGREES

_SHOWN = 3


def geometry_notes(off_axis: float, places_mm: Sequence[float], thickness_mm: Sequence[float | None]) -> list[str]:
    """Doubts about where the slices of a stack lie.

    Args:
        off_axis: angle between the slices' normal and the nearest plane's, degrees.
        places_mm: (N,) places along the normal, ascending.
        thickness_mm: (N,) slice thickness; None where not stated.
    """
    notes = []
    if off_axis > MAX_TILT_DEGREES:
        notes.append(f"slices are tilted by {off_axis:.0f} degrees from the nearest plane")
    spacing = median([after - before for before, after in pairwise(places_mm)]) if len(places_mm) > 1 else 0.0
    known = [mm for mm in thickness_mm if mm]
    if known and spacing > SPARSE * median(known):
        notes.append(f"slices of {median(known):g} mm are {spacing:.3g} mm apart")
    if found := holes(places_mm, thickness_mm):
        shown = ", ".join(f"{mm:.3g} mm after slice {n}" for n, mm in list(found.items())[:_SHOWN])
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        usual = f"slices are usually {usual_step(places_mm):.3g} mm apart"
        notes.append(f"{usual}, but there are gaps ({shown}{more}): are slices missing?")
    return notes


def identifier_notes(group: Sequence[FrameHeader]) -> list[str]:
    """Doubts about UIDs that several files share, or that no two slices share."""
    notes = []
    uids = dict.fromkeys((frame.path, frame.uids[3]) for frame in group if frame.uids[3])
    if len({uid for _, uid in uids}) < len(uids):
        notes.append(f"{named('SOPInstanceUID')} is the same in several slices: was it overwritten?")
    if len({frame.uids[1:3] for frame in group}) > 1:
        notes.append(
            f"each of its slices has a {named('SeriesInstanceUID')} of its own: the slices were joined by their "
            "geometry"
        )
    return notes
