"""What the header of a DICOM radiograph (CR, DX) says: view, part, side, and how its pixels lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydicom.uid import UID

from anatomy_clip.core.refusals import Refused
from anatomy_clip.core.terms import Orientation, Projection, Side
from anatomy_clip.imaging.dicom.fields import Fields, named
from anatomy_clip.imaging.dicom.files import Header, read_header
from anatomy_clip.imaging.dicom.geometry import Turn, Vector, turn
from anatomy_clip.imaging.dicom.headers import claims
from anatomy_clip.imaging.dicom.refusing import refusing
from anatomy_clip.imaging.dicom.spacing import at_detector
from anatomy_clip.imaging.views import projection_of

MAX_PIXELS = 2**25  # of one film; whole legs on one film have 30 million
_FILMS = ("CR", "DX", "RG")  # Modality (0008,0060)
# CR, DX for presentation and for processing, and Secondary Capture, as which films are passed on.
_CLASSES = ("1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1", _PROCESSING := "1.2.840.10008.5.1.4.1.1.1.1.1",
            "1.2.840.10008.5.1.4.1.1.7")  # fmt: skip
_TAGS = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "PatientID", "Modality", "PresentationIntentType",
    "ViewPosition", "ViewCodeSequence", "BodyPartExamined", "AnatomicRegionSequence", "ImageLaterality",
    "FrameLaterality", "Laterality", "PatientOrientation", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
    "PhotometricInterpretation", "PresentationLUTShape", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "BurnedInAnnotation", "PixelSpacing", "PixelSpacingCalibrationType", "ImagerPixelSpacing",
    "NominalScannedPixelSpacing", "EstimatedRadiographicMagnificationFactor", "DistanceSourceToDetector",
    "DistanceSourceToPatient",
)  # fmt: skip
# Body Part Examined (0018,0015), PS3.16 annex L, to the words of this project.
_PARTS = {
    "chest": "CHEST THORAX LUNG RIB RIBS STERNUM HEART", "abdomen": "ABDOMEN", "neck": "NECK",
    "pelvis": "PELVIS SACRUM COCCYX SIJOINT", "spine": "SPINE CSPINE TSPINE LSPINE SSPINE CTSPINE TLSPINE LSSPINE",
    "head": "SKULL HEAD JAW MAXILLA MANDIBLE ZYGOMA", "shoulder": "SHOULDER SCAPULA CLAVICLE ACJOINT",
    "upper_arm": "HUMERUS ARM UPPERARM", "elbow": "ELBOW", "forearm": "FOREARM RADIUS ULNA RADIUSULNA",
    "wrist": "WRIST SCAPHOID", "hand": "HAND FINGER THUMB", "hip": "HIP", "thigh": "FEMUR THIGH",
    "knee": "KNEE PATELLA", "leg": "LEG TIBIA FIBULA TIBIAFIBULA LOWERLEG", "ankle": "ANKLE",
    "foot": "FOOT TOE CALCANEUS HEEL",
}  # fmt: skip
_PART_OF = {word: part for part, words in _PARTS.items() for word in words.split()}
_TRUNK = ("chest", "abdomen", "pelvis", "spine")  # shown upright; a hand is shown with its fingers up
_SIDES = {"L": Side.LEFT, "R": Side.RIGHT, "B": Side.BOTH}
_AXES: dict[str, Vector] = {
    "L": (1, 0, 0),
    "R": (-1, 0, 0),
    "P": (0, 1, 0),
    "A": (0, -1, 0),
    "H": (0, 0, 1),
    "F": (0, 0, -1),
}
_PLANES = {frozenset((0, 2)): Orientation.CORONAL, frozenset((1, 2)): Orientation.SAGITTAL}


@dataclass(frozen=True)
class FilmHeader:
    """A film before its pixels are read.

    Attributes:
        path: the file.
        patient, study, image: raw Patient ID, Study and SOP Instance UID; empty where absent, kept out of `repr`.
        part: what was examined, as "chest"; empty where the header says nothing that is known.
        projection: PA, AP or lateral.
        side: of a limb.
        turn: how the stored pixels become the displayed ones.
        spacing_mm: distance between rows and between columns as displayed, at the detector, mm; None: not known.
        magnification: of what was examined; None: not known.
        burned_in: the header says that text is burned into the pixels.
        notes: what a user should know.
    """

    path: Path = field(repr=False)
    patient: str = field(repr=False)
    study: str = field(repr=False)
    image: str = field(repr=False)
    part: str
    projection: Projection
    side: Side | None
    turn: Turn
    spacing_mm: tuple[float, float] | None
    magnification: float | None
    burned_in: bool
    notes: tuple[str, ...]


def read_film_header(path: Path) -> FilmHeader:
    """Read what a radiograph's header says.

    Raises:
        Refused: the file is no CR or DX film that can be shown; says why and what to do.
    """
    header = read_header(path, _TAGS)
    with refusing("its header is damaged"):
        return _read(path, header, Fields(header.dataset))


def _read(path: Path, header: Header, fields: Fields) -> FilmHeader:
    _check(fields, header)
    part, notes = _part(fields), list[str]()
    turned = _turn(fields.texts("PatientOrientation")) if part in _TRUNK else None
    if part in _TRUNK and turned is None and fields.texts("PatientOrientation"):
        notes.append(f"{named('PatientOrientation')} does not give two directions: the film is shown as stored")
    turned = turned or Turn(False, False, False)
    scale = at_detector(fields)
    expected = {"MONOCHROME1": "INVERSE", "MONOCHROME2": "IDENTITY"}[fields.text("PhotometricInterpretation")]
    if (shape := fields.text("PresentationLUTShape").upper()) and shape != expected:
        notes.append(
            f"{named('PresentationLUTShape')} contradicts {named('PhotometricInterpretation')}: the latter was used"
        )
    sides = (fields.text(name).upper() for name in ("ImageLaterality", "FrameLaterality", "Laterality"))
    return FilmHeader(
        path, fields.text("PatientID"), fields.text("StudyInstanceUID"), fields.text("SOPInstanceUID"), part,
        projection_of(fields.text("ViewPosition") or _meaning(fields, "ViewCodeSequence")),
        next((_SIDES[side] for side in sides if side in _SIDES), None), turned,
        scale.spacing_mm and turned.spacing(scale.spacing_mm), scale.magnification,
        fields.text("BurnedInAnnotation").upper() == "YES", (*notes, *scale.notes),
    )  # fmt: skip


def _check(fields: Fields, header: Header) -> None:
    modality, sop_class = fields.text("Modality"), fields.text("SOPClassUID")
    if modality in ("CT", "MR"):
        raise Refused(f"{named('Modality')} is {modality}: it is not a radiograph", "read it with source=dicom_folder")
    if modality not in _FILMS:
        raise Refused(f"{named('Modality')} is not {' or '.join(_FILMS[:2])}", "leave it out")
    if sop_class and sop_class not in _CLASSES:
        kind = UID(sop_class).name if UID(sop_class).is_valid else "unknown"
        raise Refused(f"{named('SOPClassUID')} is {kind}: it is not a film", "leave it out")
    if "PROCESSING" in fields.text("PresentationIntentType").upper() or sop_class == _PROCESSING:
        raise Refused(
            f"{named('PresentationIntentType')} is FOR PROCESSING: its values are raw values of the detector, and it "
            "is not known whether they are logarithms, and which end is bright",
            "take the FOR PRESENTATION image of the same exposure, or leave it out",
        )
    if (fields.number("NumberOfFrames") or 1) != 1:
        raise Refused(f"{named('NumberOfFrames')} is not 1, but a film is one picture", "leave it out, or split it")
    _, (rows, columns) = claims(fields, header)
    if rows * columns > MAX_PIXELS:
        raise Refused(
            f"its header states {rows} x {columns} pixels, above the limit of {MAX_PIXELS}",
            "shrink it, or leave it out",
        )
    if fields.text("PhotometricInterpretation") not in ("MONOCHROME1", "MONOCHROME2"):
        raise Refused(f"{named('PhotometricInterpretation')} is not MONOCHROME1 or 2", "correct the field")


def _part(fields: Fields) -> str:
    for words in (fields.text("BodyPartExamined"), _meaning(fields, "AnatomicRegionSequence")):
        for word in (words, *words.split()):
            if part := _PART_OF.get("".join(filter(str.isalpha, word)).upper()):
                return part
    return ""


def _meaning(fields: Fields, keyword: str) -> str:
    codes = fields.get(keyword)
    return str(codes[0].get("CodeMeaning", "")) if codes else ""


def _turn(orientation: tuple[str, ...]) -> Turn | None:
    """How a film of the trunk is turned by its Patient Orientation (0020,0020); None where that says too little."""
    if len(orientation) != 2 or not all(value[0] in _AXES for value in orientation):
        return None
    row, column = (
        _AXES[value[0]] for value in orientation
    )  # the first letter leads: "LF" is left, a little to the feet
    plane = _PLANES.get(frozenset(axis for way in (row, column) for axis, part in enumerate(way) if part))
    return turn(row, column, plane) if plane else None
