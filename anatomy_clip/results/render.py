"""Table III as Markdown, CSV, LaTeX and in the terminal."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from anatomy_clip.results.formats import interval, number, p_value
from anatomy_clip.results.layout import RowSpec
from anatomy_clip.results.table import FEW, Cell, Table, by_row

if TYPE_CHECKING:
    from rich.table import Table as RichTable

CSV_COLUMNS = ("row", "column", "value", "n", "lo", "hi", "seeds", "paper")


def to_csv(cells: Sequence[Cell]) -> str:
    """Write cells with the columns `CSV_COLUMNS`; percent, two decimals; what is undefined is empty."""
    return _csv(CSV_COLUMNS, [[getattr(cell, name) for name in CSV_COLUMNS] for cell in cells], 2)


def rows_csv(rows: Sequence[NamedTuple]) -> str:
    """Write rows of one kind, their fields as columns; numbers with four decimals, what is undefined is empty."""
    return _csv(rows[0]._fields if rows else (), rows, 4)


def _csv(columns: Sequence[str], rows: Iterable[Iterable[Any]], digits: int) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([number(x, digits, missing="") if isinstance(x, float) else x for x in row] for row in rows)
    return out.getvalue()


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
    for spec, cells in by_row(table.layout.rows, table.cells):
        values = [_cell(c) + _paper(c) for c in cells]
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
        for spec, row in by_row(specs, cells):
            values = [Text(_cell(c) + _paper(c)) for c in row]
            rich.add_row(Text(f"{spec.row} (n={max(c.n for c in row)})"), *values)
        rich.add_section()
    return rich


def _markdown_rows(table: Table, specs: Sequence[RowSpec], cells: Sequence[Cell]) -> str:
    columns = list(table.layout.columns.values())
    lines = [
        "| " + " | ".join(["", *columns, "slices (patients)"]) + " |",
        "|" + "---|" + "---:|" * (len(columns) + 1),
    ]
    for spec, row in by_row(specs, cells):
        values = [f"{_cell(c, '**')}{_after(' ± ', number(c.spread, missing=''))}{_paper(c)}" for c in row]
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
    rows = by_row(table.layout.rows, table.cells)
    few = [spec.row for spec, row in rows if 0 < max(c.patients for c in row) < FEW]
    if few:
        names = ", ".join(f"`{row}`" for row in few)
        text += f" Intervals from fewer than {FEW} patients ({names}) are too narrow to trust."
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
        bounds = _after(" ", interval(s.lo, s.hi, sign=True))
        lines.append(
            f"| `{s.row}` | {names[s.column]} | {names[s.over]} | **{s.value:+.1f}**{bounds} | {p_value(s.adjusted)} |"
        )
    first, last = next(iter(names.values())), list(names.values())[-1]
    for task, (ours, paper) in table.gains.items():
        theirs = "" if math.isnan(paper) else f" (paper {paper:+.1f})"
        mean = number(ours, sign=True, missing="not measured")
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


def _cell(cell: Cell, bold: str = "") -> str:
    """Our number and its interval."""
    value = "n/a" if math.isnan(cell.value) else f"{bold}{number(cell.value)}{bold}"
    return value + _after(" ", interval(cell.lo, cell.hi))


def _after(before: str, text: str) -> str:
    return before + text if text else ""


def _paper(cell: Cell) -> str:
    # 54.0 and 91.62: as the paper prints them
    return "" if math.isnan(cell.paper) else f" ({f'{cell.paper:.2f}'.removesuffix('0')})"


def _tex(text: str) -> str:
    special = {c: "\\" + c for c in "#$%&_{}"} | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}"}
    return "".join(special.get(c, c) for c in text)
