"""A description as a table to read and as rows to compute with."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from anatomy_clip.describe.description import Description, Finding, Range, SeriesDescription

_WIDTH = 120  # of a table that goes to a file or a pipe
_SHOWN = 10  # refused files that the table names
COLUMNS = (
    "path", "variant", "modality", "protocol", "orientation", "index", "position_mm", "axis_station",
    "stations", "station_scores", "organs", "organ_scores", "abstained",
)  # fmt: skip


def print_table(description: Description, console: Console | None = None) -> None:
    """Print one row a series, then what was refused."""
    console = console or _console()
    if description.series:
        table = Table(Column("series", overflow="fold"), "slices", "stations", "organs", show_lines=True)
        for one in description.series:
            table.add_row(_name(one), str(len(one.slices)), _where(one), _findings(one.organs))
        console.print(table)
        console.print("Scores are calibrated probabilities. Research software, not for diagnosis.", style="dim")
    _print_refusals(description, console)


def print_audit(description: Description, console: Console | None = None) -> None:
    """Print the series whose header names another body part than the image shows."""
    console = console or _console()
    wrong = contradicted(description).series
    judged = sum(one.agrees is not None for one in description.series)
    if wrong:
        table = Table(Column("series", overflow="fold"), "header says", "image shows", "organs", show_lines=True)
        for one in wrong:
            table.add_row(
                _name(replace(one, agrees=None)), one.body_part, _findings(one.stations), _findings(one.organs)
            )
        console.print(table)
    console.print(
        f"{len(wrong)} of {judged} series whose header has a Body Part Examined show another "
        f"({len(description.series)} series in all).", highlight=False,
    )  # fmt: skip
    _print_refusals(description, console)


def contradicted(description: Description) -> Description:
    """Only the series whose header names another body part than the image shows."""
    return replace(description, series=tuple(one for one in description.series if one.agrees is False))


def write_csv(description: Description, path: Path) -> None:
    """Write one row a slice; several names in one cell are joined by `;`, with their scores in the same order."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for one in description.series:
            for each in one.slices:
                writer.writerow([
                    one.path, one.variant, one.modality, one.protocol, one.orientation, each.index,
                    "" if each.position_mm is None else each.position_mm, _on_axis(one.ranges, each.index),
                    *_cells(each.stations), *_cells(each.organs), int(each.abstained),
                ])  # fmt: skip


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH)


def _name(one: SeriesDescription) -> str:
    kind = " ".join(word for word in (one.modality, one.protocol, one.orientation) if word)
    lines = [escape(one.path), f"[bold]{kind}[/bold]" + (f" ({escape(one.variant)})" if one.variant else "")]
    if one.agrees is False:
        lines.append(f"[yellow]header says {one.body_part}[/yellow]")
    return "\n".join([*lines, *(f"[dim]{escape(note)}[/dim]" for note in one.notes)])


def _where(one: SeriesDescription) -> str:
    """Stations along the body, else the stations with their scores; and the caption."""
    if one.abstained:
        return "[dim]nothing: the model is not certain enough[/dim]"
    lines = [_range(found) for found in one.ranges] if len(one.ranges) > 1 else [_findings(one.stations)]
    return "\n".join([*lines, f"[italic]{escape(one.caption)}[/italic]"])


def _range(found: Range) -> str:
    if found.from_mm is None or found.to_mm is None:
        return f"{found.station}: slices {found.first}-{found.last}"
    return f"{found.station} {found.from_mm:.0f}-{found.to_mm:.0f} mm"


def _findings(findings: Sequence[Finding]) -> str:
    return ", ".join(f"{one.name} {one.score:.2f}" for one in findings) or "-"


def _cells(findings: Sequence[Finding]) -> tuple[str, str]:
    return ";".join(one.name for one in findings), ";".join(f"{one.score:g}" for one in findings)


def _on_axis(ranges: Sequence[Range], index: int) -> str:
    return next((one.station for one in ranges if one.first <= index <= one.last), "")


def _print_refusals(description: Description, console: Console) -> None:
    refusals = description.refusals
    if refusals:
        console.print(f"{len(refusals)} refused:", style="yellow", highlight=False)
        for one in refusals[:_SHOWN]:
            console.print(f"  {one}", markup=False, highlight=False)
        if len(refusals) > _SHOWN:
            console.print(f"  and {len(refusals) - _SHOWN} more (--json lists all)", highlight=False)
