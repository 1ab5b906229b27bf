"""The content tree of a Structured Report: one measurement group (TID 1501) a station, organ or combined region."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
    generate_uid,
)

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.describe.description import Finding, SeriesDescription, SourceImage
from anatomy_clip.describe.sr.codes import Kind, Site, combined, sites

MAKER = "anatomy_clip"
BETWEEN = ": "  # tracking identifiers read "organ: lungs"
CHECKSUM = "SHA-256 "  # the algorithm's parameter
_FINDINGS = {
    Kind.STATION: codes.DCM.TargetRegion,
    Kind.REGION: codes.DCM.TargetRegion,
    Kind.ORGAN: codes.SCT.AnatomicalStructure,
    Kind.NOTHING: codes.SCT.Indeterminate,
}
_MEASUREMENTS = codes.DCM.ImagingMeasurements.value
_PROCEDURES = {"CT": codes.cid100.CTUnspecifiedBodyRegion, "MR": codes.cid100.MRIUnspecifiedBodyRegion}
_MULTI_FRAME = {
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
}
REFERABLE = {CTImageStorage, MRImageStorage, *_MULTI_FRAME}  # SOP classes of slices


@dataclass(frozen=True)
class Algorithm:
    """The model that made a description.

    Attributes:
        name: of the model or bundle.
        version: its version.
        digest: checksum of its weights.
    """

    name: str
    version: str
    digest: str


@dataclass(frozen=True)
class Line:
    """One measurement group to be.

    Attributes:
        kind, name: what is named.
        sites: where that is.
        certainty: 0 to 1; None where nothing is named.
        images: those that show it; none for a combined region, whose stations have theirs.
    """

    kind: Kind
    name: str
    sites: tuple[Site, ...]
    certainty: float | None
    images: tuple[SourceImage, ...]


def document_lines(series: SeriesDescription, taxonomy: Taxonomy) -> tuple[Line, ...]:
    """What a document on one series says: stations, the region that they make together, organs; or nothing.

    Raises:
        ValueError: a name without a code in the taxonomy, or a score that is no probability.
    """
    stations = [_line(series, taxonomy, Kind.STATION, one) for one in series.stations]
    organs = [_line(series, taxonomy, Kind.ORGAN, one) for one in series.organs]
    lines = (*stations, *_region(series, stations), *organs)
    return lines or (Line(Kind.NOTHING, "no listed station or organ", (), None, sources(series)),)


def content_tree(lines: Sequence[Line], modality: str, algorithm: Algorithm) -> MeasurementReport:
    """Build the content of a document, without the references to images (see `refer`).

    Args:
        lines: what it says.
        modality: CT, MR or "".
        algorithm: what made the description.
    """
    return MeasurementReport(
        observation_context=ObservationContext(observer_device_context=_observer(algorithm)),
        procedure_reported=_PROCEDURES.get(modality, codes.cid100.ImagingProcedure),
        imaging_measurements=[_group(line, algorithm) for line in lines],
    )


def refer(document: Dataset, lines: Sequence[Line]) -> None:
    """Add the references of each line to its measurement group.

    By hand, since highdicom copies and checks a tree several times: 4 ms a reference, of which there are thousands.
    """
    root = document.ContentSequence
    (container,) = (item for item in root if item.ConceptNameCodeSequence[0].CodeValue == _MEASUREMENTS)
    for group, line in zip(container.ContentSequence, lines, strict=True):
        items = [*group.ContentSequence, *_references(line.images)]
        group.add_new("ContentSequence", "SQ", items)


def sources(series: SeriesDescription) -> tuple[SourceImage, ...]:
    """The images behind a series' slices, in the order of the slices."""
    return tuple(one.source for one in series.slices if one.source is not None)


def _line(series: SeriesDescription, taxonomy: Taxonomy, kind: Kind, finding: Finding) -> Line:
    if not 0 <= finding.score <= 1:
        raise ValueError(
            f"{kind.value} {finding.name!r} has the score {finding.score}; a document needs a probability from 0 to 1"
        )
    naming = tuple(
        one.source
        for one in series.slices
        if one.source and finding.name in {f.name for f in (one.stations if kind is Kind.STATION else one.organs)}
    )
    # Named for the series as a whole and for no slice: all of them.
    images = naming or sources(series)
    return Line(kind, finding.name, sites(taxonomy, kind, finding.name), finding.score, images)


def _region(series: SeriesDescription, stations: Sequence[Line]) -> Iterator[Line]:
    whole = combined(site for line in stations for site in line.sites)
    if whole is not None:  # no more certain than the least certain of its stations
        least = min(one.score for one in series.stations)
        yield Line(Kind.REGION, whole.code.meaning, (whole,), least, ())


def _group(line: Line, algorithm: Algorithm) -> MeasurementsAndQualitativeEvaluations:
    measurements = []
    if line.certainty is not None:
        measurements = [Measurement(codes.DCM.CertaintyOfFinding, round(100 * line.certainty, 2), codes.UCUM.Percent)]
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(identifier=f"{line.kind.value}{BETWEEN}{line.name}"),
        finding_type=_FINDINGS[line.kind],
        finding_sites=[_finding_site(site) for site in line.sites],
        algorithm_id=_identification(algorithm),
        measurements=measurements,
    )


def _finding_site(site: Site) -> FindingSite:
    concept = CodedConcept(site.code.value, "SCT", site.code.meaning)
    return FindingSite(concept, laterality=codes.SCT.Bilateral if site.bilateral else None)


def _identification(algorithm: Algorithm) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        algorithm.name, algorithm.version, parameters=[f"{CHECKSUM}{algorithm.digest}"], manufacturer=MAKER
    )


def _observer(algorithm: Algorithm) -> ObserverContext:
    device = DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[MAKER, algorithm.name, algorithm.version, algorithm.digest]),
        name=MAKER,
        manufacturer_name=MAKER,
        model_name=algorithm.name,
        serial_number=algorithm.digest,
    )
    return ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)


def _references(images: Sequence[SourceImage]) -> Iterator[Dataset]:
    """One IMAGE item an instance; with frames where it is a multi-frame one."""
    purpose = CodedConcept.from_code(codes.DCM.SourceOfMeasurement)
    frames: dict[tuple[str, str], list[int]] = {}
    for image in images:
        frames.setdefault((image.sop_class_uid, image.sop_instance_uid), []).append(image.frame)
    for (kind, instance), numbers in frames.items():
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = kind, instance
        if kind in _MULTI_FRAME:
            reference.ReferencedFrameNumber = sorted(numbers)
        item = Dataset()
        item.RelationshipType, item.ValueType = "CONTAINS", "IMAGE"
        item.ConceptNameCodeSequence = [purpose]
        item.ReferencedSOPSequence = [reference]
        yield item
