"""What is known of one slice of a CT or MR series, apart from its pixels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from anatomy_clip.core.kinds import Kind
from anatomy_clip.core.terms import Modality, Orientation, Protocol

_AREA = r'"[^"\\\x00-\x1f]+": (0|[1-9]\d{0,11})\.\d{1,2}'
_PLAIN_AREAS = rf"^\{{({_AREA}(, {_AREA})*)?\}}$"  # what is written usually; all else is looked at one by one


@dataclass(frozen=True)
class SliceRecord:
    """What is known of one slice, apart from its pixels.

    Attributes:
        source: collection that the slice comes from.
        split: train, validation, or the name of a test set.
        patient: patient id within the source; never a name. For articles (ROCO) the article id.
        study: study id.
        series: series id.
        index: position of the slice in its series, from 0.
        modality: CT or MR.
        protocol: MR protocol; `Protocol.NONE` for CT.
        orientation: nearest anatomical plane.
        structures: structure name -> area in this slice, mm2.
        spacing_mm: distance between rows and between columns of the source image, mm.
        thickness_mm: slice thickness, mm.
        licence: SPDX id or name of the licence.
        caption: the source's own caption; empty where captions are made by templates.
        organs: organs that the source states (by eye, by level); None: the taxonomy derives them from structures.
        stations: stations that the source states; None: derived as well.
        unsure: organs that the source leaves open: they may be in the slice, so they are neither right nor wrong.
    """

    source: str
    split: str
    patient: str
    study: str
    series: str
    index: int
    modality: Modality
    protocol: Protocol
    orientation: Orientation
    structures: Mapping[str, float] = field(default_factory=dict)
    spacing_mm: tuple[float, float] = (1.0, 1.0)
    thickness_mm: float = 1.0
    licence: str = ""
    caption: str = ""
    organs: tuple[str, ...] | None = None
    stations: tuple[str, ...] | None = None
    unsure: tuple[str, ...] = ()


def _to_row(record: SliceRecord) -> dict[str, Any]:
    row = {f.name: getattr(record, f.name) for f in fields(SliceRecord)}
    row["structures"] = json.dumps({k: round(float(v), 2) for k, v in sorted(record.structures.items())})
    row["spacing_mm"] = [float(v) for v in record.spacing_mm]
    return row


def _from_row(row: dict[str, Any]) -> SliceRecord:
    row["structures"] = {name: float(area) for name, area in json.loads(row["structures"]).items()}
    row["spacing_mm"] = tuple(row["spacing_mm"])
    for name in ("organs", "stations"):
        row[name] = None if row[name] is None else tuple(row[name])
    row["unsure"] = tuple(row["unsure"])
    return SliceRecord(**row)


@cache
def _schema() -> Any:
    import pyarrow as pa

    names = pa.list_(pa.string())
    other = {
        "index": pa.int64(), "spacing_mm": pa.list_(pa.float64()), "thickness_mm": pa.float64(), "organs": names,
        "stations": names, "unsure": names,
    }  # fmt: skip
    return pa.schema([(f.name, other.get(f.name, pa.string())) for f in fields(SliceRecord)])


def _check(table: Any, path: Path) -> None:
    import pyarrow.compute as pc

    plain = pc.fill_null(pc.match_substring_regex(table["structures"], _PLAIN_AREAS), False)
    for row in np.flatnonzero(~plain.to_numpy()):
        _check_areas(table["structures"][row].as_py(), f"{path}, row {row}")


def _check_areas(text: str, where: str) -> None:
    try:
        areas = [float(v) for v in json.loads(text).values()]
    except (TypeError, ValueError, AttributeError):
        raise ValueError(f"{where}: structures is not a JSON object of areas in mm2") from None
    if any(not np.isfinite(v) or v < 0 for v in areas):
        raise ValueError(f"{where}: structures holds a negative or non-finite area")


SLICES = Kind(
    name="slice",
    record=SliceRecord,
    version=3,  # 2: organs and stations that the source states; 3: organs that it leaves open
    schema=_schema,
    terms={"modality": Modality, "protocol": Protocol, "orientation": Orientation},
    to_row=_to_row,
    from_row=_from_row,
    check=_check,
)
