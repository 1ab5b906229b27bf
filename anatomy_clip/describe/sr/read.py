"""What a Structured Report of ours says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as DicomCode

from anatomy_clip.anatomy.taxonomy import Code
from anatomy_clip.core.refusals import Refused
from anatomy_clip.describe.sr.codes import Kind, Site
from anatomy_clip.describe.sr.tree import BETWEEN, CHECKSUM, MAKER, Algorithm
from anatomy_clip.imaging.dicom.refusing import refusing


@dataclass(frozen=True)
class CodedFinding:
    """A station, organ or combined region that a document names.

    Attributes:
        kind: which of the three.
        name: as the taxonomy had it; the region's meaning.
        sites: its codes.
        certainty: 0 to 1; None where nothing is named.
        images: SOP Instance UID and frames (none: all of it) of the images that show it; private.
    """

    kind: Kind
    name: str
    sites: tuple[Site, ...]
    certainty: float | None
    images: tuple[tuple[str, tuple[int, ...]], ...] = field(repr=False)


@dataclass(frozen=True)
class Document:
    """What a document says.

    Attributes:
        algorithm: the model that made it.
        findings: in the order of the document; none where the model abstained.
        study_uid, referenced: the study, and the SOP Instance UIDs of all images that were looked at; private.
    """

    algorithm: Algorithm
    findings: tuple[CodedFinding, ...]
    study_uid: str = field(repr=False)
    referenced: frozenset[str] = field(repr=False)


def read_document(path: Path) -> Document:
    """Read a document that `write_document` wrote, wherever it has been since.

    Raises:
        ValueError: no Structured Report, or none of ours.
    """
    with refusing("can't be read as an SR document", "give one that anatomy_clip wrote"):
        document = pydicom.dcmread(path)
        if document.get("Modality") != "SR" or document.get("Manufacturer") != MAKER:
            raise Refused("is not a Structured Report that anatomy_clip wrote", "give one that anatomy_clip wrote")
        groups = [group for part in _items(document, codes.DCM.ImagingMeasurements) for group in part.ContentSequence]
        read = tuple(map(_finding, groups))
        return Document(
            algorithm=_algorithm(groups[0]),
            findings=tuple(finding for finding in read if finding.kind is not Kind.NOTHING),
            study_uid=str(document.StudyInstanceUID),
            referenced=frozenset(_evidence(document)),
        )


def _items(parent: Dataset, concept: DicomCode) -> list[Dataset]:
    """Children of a content item by their concept's name."""
    return [
        item
        for item in parent.get("ContentSequence", ())
        if (name := item.ConceptNameCodeSequence[0]).CodeValue == concept.value
        and name.CodingSchemeDesignator == concept.scheme_designator
    ]


def _finding(group: Dataset) -> CodedFinding:
    kind, _, name = str(_items(group, codes.DCM.TrackingIdentifier)[0].TextValue).partition(BETWEEN)
    percents = [
        float(item.MeasuredValueSequence[0].NumericValue) for item in _items(group, codes.DCM.CertaintyOfFinding)
    ]
    images = [item.ReferencedSOPSequence[0] for item in _items(group, codes.DCM.SourceOfMeasurement)]
    return CodedFinding(
        kind=Kind(kind),
        name=name,
        sites=tuple(map(_site, _items(group, codes.SCT.FindingSite))),
        certainty=percents[0] / 100 if percents else None,
        images=tuple((str(image.ReferencedSOPInstanceUID), _frames(image)) for image in images),
    )


def _site(item: Dataset) -> Site:
    concept = item.ConceptCodeSequence[0]
    sides = [side.ConceptCodeSequence[0].CodeValue for side in _items(item, codes.SCT.Laterality)]
    return Site(Code(str(concept.CodeValue), str(concept.CodeMeaning)), codes.SCT.Bilateral.value in sides)


def _frames(image: Dataset) -> tuple[int, ...]:
    numbers = image.get("ReferencedFrameNumber") or ()
    return tuple(map(int, numbers)) if isinstance(numbers, MultiValue | tuple) else (int(numbers),)


def _evidence(document: Dataset) -> Iterator[str]:
    for study in document.CurrentRequestedProcedureEvidenceSequence:
        for series in study.ReferencedSeriesSequence:
            yield from (str(one.ReferencedSOPInstanceUID) for one in series.ReferencedSOPSequence)


def _algorithm(group: Dataset) -> Algorithm:
    name, version, parameters = (
        str(_items(group, concept)[0].TextValue)
        for concept in (codes.DCM.AlgorithmName, codes.DCM.AlgorithmVersion, codes.DCM.AlgorithmParameters)
    )
    return Algorithm(name, version, parameters.removeprefix(CHECKSUM))
