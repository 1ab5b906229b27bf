"""Slices that headers put into one series, but that can't be shown as one stack: a sign that a header is wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from anatomy_clip.imaging.dicom.geometry import SAME_DIRECTION, SAME_POSITION_MM, largest_difference
from anatomy_clip.imaging.dicom.grouping import SAME_SPACING
from anatomy_clip.imaging.dicom.series import DicomSeries


def with_header_doubts(found: Sequence[DicomSeries]) -> list[DicomSeries]:
    """Note at each stack what others of its Series Instance UID have that it has not.

    Surveys hold several planes on purpose; in any other series such a note tells of a header that was altered.
    """
    siblings: dict[tuple[str, str], list[DicomSeries]] = defaultdict(list)
    for one in found:
        siblings[one.study_uid, one.series_uid].append(one)
    return [_noted(one, siblings[one.study_uid, one.series_uid] if one.series_uid else []) for one in found]


def _noted(one: DicomSeries, siblings: Sequence[DicomSeries]) -> DicomSeries:
    found: dict[str, list[str]] = defaultdict(list)
    slices = 0
    for other in siblings:
        differences = _differences(one, other)
        slices += len(other.frames) if differences else 0
        for word, value in differences.items():
            found[word].append(value)
    notes = [*one.notes, *_lacking(one, siblings)]
    if not found:
        return replace(one, notes=tuple(notes))
    what = ", ".join(f"{word} ({', '.join(dict.fromkeys(values))})" for word, values in found.items())
    note = f"{slices} other slice(s) with another {what} have the same Series Instance UID: is the header right?"
    return replace(one, notes=(*notes, note))


def _lacking(one: DicomSeries, siblings: Sequence[DicomSeries]) -> Iterator[str]:
    """A note where another stack (time point, echo, b-value) has all places of this one, and more."""
    places = np.asarray(one.positions_mm)
    for other in sorted(siblings, key=lambda stack: -len(stack.frames)):
        if len(other.frames) <= len(one.frames) or _differences(one, other):
            continue
        apart = np.abs(places[:, None] - np.asarray(other.positions_mm)).min(axis=1)  # (N,)
        if apart.max() < SAME_POSITION_MM:
            here, there = len(one.frames), len(other.frames)
            yield f"it has {here} of the {there} positions that another stack of its series has: are slices missing?"
            return


def _differences(one: DicomSeries, other: DicomSeries) -> dict[str, str]:
    """What differs -> its value in the other."""
    turned = largest_difference((*one.row, *one.column), (*other.row, *other.column)) >= SAME_DIRECTION
    same_plane = one.orientation is other.orientation
    scaled = largest_difference(one.pixel_spacing_mm, other.pixel_spacing_mm) >= SAME_SPACING * min(
        one.pixel_spacing_mm
    )
    height, width = other.pixel_spacing_mm
    said = [
        ("modality", other.modality.value, one.modality is not other.modality),
        ("plane", other.orientation.value, not same_plane),
        ("direction", "turned or mirrored", turned and same_plane),
        ("frame size", f"{other.shape[0]} x {other.shape[1]}", one.shape != other.shape),
        ("pixel spacing", f"{height:.3g} x {width:.3g} mm", scaled),
    ]
    return {word: value for word, value, differs in said if differs}
