"""What is known of one radiograph, apart from its pixels: findings, boxes, its report, questions about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from anatomy_clip.core.terms import Projection, Side, State, Visibility

_MIRRORED = {Side.LEFT: Side.RIGHT, Side.RIGHT: Side.LEFT}


@dataclass(frozen=True)
class Finding:
    """One finding of one film; what a source doesn't state is empty or None.

    Attributes:
        state: positive, uncertain or negative. A finding that isn't mentioned isn't in `RadiographRecord.findings`.
        side: the patient's side.
        zone: where, as "lower" (of a lung) or "radius" (a bone).
        severity: "mild", "moderate" or "severe".
        measure: how large, in the finding's own unit: ml of an effusion, mm of a nodule, ratio of a heart.
        visibility: of a simulated finding that is there: whether this film shows it.
    """

    state: State
    side: Side | None = None
    zone: str = ""
    severity: str = ""
    measure: float | None = None
    visibility: Visibility | None = None

    @property
    def shown(self) -> bool:
        """Whether it is there and not known to be invisible."""
        return self.state is State.POSITIVE and self.visibility is not Visibility.INVISIBLE


@dataclass(frozen=True)
class Box:
    """Where a finding is: a rectangle of the image, in pixels; a pixel's left edge is at its own index.

    Attributes:
        finding: its name.
        left: of the rectangle, from the image's left edge.
        top: of the rectangle, from the image's upper edge.
        width: to the right.
        height: down.
    """

    finding: str
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Question:
    """A question about a film and its answer.

    Attributes:
        kind: what it asks for, as "presence", "side", "finding", "view", "number", "severity".
        question: its words.
        answer: its words, as "yes".
        finding: that it is about; empty where it is about none or several.
    """

    kind: str
    question: str
    answer: str
    finding: str = ""


@dataclass(frozen=True)
class RadiographRecord:
    """What is known of one radiograph.

    Attributes:
        source: collection that the film comes from.
        split: train, validation, or the name of a test set.
        patient: patient id within the source; never a name.
        study: study id; films of one study share a report.
        image: id of the film.
        part: what was examined, as "chest" or "hand"; empty where it isn't stated.
        projection: PA, AP or lateral.
        side: of a limb.
        spacing_mm: distance between rows and between columns of the image, at the detector, mm; None: not known.
        magnification: of what was examined; None: not known.
        licence: SPDX id or name of the licence.
        findings: finding -> what is known of it; what isn't mentioned is left out.
        boxes: where findings are.
        masks: names of the masks that were drawn for this film, empty ones too; one that isn't here wasn't drawn.
        report: section ("findings", "impression") -> its text.
        questions: about the film.
        acquisition: how the film was taken, name -> number.
    """

    source: str
    split: str
    patient: str
    study: str
    image: str
    part: str = ""
    projection: Projection = Projection.UNKNOWN
    side: Side | None = None
    spacing_mm: tuple[float, float] | None = None
    magnification: float | None = None
    licence: str = ""
    findings: Mapping[str, Finding] = field(default_factory=dict)
    boxes: tuple[Box, ...] = ()
    masks: tuple[str, ...] = ()
    report: Mapping[str, str] = field(default_factory=dict)
    questions: tuple[Question, ...] = ()
    acquisition: Mapping[str, float] = field(default_factory=dict)

    def mirrored(self, width: float, *, texts_as_published: bool = False) -> RadiographRecord:
        """The record of the film flipped left to right: sides of findings and limb are swapped, boxes reflected.

        Args:
            width: of the image, pixels.
            texts_as_published: keep report and questions as they are, though their sides are then wrong.

        Raises:
            ValueError: there is a report or a question, whose words a flip would make wrong.
        """
        if (self.report or self.questions) and not texts_as_published:
            raise ValueError(
                f"film {self.image}: a flip would make the sides in its report and questions wrong; switch the flip "
                "off, or set flip=as_published to flip as the papers do"
            )
        findings = {name: replace(one, side=_mirrored(one.side)) for name, one in self.findings.items()}
        boxes = tuple(replace(box, left=width - box.left - box.width) for box in self.boxes)
        return replace(self, side=_mirrored(self.side), findings=findings, boxes=boxes)


def _mirrored(side: Side | None) -> Side | None:
    return None if side is None else _MIRRORED.get(side, side)
