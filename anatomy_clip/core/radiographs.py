"""What is known of one radiograph, apart from its pixels: findings, boxes, its report, questions about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from anatomy_clip.core.kinds import Kind
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
                f"film {self.image}: after a flip, the sides in its report and questions would be wrong; switch the "
                "flip off, or set flip=as_published to flip as the papers do"
            )
        findings = {name: replace(one, side=_mirrored(one.side)) for name, one in self.findings.items()}
        boxes = tuple(replace(box, left=width - box.left - box.width) for box in self.boxes)
        return replace(self, side=_mirrored(self.side), findings=findings, boxes=boxes)


def _mirrored(side: Side | None) -> Side | None:
    return None if side is None else _MIRRORED.get(side, side)


def _to_row(record: RadiographRecord) -> dict[str, Any]:
    row = {f.name: getattr(record, f.name) for f in fields(RadiographRecord)}
    return row | {
        "side": record.side and str(record.side),
        "spacing_mm": record.spacing_mm and [float(v) for v in record.spacing_mm],
        "findings": [{"finding": name} | _plain(one) for name, one in record.findings.items()],
        "boxes": [asdict(box) for box in record.boxes],
        "masks": list(record.masks),
        "report": [{"section": name, "text": text} for name, text in record.report.items()],
        "questions": [asdict(one) for one in record.questions],
        "acquisition": [{"name": name, "value": float(value)} for name, value in record.acquisition.items()],
    }


def _plain(one: Finding) -> dict[str, Any]:
    side, seen = one.side and str(one.side), one.visibility and str(one.visibility)
    return asdict(one) | {"state": str(one.state), "side": side, "visibility": seen}


def _from_row(row: dict[str, Any]) -> RadiographRecord:
    return RadiographRecord(**row | {
        "side": row["side"] and Side(row["side"]),
        "spacing_mm": row["spacing_mm"] and tuple(row["spacing_mm"]),
        "findings": {one.pop("finding"): _finding(one) for one in row["findings"]},
        "boxes": tuple(Box(**box) for box in row["boxes"]),
        "masks": tuple(row["masks"]),
        "report": {one["section"]: one["text"] for one in row["report"]},
        "questions": tuple(Question(**one) for one in row["questions"]),
        "acquisition": {one["name"]: one["value"] for one in row["acquisition"]},
    })  # fmt: skip


def _finding(row: dict[str, Any]) -> Finding:
    side, seen = row["side"] and Side(row["side"]), row["visibility"] and Visibility(row["visibility"])
    return Finding(**row | {"state": State(row["state"]), "side": side, "visibility": seen})


@cache
def _schema() -> Any:
    import pyarrow as pa

    text, number = pa.string(), pa.float64()

    def rows(texts: str, numbers: str = "") -> Any:
        columns = [(name, text) for name in texts.split()] + [(name, number) for name in numbers.split()]
        return pa.list_(pa.struct(columns))

    other = {
        "spacing_mm": pa.list_(number), "magnification": number, "masks": pa.list_(text),
        "findings": rows("finding state side zone severity visibility", "measure"),
        "boxes": rows("finding", "left top width height"),
        "report": rows("section text"),
        "questions": rows("kind question answer finding"),
        "acquisition": rows("name", "value"),
    }  # fmt: skip
    return pa.schema([(f.name, other.get(f.name, text)) for f in fields(RadiographRecord)])


def _check(table: Any, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    nested = {("findings", "state"): State, ("findings", "side"): Side, ("findings", "visibility"): Visibility}
    for (column, name), term in nested.items():
        values = pc.struct_field(pc.list_flatten(table[column]), name)
        known = pc.or_(pc.is_null(values), pc.is_in(values, pa.array([t.value for t in term])))
        place = pc.index(known, False).as_py()
        if place >= 0:
            raise ValueError(f"{path}: {column} hold the unknown {name} {values[place].as_py()!r}; prepare it again")


RADIOGRAPHS = Kind(
    name="radiograph",
    record=RadiographRecord,
    version=1,
    schema=_schema,
    terms={"projection": Projection},
    to_row=_to_row,
    from_row=_from_row,
    check=_check,
)
