"""The contract of a panel: what is shown of the rows that one evaluator left in the runs of a suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.evaluation.cells import Cell
from anatomy_clip.results.formats import interval, interval_words, number, p_value
from anatomy_clip.results.layout import Layout
from anatomy_clip.results.panels import panel_class
from anatomy_clip.results.read import Run
from anatomy_clip.results.trainings import one_a_training


@dataclass(frozen=True)
class Suite:
    """The finished runs of a suite, and what panels need beside them.

    Attributes:
        name: the suite's name.
        layout: its columns, and the rows of its table.
        runs: its runs.
        notes: what is missing or odd, such as runs that couldn't be read.
        paper: row -> column -> the paper's number, percent.
        mean_gain: task -> the paper's mean gain of the last column over the first, points.
        images: test set -> (N, S, S) uint8, by the rows' numbers; only slices of these are shown.
        slices_a_set: most slices of a test set that are shown.
    """

    name: str
    layout: Layout
    runs: Sequence[Run]
    notes: Sequence[str] = ()
    paper: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    mean_gain: Mapping[str, float] | None = None
    images: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    slices_a_set: int = 32


class Section(NamedTuple):
    """A section of the page: its id, its name in the contents, and its HTML, `<section id=...>` and all."""

    id: str
    name: str
    html: str


class Panel:
    """What is shown of one evaluator's rows; a subclass gives what it has, and nothing is shown of the rest.

    Args:
        evaluator: the evaluator's name.
        suite: the suite.

    Attributes:
        columns: those that a table of the evaluator needs.
        runs: the runs of the suite's columns that have such a table, one a training.
    """

    columns: ClassVar[Sequence[str]]

    def __init__(self, evaluator: str, suite: Suite) -> None:
        self.evaluator = evaluator
        self.suite = suite
        self.runs = one_a_training(
            run for run in suite.runs if run.name in suite.layout.columns and evaluator in run.tables
        )

    def cells_of(self, run: Run) -> Mapping[str, Cell]:
        """A run's cells by name, for the suite's summary and claims."""
        return {}

    def notes(self) -> Sequence[str]:
        """What is missing or odd."""
        return ()

    def gaps(self) -> Sequence[str]:
        """What is missing for results that are worth keeping in the repository."""
        return ()

    def readme(self) -> str | None:
        """The block that the README shows of it."""
        return None

    def files(self) -> Mapping[str, str | bytes]:
        """Name -> content of the files that are written into the suite's folder."""
        return {}

    def terminal(self) -> Sequence[Any]:
        """What is printed: text, or what rich draws."""
        return ()

    def sections(self) -> Sequence[Section]:
        """The sections of the page."""
        return ()

    def numbers(self, run: Run) -> Mapping[str, float]:
        """Numbers of one run for Weights & Biases."""
        return {}

    def charts(self, run: Run, wandb: Any, pseudonym: Callable[..., str]) -> Mapping[str, Any]:
        """Tables, plots and pictures of one run for Weights & Biases; `pseudonym` makes ids that name nobody."""
        return {}

    def suite_charts(self, wandb: Any) -> Mapping[str, Any]:
        """Tables, plots and pictures of the whole suite for Weights & Biases."""
        return {}


def panels_of(suite: Suite) -> dict[str, Panel]:
    """Summary and claims, where the layout declares some; the panels of the evaluators that left a table to show."""
    names = dict.fromkeys(name for run in suite.runs if run.name in suite.layout.columns for name in run.tables)
    names = {name: None for name in names if name in (suite.layout.shown or names)}
    own: dict[str, Panel] = {name: found(name, suite) for name in names if (found := panel_class(name))}
    story = suite.layout.story
    told = [name for name, declared in (("summary", story.parts), ("claims", story.claims)) if declared]
    return {**{name: panel_class(name)(name, suite, own) for name in told}, **own}


def missing(evaluator: str, suite: Suite) -> list[str]:
    """Columns of which no run was evaluated so; optional ones, and those that have no use for it, aren't missing."""
    done = {run.name for run in suite.runs if evaluator in run.tables or evaluator in run.useless}
    return [name for name in suite.layout.columns if name not in done and name not in suite.layout.optional]


def notes_of(suite: Suite, panels: Mapping[str, Panel]) -> tuple[str, ...]:
    """All that is missing or odd, each once."""
    shown = [note for panel in panels.values() for note in panel.notes()]
    of_runs = {name for run in suite.runs for name in run.tables}
    unseen = (of_runs & set(suite.layout.shown or of_runs)) - set(panels)
    nowhere = [f"{name} is not shown, because there is no results/panels/{name}.py" for name in sorted(unseen)]
    return tuple(dict.fromkeys([*suite.notes, *shown, *nowhere]))


@cache
def _engine() -> Any:
    import jinja2

    loader = jinja2.PackageLoader("anatomy_clip.results")
    engine = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    engine.globals |= {"number": number, "interval": interval, "p_value": p_value, "interval_words": interval_words}
    return engine


def render(template: str, **values: Any) -> str:
    """Fill a template of `results/templates`; the text may stand in another template as it is."""
    from markupsafe import Markup

    return Markup(_engine().get_template(template).render(**values))
