"""The frames of one file, as its header describes them."""

from __future__ import annotations

from contextlib import suppress
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
from anatomy_clip.imaging.dicom.kinds import PRIVATE_TILES, RADIOGRAPHS, check_slice, slice_doubts
from anatomy_clip.imaging.dicom.protocol import PRIVATE_COMPONENT, Facts, facts
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
    "AcquisitionNumber", "TemporalPositionIdentifier", "TriggerTime", "ModalityLUTSequence", "SeriesNumber",
    "VolumetricProperties", "VolumeBasedCalculationTechnique", "ConversionType", "AngioFlag", "ScanOptions",
    "ComplexImageComponent",
    *(tag for _, creator, value in (*PRIVATE_B, PRIVATE_TILES, PRIVATE_COMPONENT) for tag in (creator, value)),
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
        series_number: as it stands; kept out of `repr`.
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
    series_number: str = field(default="", repr=False)


def read_headers(path: Path) -> list[FrameHeader]:
    """Read the frames that a file holds, without its pixels.

    Raises:
        Refused: the file is no CT or MR slice that can be shown; says why and what to do.
    """
    header = read_header(path, _TAGS)
    with refusing("its header is damaged"):
        top = Fields(header.dataset)
        modality = _modality(top)
        frames, shape = claims(top, header)
        return [_read(path, header, n, modality, shape, frames) for n in range(1, frames + 1)]


def _modality(fields: Fields) -> Modality:
    name, sop_class = fields.text("Modality"), fields.text("SOPClassUID")
    if name not in ("CT", "MR"):
        if name in RADIOGRAPHS:
            reason = f"{named('Modality')} is not CT or MR: it is a radiograph ({name})"
            raise Refused(reason, "leave it out, or read films with source=dicom_films")
        raise Refused(f"{named('Modality')} is not CT or MR", "leave it out")
    if sop_class and sop_class not in (_CT if name == "CT" else _MR):
        kind = UID(sop_class).name if UID(sop_class).is_valid else "unknown"
        raise Refused(
            f"{named('SOPClassUID')} is {kind}: it does not fit the modality {name}",
            "leave it out: it contains no slice",
        )
    return Modality(name)


def claims(fields: Fields, header: Header) -> tuple[int, tuple[int, int]]:
    """Number of frames, rows and columns, after checking that the pixels can be what the header says.

    Raises:
        Refused: they can't be, or are no grey values.
    """
    rows, columns = fields.whole("Rows"), fields.whole("Columns")
    frames = fields.whole("NumberOfFrames") if fields.get("NumberOfFrames") is not None else 1
    if min(rows, columns, frames) < 1:
        raise Refused(
            f"its header states {frames} frames of {rows} x {columns} pixels", "leave it out: it contains no slice"
        )
    if rows * columns * frames > MAX_SAMPLES:
        claim = f"{frames} frames of {rows} x {columns} pixels"
        raise Refused(
            f"its header states {claim}, above the limit of {MAX_SAMPLES} samples", "leave it out, or split it"
        )
    if (fields.number("SamplesPerPixel") or 1) != 1 or not fields.text("PhotometricInterpretation").startswith("MONO"):
        raise Refused(f"{named('PhotometricInterpretation')} is not MONOCHROME1 or 2", "leave it out: it is a picture")
    bits, stored = fields.whole("BitsAllocated"), fields.whole("BitsStored")
    if bits not in (8, 16, 32) or not 1 <= stored <= bits:
        raise Refused(
            f"{named('BitsStored')} is {stored}, but {bits} bits are allocated", "correct the field, or leave it out"
        )
    if fields.get("HighBit") is not None and fields.whole("HighBit") != stored - 1:
        raise Refused(f"{named('HighBit')} is not Bits Stored - 1 (retired)", "rewrite the file with shifted bits")
    needed = rows * columns * frames * bits // 8
    if header.pixel_bytes is not None and header.pixel_bytes < needed:
        raise Refused(f"its Pixel Data (7FE0,0010) have {header.pixel_bytes} of {needed} bytes", FETCH_AGAIN)
    groups = header.dataset.get(PER_FRAME)
    if frames > 1 and (not groups or len(groups) != frames):
        raise Refused(f"has {frames} frames and {len(groups or ())} items of {named(PER_FRAME)}, so a frame's "
                      "geometry is unknown", "convert it with its functional groups")  # fmt: skip
    return frames, (rows, columns)


def _read(
    path: Path, header: Header, number: int, modality: Modality, shape: tuple[int, int], frames: int
) -> FrameHeader:
    """One of so many frames; a refusal names the frame where the file holds several."""
    try:
        return _frame(path, Fields(header.dataset, number), number, modality, shape)
    except Refused as error:
        refusal = error.refusal
        where = f"frame {number} of {frames}: " if frames > 1 else ""
        raise Refused(f"{where}{refusal.reason}", refusal.remedy) from None


def _frame(path: Path, fields: Fields, number: int, modality: Modality, shape: tuple[int, int]) -> FrameHeader:
    check_slice(fields, modality is Modality.CT)
    row, column = _directions(fields)
    spacing = _vector(fields, "PixelSpacing", 2)
    if min(spacing) <= 0:
        raise Refused(f"{named('PixelSpacing')} is not above 0", "correct the field")
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
        (*(_rescale_notes(fields) if modality is Modality.CT else ()), *slice_doubts(fields)),
        fields.text("SOPClassUID"), _series_number(fields),
    )  # fmt: skip


def _vector(fields: Fields, keyword: str, length: int) -> tuple[float, ...]:
    values = fields.numbers(keyword)
    if len(values) != length:
        fault = "is missing" if not values else f"has {len(values)} numbers, not {length}"
        raise Refused(
            f"{named(keyword)} {fault}, so the position of the slice is unknown", "leave it out, or correct the field"
        )
    return values


def _directions(fields: Fields) -> tuple[Vector, Vector]:
    cosines = np.asarray(_vector(fields, "ImageOrientationPatient", 6)).reshape(2, 3)
    lengths = np.linalg.norm(cosines, axis=1)
    if np.abs(lengths - 1).max() > _UNIT or abs(float(cosines[0] @ cosines[1])) > _UNIT:
        raise Refused(f"{named('ImageOrientationPatient')} does not contain two unit directions at a right angle",
                      "correct the field")  # fmt: skip
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


def _series_number(fields: Fields) -> str:
    with suppress(Refused):  # it only says which series of one slice may belong together
        return fields.text("SeriesNumber")
    return ""


def _body_part(fields: Fields) -> str:
    regions = fields.get("AnatomicRegionSequence")
    region = str(regions[0].get("CodeMeaning", "")) if regions else ""
    return fields.text("BodyPartExamined") or region or fields.text("SeriesDescription")


def _rescale_notes(fields: Fields) -> tuple[str, ...]:
    kind = fields.text("RescaleType").upper()
    keywords = () if fields.get("ModalityLUTSequence") is not None else ("RescaleSlope", "RescaleIntercept")
    if missing := [named(keyword) for keyword in keywords if fields.get(keyword) is None]:
        return (f"{' and '.join(missing)} {'are' if missing[1:] else 'is'} missing: the values may not be HU",)
    return (f"{named('RescaleType')} is {kind}: the values may not be HU",) if kind not in ("", "HU") else ()
