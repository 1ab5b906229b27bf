"""Claims: a column's cell against another's, as differences with intervals over trainings and patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from anatomy_clip.metrics.comparisons import holm
from anatomy_clip.metrics.crossed import FEW_SEEDS, crossed_mean, pseudo_values
from anatomy_clip.results.formats import interval, interval_words, number, p_value
from anatomy_clip.results.gains import FEW, SIGNIFICANT, pair_seeds
from anatomy_clip.results.measured import MeasuredPanel
from anatomy_clip.results.panel import Section, render
from anatomy_clip.results.render import rows_csv
from anatomy_clip.results.story import Claim


class Tested(NamedTuple):
    """A claim and what came out; percent, and percentage points.

    Attributes:
        text: the claim.
        column, cell: what is said to be above.
        over, over_cell: what it is said to be above of.
        value, over_value: their means over the seeds that were paired.
        difference: of the two.
        lo, hi: its 95 % interval over seeds and patients.
        p: two-sided; NaN with fewer than `FEW_SEEDS` trainings of either column, or `FEW` patients.
        adjusted: Holm's correction of it over all claims.
        seeds, patients: how many.
    """

    text: str
    column: str
    cell: str
    over: str
    over_cell: str
    value: float
    over_value: float
    difference: float
    lo: float
    hi: float
    p: float
    adjusted: float
    seeds: int
    patients: int

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is below `SIGNIFICANT`; False where it isn't known."""
        return self.adjusted < SIGNIFICANT


class Panel(MeasuredPanel):
    """A table of the claims that `conf/table` declares, whatever came out."""

    @cached_property
    def _outcome(self) -> tuple[tuple[Tested, ...], tuple[str, ...]]:
        """What was tested, and a sentence on each claim that can't be."""
        found: list[Tested] = []
        notes: list[str] = []
        columns = self.suite.layout.columns
        for claim in self.suite.layout.story.claims:
            if not {claim.better[0], claim.than[0]} <= set(columns):  # an optional column that wasn't run
                continue
            one = self._test(claim)
            if isinstance(one, str):
                notes.append(one)
            else:
                found.append(one)
        adjusted = holm([one.p for one in found]) if found else ()
        return tuple(one._replace(adjusted=float(p)) for one, p in zip(found, adjusted, strict=True)), tuple(notes)

    @property
    def tested(self) -> tuple[Tested, ...]:
        """Claims of which both cells are there, of the same patients."""
        return self._outcome[0]

    def _test(self, claim: Claim) -> Tested | str:
        sides = [self.seeds(*side) for side in (claim.better, claim.than)]
        for (column, cell), seeds in zip((claim.better, claim.than), sides, strict=True):
            if not seeds:
                return f"not tested: {claim.text}: no run of {column} has the cell {cell}"
        firsts = [next(iter(seeds.values())) for seeds in sides]
        patients = [np.unique(one.patients) for one in firsts]
        if not all(one.smooth for one in firsts) or not np.array_equal(patients[0], patients[1]):
            return f"not tested: {claim.text}: its cells are not means over the same patients"
        paired = pair_seeds(*(list(seeds) for seeds in sides))
        if not paired[0]:
            return f"not tested: {claim.text}: the two columns have no seed in common"
        cells = [[list(seeds.values())[n] for n in places] for seeds, places in zip(sides, paired, strict=True)]
        values = [
            100 * np.stack([pseudo_values(one.statistic, one.patients) for one in each]) for each in cells
        ]  # (S, P)
        gain = crossed_mean(values[0] - values[1], bounds=(-100, 100))
        known = min(len(seeds) for seeds in sides) >= FEW_SEEDS and gain.seeds >= FEW_SEEDS and gain.patients >= FEW
        return Tested(
            claim.text,
            *claim.better,
            *claim.than,
            value=float(values[0].mean()),
            over_value=float(values[1].mean()),
            difference=gain.value,
            lo=gain.lo,
            hi=gain.hi,
            p=gain.p if known else float("nan"),
            adjusted=float("nan"),
            seeds=gain.seeds,
            patients=gain.patients,
        )

    def notes(self) -> Sequence[str]:
        """Claims that can't be tested."""
        return self._outcome[1]

    @property
    def caption(self) -> str:
        """What the numbers are."""
        return (
            "The claims were declared before anything was measured, and every result is shown. Difference: percentage "
            "points, seed by seed and patient by patient; in brackets the "
            f"{interval_words(one.seeds for one in self.tested)}. p: two-sided t test over trainings and patients, "
            "corrected by Holm over all claims; not known with fewer than "
            f"{FEW_SEEDS} trainings of either column, or {FEW} patients. Bold: p below {SIGNIFICANT}."
        )

    def _lines(self) -> list[tuple[list[str], bool]]:
        """A claim's cells as text, and whether it is significant."""
        found = []
        for one in self.tested:
            bounds = interval(one.lo, one.hi, sign=True)
            gain = number(one.difference, sign=True)
            means = [number(one.value), number(one.over_value)]
            found.append(([one.text, *means, f"{gain} {bounds}".strip(), p_value(one.adjusted)], one.significant))
        return found

    def files(self) -> Mapping[str, str | bytes]:
        """The table as Markdown and CSV."""
        lines = ["| claim | said to be above | said to be below | difference | p |", "|---|---:|---:|---:|---:|"]
        for cells, significant in self._lines():
            shown = [f"**{cell}**" if significant and n == 3 else cell for n, cell in enumerate(cells)]
            lines.append("| " + " | ".join(shown) + " |")
        text = [f"# {self.suite.layout.title}: claims", f"{self.caption} {self.suite.layout.data}", "\n".join(lines)]
        text += ["\n".join(f"- {note}" for note in self.notes())] if self.notes() else []
        return {"claims.md": "\n\n".join(text) + "\n", "claims.csv": rows_csv(self.tested)}

    def terminal(self) -> Sequence[Any]:
        """The table."""
        from rich.table import Table
        from rich.text import Text

        rich = Table("claim", "above", "below", "difference", "p", title="Claims")
        for cells, _ in self._lines():
            rich.add_row(*(Text(cell) for cell in cells))
        return (rich,)

    def sections(self) -> Sequence[Section]:
        """The table."""
        html = render("claims.html", caption=self.caption, lines=self._lines(), notes=self.notes())
        return (Section("claims", "Claims", html),)
