"""Complete captions: how often each slot of the best one is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from anatomy_clip.evaluation.base import CAPTIONS
from anatomy_clip.results import panel
from anatomy_clip.results.captions import CaptionScore, caption_scores
from anatomy_clip.results.measures import lacking
from anatomy_clip.results.panel import Section, render
from anatomy_clip.results.render import rows_csv


class Panel(panel.Panel):
    """The slots' shares, by test set, way and column."""

    columns = CAPTIONS.columns

    @cached_property
    def scores(self) -> list[CaptionScore]:
        """What was measured."""
        return caption_scores(self.runs, self.suite.layout)

    def files(self) -> Mapping[str, str | bytes]:
        """Every share."""
        return {"captions.csv": rows_csv(self.scores)} if self.scores else {}

    def sections(self) -> Sequence[Section]:
        """A table a column."""
        columns = self.suite.layout.columns
        shown = [name for name in columns if any(run.name == name for run in self.runs)][-1]
        notes = lacking("captions", [r for r in self.suite.runs if r.name in columns and "captions" not in r.tables])
        html = render("captions.html", columns=columns, captions=self.scores, shown=shown, notes=notes)
        return (Section("captions", "Captions", html),)
