"""Table III as Markdown, CSV, LaTeX and in the terminal."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from anatomy_clip.results.layout import RowSpec
from anatomy_clip.results.table import FEW, Cell, Table

if TYPE_CHECKING:
    from rich.table import Table as RichTable

CSV_COLUMNS = ("row", "column", "value", "n", "lo", "hi", "seeds", "paper")
_MISSING = "n/a"


def to_csv(cells: Sequence[Cell]) -> str:
    """Write cells with the columns `CSV_COLUMNS`; percent, two decimals; what is undefined is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for c in cells:
        bounds = [_plain(x) for x in (c.lo, c.hi)]
        writer.writerow([c.row, c.column, _plain(c.value), c.n, *bounds, c.seeds, _plain(c.paper)])
    return out.getvalue()


def rows_csv(rows: Sequence[NamedTuple]) -> str:
    """Write rows of one kind, their fields as columns; numbers with four decimals, what is undefined is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows[0]._fields if rows else [])
    for row in rows:
        writer.writerow([_digits(value) if isinstance(value, float) else value for value in row])
    return out.getvalue()


def _digits(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"


def main_markdown(table: Table) -> str:
    """The paper's rows only, with what the numbers are: the block that the README shows."""
    return _markdown_rows(table, table.layout.rows, table.cells) + "\n\n" + _legend(table)


def to_markdown(table: Table) -> str:
    """Everything: the paper's rows, gains, baselines, further test sets and notes."""
    parts = [f"# {table.layout.title}", main_markdown(table), "## Gains", _gains(table)]
    parts += ["## Baselines", _baselines(table)]
    if table.further:
        parts += ["## Further test sets", _markdown_rows(table, table.layout.further, table.further)]
    if table.notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in table.notes)]
    return "\n\n".join(parts) + "\n"


def to_latex(table: Table) -> str:
    """The paper's rows as a LaTeX table; needs the package booktabs."""
    columns = table.layout.columns
    head = " & ".join(["Task, test set", *(_tex(text) for text in columns.values())])
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering\small\setlength{\tabcolsep}{4pt}",
        rf"  \caption{{Hit@1 in percent with the 95\,\% patient-bootstrap interval; in parentheses "
        rf"the paper's number. {_tex(_data(table))}}}",
        r"  \label{tab:table3}",
        rf"  \begin{{tabular}}{{l{'c' * len(columns)}}}",
        r"    \toprule",
        rf"    {head} \\",
        r"    \midrule",
    ]
    for spec, cells in _by_row(table.layout.rows, table.cells):
        values = [_ours(c) + _interval(c) + _paper(c) for c in cells]
        lines.append(rf"    {' & '.join([_tex(spec.text), *values])} \\")
    lines += [r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def to_rich(table: Table) -> RichTable:
    """The paper's rows for the terminal, then the further ones below a line."""
    from rich.table import Table as RichTable
    from rich.text import Text

    rich = RichTable(title=f"{table.layout.title}: hit@1, percent; ours [95 %] (paper)", caption=_data(table))
    rich.add_column("row")
    for text in table.layout.columns.values():
        rich.add_column(text, justify="right")
    for specs, cells in ((table.layout.rows, table.cells), (table.layout.further, table.further)):
        for spec, row in _by_row(specs, cells):
            values = [Text(_ours(c) + _interval(c) + _paper(c)) for c in row]
            rich.add_row(Text(f"{spec.row} (n={max(c.n for c in row)})"), *values)
        rich.add_section()
    return rich


def _markdown_rows(table: Table, specs: Sequence[RowSpec], cells: Sequence[Cell]) -> str:
    columns = list(table.layout.columns.values())
    lines = [
        "| " + " | ".join(["", *columns, "slices (patients)"]) + " |",
        "|" + "---|" + "---:|" * (len(columns) + 1),
    ]
    for spec, row in _by_row(specs, cells):
        values = [f"{_bold(_ours(c))}{_interval(c)}{_spread(c)}{_paper(c)}" for c in row]
        most = max(row, key=lambda c: c.n)
        counts = f"{most.n} ({most.patients})"
        lines.append("| " + " | ".join([f"{spec.text}<br>`{spec.row}`", *values, counts]) + " |")
    return "\n".join(lines)


def _legend(table: Table) -> str:
    seeds = sorted({c.seeds for c in table.cells if c.seeds})
    runs = " to ".join(str(s) for s in dict.fromkeys((seeds[0], seeds[-1]))) if seeds else "no"
    plural = "seed" if runs == "1" else "seeds"
    text = (
        f"Hit@1 in percent, mean over {runs} {plural}; in brackets the 95 % interval of a bootstrap over "
        f"patients; {'after ± the standard deviation over seeds; ' if seeds and seeds[-1] > 1 else ''}in parentheses "
        f"the paper's number, which was measured on other data. {_data(table)}"
    )
    by_row = _by_row(table.layout.rows, table.cells)
    few = [spec.row for spec, row in by_row if 0 < max(c.patients for c in row) < FEW]
    if few:
        rows = ", ".join(f"`{row}`" for row in few)
        text += f" Intervals from fewer than {FEW} patients ({rows}) are too narrow to trust."
    return text


def _data(table: Table) -> str:
    """What the data are; where Set #2 is replaced, that comes first."""
    if not table.replaced:
        return table.layout.data
    pairs = ", ".join(f"{new} for {old}" for old, new in table.replaced.items())
    return f"Here rows stand in for others, on other data and under their own name: {pairs}. {table.layout.data}"


def _gains(table: Table) -> str:
    names = table.layout.columns
    lines = [
        "Percentage points on the same slices; in brackets the 95 % interval of a paired patient bootstrap, and its "
        f"p-value, corrected by Holm over all of these comparisons (not known with fewer than {FEW} patients).",
        "",
    ]
    lines += ["| row | column | over | gain | p |", "|---|---|---|---:|---:|"]
    for s in table.steps:
        bounds = "" if math.isnan(s.lo) else f" [{s.lo:+.1f}, {s.hi:+.1f}]"
        lines.append(
            f"| `{s.row}` | {names[s.column]} | {names[s.over]} | **{s.value:+.1f}**{bounds} | {p_value(s.adjusted)} |"
        )
    first, last = next(iter(names.values())), list(names.values())[-1]
    for task, (ours, paper) in table.gains.items():
        theirs = "" if math.isnan(paper) else f" (paper {paper:+.1f})"
        mean = "not measured" if math.isnan(ours) else f"{ours:+.1f}"
        lines += ["", f"Mean gain of {last} over {first}, {task} rows: {mean}{theirs}."]
    return "\n".join(lines)


def _baselines(table: Table) -> str:
    lines = [
        "Majority: always naming the label that most of the row's own slices show, the best constant answer. "
        "Random: each label equally likely. Hit@1 in percent.",
        "",
        "| row | majority label | majority | random | right answers a slice | slices |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for b in table.baselines:
        numbers = f"{b.majority:.1f} | {b.chance:.1f} | {b.targets:.2f} | {b.n}"
        lines.append(f"| `{b.row}` | {b.label} | {numbers} |")
    return "\n".join(lines)


def _by_row(specs: Sequence[RowSpec], cells: Sequence[Cell]) -> list[tuple[RowSpec, list[Cell]]]:
    return [(spec, [c for c in cells if c.row == spec.row]) for spec in specs]


def _ours(cell: Cell) -> str:
    return _MISSING if math.isnan(cell.value) else f"{cell.value:.1f}"


def _bold(text: str) -> str:
    return text if text == _MISSING else f"**{text}**"


def _interval(cell: Cell) -> str:
    return "" if math.isnan(cell.lo) else f" [{cell.lo:.1f}, {cell.hi:.1f}]"


def _spread(cell: Cell) -> str:
    return "" if math.isnan(cell.spread) else f" ± {cell.spread:.1f}"


def p_value(p: float) -> str:
    """A p-value in print: three decimals, "< 0.001" below, a dash where it isn't known."""
    if math.isnan(p):
        return "\N{EN DASH}"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _paper(cell: Cell) -> str:
    # 54.0 and 91.62: as the paper prints them
    return "" if math.isnan(cell.paper) else f" ({f'{cell.paper:.2f}'.removesuffix('0')})"


def _plain(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"


def _tex(text: str) -> str:
    special = {c: "\\" + c for c in "#$%&_{}"} | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}"}
    return "".join(special.get(c, c) for c in text)
