"""What zero-shot rows say beyond the best label: lists of labels, certainty, and hit@1 by target size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anatomy_clip.results.breakdown import BySize, by_size
from anatomy_clip.results.descriptions import Certainty, Description, Judged, certainties, describe, judged
from anatomy_clip.results.layout import Layout
from anatomy_clip.results.read import Run


@dataclass(frozen=True)
class Measures:
    """What `measure` found.

    Attributes:
        judged: every run's decided test sets, for plots.
        descriptions: lists of labels, by test set, column and way.
        certainties: calibration and abstention, by test set and column.
        sizes: hit@1 by the number of right answers, by row and column.
        notes: what runs lack, and what to do.
    """

    judged: tuple[Judged, ...]
    descriptions: tuple[Description, ...]
    certainties: tuple[Certainty, ...]
    sizes: tuple[BySize, ...]
    notes: tuple[str, ...]


def measure(runs: Sequence[Run], layout: Layout) -> Measures:
    """Measure the runs of a layout's columns; those that lack decisions are noted."""
    runs = [run for run in runs if run.name in layout.columns]
    found = judged(runs, layout)
    return Measures(
        judged=tuple(found),
        descriptions=tuple(describe(found)),
        certainties=tuple(certainties(found)),
        sizes=tuple(by_size(runs, layout)),
        notes=lacking("decisions", [run for run in runs if run.decisions is None]),
    )


def lacking(what: str, runs: Sequence[Run]) -> tuple[str, ...]:
    """A sentence on the runs that lack something, if there are any."""
    names = ", ".join(f"{run.name} (seed {run.seed})" for run in runs)
    return (f"No {what} of {names}: run again with stages=[evaluate], which does no training.",) if runs else ()
