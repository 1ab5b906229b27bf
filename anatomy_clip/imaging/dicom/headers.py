"""The frames of one file, as its header describes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import UID

from anatomy_clip.core.refusals import FETCH_AGAIN, Refused
from anatomy_clip.core.terms import Modality
from anatomy_clip.imaging.dicom.diffusion import PRIVATE_B, b_value
from anatomy_clip.imaging.dicom.fields import MACROS, PER_FRAME, SHARED, Fields, named
from anatomy_clip.imaging.dicom.files import MAX_SAMPLES, Header, read_header
from anatomy_clip.imaging.dicom.geometry import Vector
from anatomy_clip.imaging.dicom.protocol import Facts, facts
from anatomy_clip.imaging.dicom.refusing import refusing

_UNIT = 0.01  # how far direction cosines may be off unit length and off a right angle
# CT and MR, their Enhanced forms, and what PS3.4 calls legacy converted.
_CT = {"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"}
_MR = {"1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.4"}
_TAGS: tuple[Any, ...] = (
    *MACROS, SHARED, PER_FRAME, "SOPClassUID", "SOPInstanceUID", "Modality", "ImageType", "StudyInstanceUID",
    "SeriesInstanceUID", "PatientID", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated",
    "BitsStored", "HighBit", "PhotometricInterpretation", "BurnedInAnnotation", "BodyPartExamined",
    "SeriesDescription", "ProtocolName", "PulseSequenceName", "SequenceName", "ScanningSequence", "SequenceVariant",
    "EchoPulseSequence", "EchoPlanarPulseSequence", "EchoTime", "InversionTime", "InstanceNumber",
    "AcquisitionNumber", "TemporalPositionIdentifier", "TriggerTime", "ModalityLUTSequence",
    *(tag for _, creator, value in PRIVATE_B for tag in (creator, value)),
)  # fmt: skip


@dataclass(frozen=True)
class FrameHeader:
    """One frame: where it lies, and what is known of it before its pixels are read.

    Attributes:
        path: the file.
        number: the frame in it, from 1.
        uids: raw Patient ID, and Study, Series and SOP Instance UID; empty where absent, kept out of `repr`.
        modality: CT or MR.
        shape: rows and columns as stored.
        row, column: unit directions along a row and down a column, LPS.
        origin_mm: centre of the first pixel, LPS.
        spacing_mm: distance between rows and between columns as stored, mm.
        thickness_mm: slice thickness; None where not stated.
        facts: what decides an MR protocol.
        phases: (name, value) of what can tell frames at one position apart, most telling first.
        body_part: what the header says of the body part; free text, kept out of `repr`.
        burned_in: Burned In Annotation; None where not stated.
        notes: what a user of the pixels should know.
        sop_class_uid: raw SOP Class UID; empty where absent.
    """

    path: Path = field(repr=False)
    number: int
    uids: tuple[str, str, str, str] = field(repr=False)
    modality: Modality
    shape: tuple[int, int]
    row: Vector
    column: Vector
    origin_mm: Vector
    spacing_mm: tuple[float, float]
    thickness_mm: float | None
    facts: Facts
    phases: tuple[tuple[str, Any], ...]
    instance: int
    body_part: str = field(repr=False)
    burned_in: bool | None
    notes: tuple[str, ...]
    sop_class_uid: str = field(default="", repr=False)


def read_headers(path: Path) -> list[FrameHeader]:
    """Read the frames that a file holds, without its pixels.

    Raises:
        Refused: the file is no CT or MR slice that can be shown; says why and what to do.
    """
    header = read_header(path, _TAGS)
    with refusing("its header is damaged"):
        top = Fields(header.dataset)
        modality = _modality(top)
        frames, shape = _claims(top, header)
        return [_frame(path, Fields(header.dataset, n), n, modality, shape) for n in range(1, frames + 1)]


def _modality(fields: Fields) -> Modality:
    name, sop_class = fields.text("Modality"), fields.text("SOPClassUID")
    if name not in ("CT", "MR"):
        raise Refused(f"{named('Modality')} is no CT or MR", "leave it out")
    if sop_class and sop_class not in (_CT if name == "CT" else _MR):
        kind = UID(sop_class).name if UID(sop_class).is_valid else "unknown"
        raise Refused(f"{named('SOPClassUID')} is {kind}, no {name} image", "leave it out: it holds no slice")
    if name == "CT" and "LOCALIZER" in fields.texts("ImageType"):
        raise Refused(f"{named('ImageType')} says LOCALIZER: a CT localizer is a projection", "leave it out")
    return Modality(name)


def _claims(fields: Fields, header: Header) -> tuple[int, tuple[int, int]]:
    """Number of frames, rows and columns, after checking that the pixels can be what the header says."""
    rows, columns = fields.whole("Rows"), fields.whole("Columns")
    frames = fields.whole("NumberOfFrames") if fields.get("NumberOfFrames") is not None else 1
    if min(rows, columns, frames) < 1:
        raise Refused(f"claims {frames} frames of {rows} x {columns} pixels", "leave it out: it holds no slice")
    if rows * columns * frames > MAX_SAMPLES:
        raise Refused(f"claims {frames} frames of {rows} x {columns} pixels, over the limit of {MAX_SAMPLES} samples",
                      "leave it out, or split it")  # fmt: skip
    if (fields.number("SamplesPerPixel") or 1) != 1 or not fields.text("PhotometricInterpretation").startswith("MONO"):
        raise Refused(f"{named('PhotometricInterpretation')} is not MONOCHROME1 or 2", "leave it out: it is a picture")
    bits, stored = fields.whole("BitsAllocated"), fields.whole("BitsStored")
    if bits not in (8, 16, 32) or not 1 <= stored <= bits:
        raise Refused(f"{named('BitsStored')} is {stored} of {bits} allocated", "mend the field, or leave it out")
    if fields.get("HighBit") is not None and fields.whole("HighBit") != stored - 1:
        raise Refused(f"{named('HighBit')} is not Bits Stored - 1 (retired)", "rewrite the file with shifted bits")
    needed = rows * columns * frames * bits // 8
    if header.pixel_bytes is not None and header.pixel_bytes < needed:
        raise Refused(f"its Pixel Data (7FE0,0010) hold {header.pixel_bytes} of {needed} bytes", FETCH_AGAIN)
    groups = header.dataset.get(PER_FRAME)
    if frames > 1 and (not groups or len(groups) != frames):
        raise Refused(f"has {frames} frames and {len(groups or ())} items of {named(PER_FRAME)}, so a frame's "
                      "geometry is unknown", "convert it with its functional groups")  # fmt: skip
    return frames, (rows, columns)


def _frame(path: Path, fields: Fields, number: int, modality: Modality, shape: tuple[int, int]) -> FrameHeader:
    row, column = _directions(fields)
    spacing = _vector(fields, "PixelSpacing", 2)
    if min(spacing) <= 0:
        raise Refused(f"{named('PixelSpacing')} is not above 0", "mend the field")
    x, y, z = _vector(fields, "ImagePositionPatient", 3)
    thickness = fields.number("SliceThickness")
    burned_in = {"YES": True, "NO": False}.get(fields.text("BurnedInAnnotation").upper())
    said = facts(fields, *b_value(fields)) if modality is Modality.MR else Facts(fields.frame_type())
    uids = (fields.text("PatientID"), fields.text("StudyInstanceUID"), fields.text("SeriesInstanceUID"),
            fields.text("SOPInstanceUID"))  # fmt: skip
    return FrameHeader(
        path, number, uids, modality, shape, row, column, (x, y, z), (spacing[0], spacing[1]),
        thickness if thickness and thickness > 0 else None, said, _phases(fields, said),
        int(fields.number("InstanceNumber") or 0), _body_part(fields), burned_in,
        _notes(fields) if modality is Modality.CT else (), fields.text("SOPClassUID"),
    )  # fmt: skip


def _vector(fields: Fields, keyword: str, length: int) -> tuple[float, ...]:
    values = fields.numbers(keyword)
    if len(values) != length:
        fault = "is missing" if not values else f"holds {len(values)} numbers, not {length}"
        raise Refused(f"{named(keyword)} {fault}, so the slice's place is unknown", "leave it out, or mend the field")
    return values


def _directions(fields: Fields) -> tuple[Vector, Vector]:
    cosines = np.asarray(_vector(fields, "ImageOrientationPatient", 6)).reshape(2, 3)
    lengths = np.linalg.norm(cosines, axis=1)
    if np.abs(lengths - 1).max() > _UNIT or abs(float(cosines[0] @ cosines[1])) > _UNIT:
        raise Refused(f"{named('ImageOrientationPatient')} holds no two unit directions at a right angle",
                      "mend the field")  # fmt: skip
    (a, b, c), (d, e, f) = (cosines / lengths[:, None]).tolist()
    return (a, b, c), (d, e, f)


def _phases(fields: Fields, said: Facts) -> tuple[tuple[str, Any], ...]:
    return (
        ("echo time", said.te),
        ("image type", said.frame_type),
        ("temporal position", fields.number("TemporalPositionIndex") or fields.number("TemporalPositionIdentifier")),
        ("acquisition", fields.number("FrameAcquisitionNumber") or fields.number("AcquisitionNumber")),
        ("trigger time", fields.number("NominalCardiacTriggerDelayTime") or fields.number("TriggerTime")),
    )


def _body_part(fields: Fields) -> str:
    regions = fields.get("AnatomicRegionSequence")
    region = str(regions[0].get("CodeMeaning", "")) if regions else ""
    return fields.text("BodyPartExamined") or region or fields.text("SeriesDescription")


def _notes(fields: Fields) -> tuple[str, ...]:
    kind = fields.text("RescaleType").upper()
    if fields.get("RescaleSlope") is None and fields.get("ModalityLUTSequence") is None:
        return (f"{named('RescaleSlope')} is missing: values may not be HU",)
    return (f"{named('RescaleType')} is {kind}: values may not be HU",) if kind not in ("", "HU") else ()
