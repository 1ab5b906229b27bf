"""Label tables of films: what a person stated of each, one row a film."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from anatomy_clip.core.radiographs import Finding
from anatomy_clip.core.refusals import Refused
from anatomy_clip.core.terms import Projection, State
from anatomy_clip.imaging.views import projection_of
from anatomy_clip.sources.radiographs.texts import read_rows

# As CheXpert's tables write it; an empty cell says nothing.
STATES = {"1": State.POSITIVE, "1.0": State.POSITIVE, "0": State.NEGATIVE, "0.0": State.NEGATIVE,
          "-1": State.UNCERTAIN, "-1.0": State.UNCERTAIN}  # fmt: skip
_OTHERS = ("path", "patient", "part", "projection")


@dataclass(frozen=True)
class FilmLabels:
    """What a row states of a film; what is empty isn't stated.

    Attributes:
        patient: patient id as the table gives it.
        part: what was examined, as "chest".
        projection: PA, AP or lateral.
        findings: finding -> its state.
    """

    patient: str = ""
    part: str = ""
    projection: Projection = Projection.UNKNOWN
    findings: Mapping[str, Finding] = field(default_factory=dict)


def read_labels(path: Path) -> dict[str, FilmLabels]:
    """Read a label table.

    Columns are `path` (from the root, with `/`) and, where wanted, `patient`, `part` and `projection`; each further one
    is a finding by its name, with 1 (positive), 0 (negative), -1 (uncertain) or an empty cell (not stated).

    Returns:
        Path -> what its row states.

    Raises:
        Refused: the file is missing or no table, a path stands there twice or is empty, or a cell is no such number.
    """
    found: dict[str, FilmLabels] = {}
    for where, cells in read_rows(path, "path"):
        name = cells["path"].replace("\\", "/")
        if not name or name in found:
            raise Refused(f"path is {'there twice' if name else 'empty'}", "correct the row", where)
        findings = {}
        for finding, cell in cells.items():
            if finding in _OTHERS or not cell:
                continue
            if cell not in STATES:
                raise Refused(
                    f"{finding} is not one of 1, 0, -1 and empty", "correct the row, or remove the column", where
                )
            findings[finding] = Finding(STATES[cell])
        found[name] = FilmLabels(
            cells.get("patient", ""), cells.get("part", ""), projection_of(cells.get("projection", "")), findings
        )
    return found
