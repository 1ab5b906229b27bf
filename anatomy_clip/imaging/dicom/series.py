"""DICOM files to series that can be shown as one stack each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median

from anatomy_clip.core.refusals import Refusal, Refused
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.imaging.dicom.decode import FrameReader
from anatomy_clip.imaging.dicom.doubts import geometry_notes, identifier_notes
from anatomy_clip.imaging.dicom.geometry import Vector, lie_side_by_side, normal, positions
from anatomy_clip.imaging.dicom.grouping import Group, group_frames, part_repeats
from anatomy_clip.imaging.dicom.headers import read_headers
from anatomy_clip.imaging.dicom.protocol import decide
from anatomy_clip.imaging.orientation import nearest_plane

_BESIDE = (
    "slices are side by side in one plane, not one behind the other: Image Orientation (0020,0037) or Image Position "
    "(0020,0032) may be wrong"
)


@dataclass(frozen=True)
class Frame:
    """One slice of a series, still in its file.

    Attributes:
        path: the file.
        number: the frame in it, from 1.
        position_mm: place along the series' normal, mm.
        thickness_mm: slice thickness, mm; None where not stated.
        sop_class_uid, sop_instance_uid, study_uid, series_uid: raw identifiers of the file; kept out of `repr`.
    """

    path: Path = field(repr=False)
    number: int
    position_mm: float
    thickness_mm: float | None
    sop_class_uid: str = field(default="", repr=False)
    sop_instance_uid: str = field(default="", repr=False)
    study_uid: str = field(default="", repr=False)
    series_uid: str = field(default="", repr=False)


@dataclass(frozen=True)
class DicomSeries:
    """Frames of one orientation and kind, ordered along their normal.

    Attributes:
        frames: slices, ascending along row x column direction; kept out of `repr`, since a path can be a name.
        modality: CT or MR.
        protocol: MR protocol; `Protocol.NONE` for CT.
        evidence: the header fields that decided the protocol, and what they said; empty for CT.
        orientation: nearest anatomical plane.
        degrees_off_axis: angle between the slices' normal and that plane's, degrees.
        shape: rows and columns as stored.
        row, column: unit directions along a stored row and down a stored column, LPS.
        pixel_spacing_mm: distance between rows and between columns as stored, mm.
        thickness_mm: median slice thickness, mm; None where not stated.
        spacing_mm: usual distance between slices along the normal, from their positions, mm; None for one slice.
        b_value: diffusion weighting, s/mm2; None where not stated.
        variant: what tells this stack from others of its series ("echo time 30", "repeat 2"); often empty.
        body_part: what the header says; a hint, never a label; free text, kept out of `repr`.
        burned_in_annotation: whether text may stand in the pixels; None where not stated.
        notes: what a user should know (values that are not HU, slices far apart, oblique planes).
        patient_id, study_uid, series_uid: raw identifiers, for the caller to hash; kept out of `repr`.
    """

    frames: tuple[Frame, ...] = field(repr=False)
    modality: Modality
    protocol: Protocol
    evidence: tuple[str, ...]
    orientation: Orientation
    degrees_off_axis: float
    shape: tuple[int, int]
    row: Vector
    column: Vector
    pixel_spacing_mm: tuple[float, float]
    thickness_mm: float | None
    spacing_mm: float | None
    b_value: float | None
    variant: str
    body_part: str = field(repr=False)
    burned_in_annotation: bool | None
    notes: tuple[str, ...]
    patient_id: str = field(repr=False)
    study_uid: str = field(repr=False)
    series_uid: str = field(repr=False)

    @property
    def positions_mm(self) -> tuple[float, ...]:
        """Place of each frame along the normal, mm, ascending."""
        return tuple(frame.position_mm for frame in self.frames)


def find_series(paths: Iterable[Path]) -> tuple[list[DicomSeries], list[Refusal]]:
    """Read the headers of files and group their frames into series; pixels are read only where frames share a place.

    Args:
        paths: files; a folder stands for all files under it.

    Returns:
        The series, in the order of their first files, and every file or frame that is in none, with the reason.
    """
    frames: Group = []
    refusals: list[Refusal] = []
    for path in _files(paths):
        try:
            frames += read_headers(path)
        except Refused as error:
            refusals.append(error.at(path).refusal)
    series: list[DicomSeries] = []
    reader = FrameReader()
    for group in group_frames(frames):
        found, copies = series_of(group, reader)
        series += found
        refusals += copies
    return series, refusals


def series_of(group: Group, reader: FrameReader) -> tuple[list[DicomSeries], list[Refusal]]:
    """Part frames that are alike into series in which no two share a place, and refuse copies."""
    parts, copies = part_repeats(group, reader)
    first = group[0]
    beside = lie_side_by_side([frame.origin_mm for frame in group], normal(first.row, first.column))
    return [_series(part, variant, (_BESIDE,) if beside else ()) for variant, part in parts], copies


def _files(paths: Iterable[Path]) -> list[Path]:
    """Every file once, folders opened."""
    found: dict[Path, None] = {}
    for path in paths:
        inside = sorted(p for p in path.rglob("*") if not p.is_dir()) if path.is_dir() else [path]
        found.update(dict.fromkeys(inside))
    return list(found)


def _series(group: Group, variant: str, doubts: tuple[str, ...]) -> DicomSeries:
    first = group[0]
    along = normal(first.row, first.column)
    origins = [frame.origin_mm for frame in group]
    places = positions(origins, along)
    plane, off_axis = nearest_plane(first.row, first.column)
    spacing = median(after - before for before, after in pairwise(places)) if len(places) > 1 else None
    known = [frame.thickness_mm for frame in group if frame.thickness_mm]
    thickness = median(known) if known else None
    protocol, evidence, mixed = _protocol(group)
    flags = {frame.burned_in for frame in group}
    return DicomSeries(
        frames=tuple(
            Frame(f.path, f.number, mm, f.thickness_mm, f.sop_class_uid, f.uids[3], f.uids[1], f.uids[2])
            for f, mm in zip(group, places, strict=True)
        ),
        modality=first.modality, protocol=protocol, evidence=evidence,
        orientation=plane, degrees_off_axis=off_axis,
        shape=first.shape, row=first.row, column=first.column, pixel_spacing_mm=first.spacing_mm,
        thickness_mm=thickness, spacing_mm=spacing,
        b_value=first.facts.b_value, variant=variant, body_part=first.body_part,
        burned_in_annotation=True if True in flags else None if None in flags else False,
        notes=(*dict.fromkeys(note for f in group for note in f.notes), *mixed, *identifier_notes(group),
               *geometry_notes(off_axis, places, [frame.thickness_mm for frame in group]), *doubts),
        patient_id=first.uids[0], study_uid=first.uids[1], series_uid=first.uids[2],
    )  # fmt: skip


def _protocol(group: Group) -> tuple[Protocol, tuple[str, ...], tuple[str, ...]]:
    """The protocol of most frames, its evidence, and a note where frames disagree."""
    if group[0].modality is Modality.CT:
        return Protocol.NONE, (), ()
    verdicts = [decide(frame.facts) for frame in group]
    votes = Counter(protocol for protocol, _ in verdicts)
    winner = votes.most_common(1)[0][0]
    evidence = tuple(dict.fromkeys(said for protocol, said in verdicts if protocol is winner))
    others = ", ".join(f"{n} {protocol}" for protocol, n in votes.items() if protocol is not winner)
    return winner, evidence[:1], (f"the headers disagree on the MR protocol: {others}",) if others else ()
