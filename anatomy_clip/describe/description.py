"""What a description says: plain values, best first, as `--json` prints them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.refusals import Refusal

SCHEMA = "anatomy_clip/description/1"
_PRIVATE = ("source", "picture", "burned_in")  # never printed


@dataclass(frozen=True)
class Finding:
    """A station or an organ.

    Attributes:
        name: as the taxonomy has it.
        score: calibrated probability that it is in view, 0 to 1.
    """

    name: str
    score: float


@dataclass(frozen=True)
class SourceImage:
    """The DICOM instance that a slice came from, for references in a Structured Report; private, never printed.

    Attributes:
        path: the file.
        sop_class_uid, sop_instance_uid, study_uid, series_uid: what names it.
        frame: its frame, from 1.
    """

    path: Path = field(repr=False)
    sop_class_uid: str = field(repr=False)
    sop_instance_uid: str = field(repr=False)
    study_uid: str = field(repr=False)
    series_uid: str = field(repr=False)
    frame: int = 1


@dataclass(frozen=True)
class SliceDescription:
    """What one slice shows.

    Attributes:
        index: place in its series, from 0, in the order of `position_mm`.
        position_mm: place along the series' normal, mm; None for a picture without geometry.
        stations, organs: named, best first; empty where abstained.
        abstained: no listed organ is in view with enough certainty.
        source: where it came from; None for what isn't DICOM; private.
        picture: (side, side) uint8, the slice as the model is shown it; None unless asked for; private.
    """

    index: int
    position_mm: float | None
    stations: tuple[Finding, ...]
    organs: tuple[Finding, ...]
    abstained: bool
    source: SourceImage | None = field(default=None, repr=False)
    picture: NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Range:
    """Neighbouring slices of one station.

    Attributes:
        station: its name.
        first, last: slice indices, both included.
        from_mm, to_mm: places of the two along the normal, mm from the first slice; None without geometry.
    """

    station: str
    first: int
    last: int
    from_mm: float | None
    to_mm: float | None


@dataclass(frozen=True)
class SeriesDescription:
    """What one series shows, all its slices together.

    Attributes:
        path: file or folder, from what was asked for; no part of it is invented.
        modality: "CT" or "MR"; estimated from the image where neither header nor user says, which a note states.
        protocol: MR protocol, or "".
        evidence: header fields that decided the protocol, and what they said.
        orientation: "axial", "coronal" or "sagittal"; estimated from the image for a picture, which a note states.
        stations: of `ranges`; for coronal and sagittal slices those named in enough of them; best first.
        organs: named in enough slices, best first.
        ranges: stations along the body axis, smoothed.
        caption: the best complete caption of those seen in training.
        abstained: no slice shows a listed organ with enough certainty.
        body_part: the header's Body Part Examined, where it is one of DICOM's defined terms, else "".
        agrees: whether the stations agree with it; None where it says nothing that the taxonomy knows.
        notes: what a user should know (oblique planes, values that aren't HU, gaps).
        slices: one a slice.
        variant: what tells it from other series of the same path ("b-value 800"), or "".
        burned_in: the header says that text stands in the pixels: its pictures aren't to be shown; a note says so.
    """

    path: str
    modality: str
    protocol: str
    evidence: str
    orientation: str
    stations: tuple[Finding, ...]
    organs: tuple[Finding, ...]
    ranges: tuple[Range, ...]
    caption: str
    abstained: bool
    body_part: str
    agrees: bool | None
    notes: tuple[str, ...]
    slices: tuple[SliceDescription, ...]
    variant: str = ""
    burned_in: bool = False


@dataclass(frozen=True)
class Description:
    """What was found in all that was asked for, and what of it was refused."""

    series: tuple[SeriesDescription, ...]
    refusals: tuple[Refusal, ...]

    def plain(self) -> dict[str, Any]:
        """The JSON document (schema `SCHEMA`): plain dicts, lists, strings and numbers, without private fields."""
        series = [_plain_item(one) for one in self.series]
        refused = [{"path": one.where, "reason": one.message} for one in self.refusals]
        return {"schema": SCHEMA, "series": series, "rejected": refused}


def _plain(value: Any) -> Any:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return value
    return [_plain_item(item) for item in value]


def _plain_item(item: Any) -> Any:
    if not hasattr(item, "__dataclass_fields__"):
        return item
    return {name: _plain(getattr(item, name)) for name in item.__dataclass_fields__ if name not in _PRIVATE}
