"""What stores of radiographs hold: films, studies and patients, and findings by view, side and severity, as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.table import Table

from anatomy_clip.core.radiographs import RadiographRecord
from anatomy_clip.core.terms import Side, State, Visibility

_NONE = "."
_HEADS = {
    "films": "films", "patients": "patients", Side.LEFT: "L", Side.RIGHT: "R", Side.BOTH: "L+R", "mild": "mild",
    "moderate": "mod.", "severe": "severe", "subtle": "subtle", "not seen": "not seen", "uncertain": "unsure",
}  # fmt: skip


def film_summary(stores: Mapping[str, Sequence[RadiographRecord]]) -> Table:
    """Make the table of stores: films, studies and patients, how many have reports, and where they come from."""
    columns = ("store", "films", "studies", "patients", "reports", "questions", "boxes", "sources", "licences")
    table = Table(*columns, title="Stores of radiographs")
    for name, records in stores.items():
        numbers = (
            len(records),
            len({(r.source, r.study) for r in records}),
            len({(r.source, r.patient) for r in records}),
            sum(bool(r.report) for r in records),
            sum(len(r.questions) for r in records),
            sum(len(r.boxes) for r in records),
        )
        words = ({r.source for r in records}, {r.licence or "not stated" for r in records})
        table.add_row(name, *map(str, numbers), *(", ".join(sorted(w)) for w in words))
    return table


def finding_table(name: str, records: Sequence[RadiographRecord]) -> Table:
    """Make one store's table of findings by view: films that show one, and their patients, sides and severities.

    A finding that is there and that its film doesn't show is counted as not seen, and in no other column.
    """
    table = Table(title=f"{name}: findings of {len(records)} films", box=None, pad_edge=False)
    for column in ("finding", "view", *_HEADS.values()):
        table.add_column(column, no_wrap=True, justify="left" if column in ("finding", "view") else "right")
    for (finding, view), cells in sorted(_counts(records).items()):
        table.add_row(finding, view, *(str(cells[column]) if cells[column] else _NONE for column in _HEADS))
    return table


def _counts(records: Sequence[RadiographRecord]) -> dict[tuple[str, str], Counter[str]]:
    """(finding, view) -> column -> how many; of films that show the finding, but for the last two columns."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    seen = set()
    for record in records:
        view = f"{record.part} {record.projection}".strip() or _NONE
        for name, one in record.findings.items():
            if one.state is State.NEGATIVE:
                continue
            cells = counts.setdefault((name, view), Counter())
            if one.state is State.UNCERTAIN:
                cells["uncertain"] += 1
            elif not one.shown:
                cells["not seen"] += 1
            else:
                cells.update(["films", *filter(None, (one.side, one.severity))])
                cells["subtle"] += one.visibility is Visibility.SUBTLE
                whose = (name, view, record.source, record.patient)
                cells["patients"] += whose not in seen
                seen.add(whose)
    return counts
