"""Table III as Markdown, CSV, LaTeX and in the terminal."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from anatomy_clip.metrics.crossed import FEW_SEEDS
from anatomy_clip.results.formats import interval, interval_words, number, p_value, printed
from anatomy_clip.results.gains import FEW, SIGNIFICANT
from anatomy_clip.results.layout import RowSpec
from anatomy_clip.results.table import Cell, Table, by_row

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
    """The paper's rows only, with what the numbers are."""
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
        rf"  \caption{{Hit@1 in percent; in brackets the {_tex(interval_words(table.seeds))}; in parentheses "
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

    caption = f"In brackets the {interval_words(table.seeds)}. {_data(table)}"
    rich = RichTable(title=f"{table.layout.title}: hit@1, percent; ours [95 %] (paper)", caption=caption)
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
    columns, above = list(table.layout.columns.values()), table.above
    lines = [
        "| " + " | ".join(["", *columns, "slices (patients)"]) + " |",
        "|" + "---|" + "---:|" * (len(columns) + 1),
    ]
    for spec, row in by_row(specs, cells):
        values = [_cell(c, "**" if (c.row, c.column) in above else "") + _spread(c) + _paper(c) for c in row]
        most = max(row, key=lambda c: c.n)
        counts = f"{most.n} ({most.patients})"
        lines.append("| " + " | ".join([f"{spec.text}<br>`{spec.row}`", *values, counts]) + " |")
    return "\n".join(lines)


def _legend(table: Table) -> str:
    seeds = sorted(table.seeds)
    runs = " to ".join(str(s) for s in dict.fromkeys((seeds[0], seeds[-1]))) if seeds else "no"
    several = bool(seeds) and seeds[-1] > 1
    text = (
        f"Hit@1 in percent, mean over {runs} {'seed' if runs == '1' else 'seeds'}; in brackets the "
        f"{interval_words(seeds)}; {'after ± the standard deviation over seeds; ' if several else ''}in parentheses "
        f"the paper's number, which was measured on other data. {bold_words(table)} {_data(table)}"
    )
    rows = by_row(table.layout.rows, table.cells)
    few = [spec.row for spec, row in rows if 0 < max(c.patients for c in row) < FEW]
    if few:
        names = ", ".join(f"`{row}`" for row in few)
        text += f" Intervals from fewer than {FEW} patients ({names}) assume that patients differ about normally."
    return text


def bold_words(table: Table) -> str:
    """What is bold, and why nothing is where nothing can be."""
    if any(step.p == step.p for step in table.steps):
        return (
            f"Bold: significantly above each column that it is compared with (p < {SIGNIFICANT}, corrected over all "
            "gains); further test sets are not compared."
        )
    return f"No gain is marked as significant: that needs {FEW_SEEDS} trainings of both columns and {FEW} patients."


def _data(table: Table) -> str:
    """What the data are; where Set #2 is replaced, that comes first."""
    if not table.replaced:
        return table.layout.data
    pairs = ", ".join(f"{new} replaces {old}" for old, new in table.replaced.items())
    return f"Some rows are replaced by rows on other data, under their own names: {pairs}. {table.layout.data}"


def _gains(table: Table) -> str:
    names = table.layout.columns
    lines = [f"{gain_words(table)} Bold: p below {SIGNIFICANT}.", ""]
    lines += ["| row | column | over | gain | p |", "|---|---|---|---:|---:|"]
    for s in table.steps:
        bounds = _after(" ", interval(s.lo, s.hi, sign=True))
        gain = f"**{s.value:+.1f}**" if s.significant else f"{s.value:+.1f}"
        lines.append(f"| `{s.row}` | {names[s.column]} | {names[s.over]} | {gain}{bounds} | {p_value(s.adjusted)} |")
    first, last = next(iter(names.values())), list(names.values())[-1]
    for task, (ours, paper) in table.gains.items():
        theirs = "" if math.isnan(paper) else f" (paper {paper:+.1f})"
        mean = number(ours, sign=True, missing="not measured")
        lines += ["", f"Mean gain of {last} over {first}, {task} rows: {mean}{theirs}."]
    return "\n".join(lines)


def gain_words(table: Table) -> str:
    """What the numbers of gains are."""
    pairs = {step.seeds for step in table.steps}
    one = 1 in table.seeds and max(table.seeds) > 1
    alone = (
        "A column with one training is compared with each training of the other column; its interval does not include "
        "the variation that another training of it would add. "
    )
    return (
        f"Percentage points on the same slices, seed by seed; in brackets the {interval_words(pairs)}. "
        f"{alone if one else ''}p: two-sided t test over trainings and patients, corrected by Holm over all of these "
        f"comparisons; not known with fewer than {FEW_SEEDS} trainings of either column, or {FEW} patients."
    )


def _baselines(table: Table) -> str:
    lines = [
        "Majority: the score of always naming the label that most of the row's slices show, which is the best "
        "constant answer. Random: the expected score if each label is equally likely. Hit@1 in percent.",
        "",
        "| row | majority label | majority | random | right answers per slice | slices |",
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


def _spread(cell: Cell) -> str:
    return _after(" ± ", number(cell.spread, missing=""))


def _paper(cell: Cell) -> str:
    return "" if math.isnan(cell.paper) else f" ({printed(cell.paper)})"


def _tex(text: str) -> str:
    special = {c: "\\" + c for c in "#$%&_{}"} | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}"}
    return "".join(special.get(c, c) for c in text)
