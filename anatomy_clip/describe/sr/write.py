"""A series' description as a DICOM Structured Report (TID 1500): a new series of the study. No source is changed."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from highdicom.sr import ComprehensiveSR, MeasurementReport
from pydicom.config import RAISE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import RE_VALID_UID, generate_uid
from pydicom.valuerep import validate_value

from anatomy_clip import __version__
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.refusals import Refusal, Refused
from anatomy_clip.describe.description import Description, SeriesDescription, SourceImage
from anatomy_clip.describe.sr.tree import MAKER, REFERABLE, Algorithm, content_tree, document_lines, refer, sources
from anatomy_clip.imaging.dicom.files import read_header
from anatomy_clip.imaging.dicom.refusing import refusing

_TITLE = "Body stations and organs"
_SERIES_NUMBER = 9900  # far from what scanners count
# Patient and General Study modules (PS3.3 C.7.1.1, C.7.2.1): what an archive matches a document by. Type 2: the fields
# are there and empty where the patient isn't to be named.
_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
            "AccessionNumber", "ReferringPhysicianName")  # fmt: skip
_OPTIONAL = ("IssuerOfPatientID", "StudyDescription")


def write_documents(
    description: Description, taxonomy: Taxonomy, folder: Path, *, algorithm: Algorithm, include_patient: bool = False
) -> tuple[tuple[Path, ...], tuple[Refusal, ...]]:
    """Write one SR document a series into a folder: `report_001.dcm` and so on.

    Returns:
        The files, and the series for which there is no document, with the reason.

    Raises:
        ValueError: the the folder can't be created.
    """
    with refusing(f"{folder}: the folder can't be created", "choose a place where you may write"):
        folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    refusals: list[Refusal] = []
    for number, series in enumerate(description.series, 1):
        out = folder / f"report_{number:03d}.dcm"
        try:
            write_document(series, taxonomy, out, algorithm=algorithm, include_patient=include_patient, number=number)
            paths.append(out)
        except ValueError as error:
            refusals.append(Refusal(f"no Structured Report: {error}", where=series.path))
    return tuple(paths), tuple(refusals)


def write_document(
    series: SeriesDescription,
    taxonomy: Taxonomy,
    out: Path,
    *,
    algorithm: Algorithm,
    include_patient: bool = False,
    number: int = 1,
) -> Path:
    """Write a document on one series as a new series of its study.

    Args:
        series: what it shows.
        taxonomy: gives the codes.
        out: the file to write; never one that is there.
        algorithm: what made the description.
        include_patient: copy who the patient is, and the study's dates and numbers, from the first image's header, as
            far as the values fit the standard. Without, those fields are there and empty, as the standard allows; the
            UIDs that name study and images stay, since a reference is made of them.
        number: Instance Number of the document.

    Raises:
        ValueError: a slice that isn't DICOM, images of several series, a source that has changed, a name without a
            code, a score that is no probability, or a file that is there already.
    """
    images = sources(series)
    _check(series, images, out)
    lines = document_lines(series, taxonomy)
    document = _document(images, content_tree(lines, series.modality, algorithm), algorithm, number)
    refer(document, lines)
    if include_patient:
        with refusing("its patient's and study's fields can't be copied", "leave the patient out of the document"):
            _copy_patient(_patient(images[0]), document)
    with refusing("its document can't be written", "check the disk and its permissions"):
        _save(document, out)
    return out


def _check(series: SeriesDescription, images: Sequence[SourceImage], out: Path) -> None:
    if not series.slices or len(images) < len(series.slices):
        raise ValueError("its slices aren't from DICOM files, so there is no study for a document; give DICOM files")
    if not all(map(_nameable, images)):
        raise ValueError("an image lacks a valid SOP Class, SOP Instance, Series or Study UID; give the files UIDs")
    if len({(image.study_uid, image.series_uid) for image in images}) > 1:
        raise ValueError(
            "its slices are from several DICOM series; give all of them the same Series Instance UID first"
        )
    if len({(image.sop_instance_uid, image.frame) for image in images}) < len(images):
        raise ValueError(
            "several of its images have the same SOP Instance UID (0008,0018), so a document can't refer to them; give "
            "each image its own UID first"
        )
    if out.exists():
        raise ValueError(f"{out} already exists; choose another place, or remove it")


def _nameable(image: SourceImage) -> bool:
    uids = (image.study_uid, image.series_uid, image.sop_instance_uid)
    return image.sop_class_uid in REFERABLE and all(re.fullmatch(RE_VALID_UID, uid) for uid in uids)


def _document(images: Sequence[SourceImage], tree: MeasurementReport, algorithm: Algorithm, number: int) -> Dataset:
    nobody = Dataset()
    for keyword in _PATIENT:
        setattr(nobody, keyword, "")
    return ComprehensiveSR(
        evidence=[_evidence(image, nobody) for image in images],
        content=tree,
        series_instance_uid=generate_uid(prefix=None),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=number,
        manufacturer=MAKER,
        manufacturer_model_name=algorithm.name[:64],  # as much as its VR holds
        software_versions=__version__,
        device_serial_number=algorithm.digest,
        series_description=_TITLE,
        is_complete=True,
        specific_character_set="ISO_IR 192",
    )


def _evidence(image: SourceImage, patient: Dataset) -> Dataset:
    one = Dataset()
    one.update(patient)
    one.StudyInstanceUID, one.SeriesInstanceUID = image.study_uid, image.series_uid
    one.SOPClassUID, one.SOPInstanceUID = image.sop_class_uid, image.sop_instance_uid
    return one


def _patient(image: SourceImage) -> Dataset:
    """Header of an image, with what tells who the patient is."""
    tags = ("SpecificCharacterSet", "StudyInstanceUID", "SOPInstanceUID", *_PATIENT, *_OPTIONAL)
    header = read_header(image.path, tags).dataset
    if (header.get("StudyInstanceUID"), header.get("SOPInstanceUID")) != (image.study_uid, image.sop_instance_uid):
        raise Refused("its first image has changed since it was described", "describe the study again")
    return header


def _copy_patient(header: Dataset, document: Dataset) -> None:
    """Copy what fits its VR: a value that breaks the standard would make the document a faulty one."""
    for keyword in _PATIENT + _OPTIONAL:
        if keyword in header and _fits(header[keyword]):
            setattr(document, keyword, header[keyword].value)


def _fits(element: DataElement) -> bool:
    try:
        validate_value(element.VR, str(element.value or ""), RAISE)
    except ValueError:
        return False
    return True


def _save(document: Dataset, out: Path) -> None:
    """Write whole or not at all."""
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        document.save_as(draft, enforce_file_format=True)
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)
