"""Right captions against contradicted ones (the paper's Fig. 3, on every slice)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from anatomy_clip.evaluation.base import CONTRAST
from anatomy_clip.results import panel
from anatomy_clip.results.contrast import Pair, examples, wins
from anatomy_clip.results.examples import picture
from anatomy_clip.results.panel import Section, render
from anatomy_clip.results.read import Run
from anatomy_clip.results.run_summary import contrast_summary

_EXAMPLES = 4  # slices of a test set whose captions are shown


class Panel(panel.Panel):
    """How often right captions win, and some slices' closest pairs."""

    columns = CONTRAST.columns

    def sections(self) -> Sequence[Section]:
        """Shares by test set and slot, and pairs."""
        found = wins(self.runs, self.suite.layout)
        seeds = {won.seeds for columns in found.values() for won in columns.values()}
        columns = self.suite.layout.columns
        html = render("contrast.html", columns=columns, wins=found, seeds=seeds, pairs=self._pairs())
        return (Section("contrast", "Contradictions", html),)

    def _pairs(self) -> list[tuple[str, str, Mapping[str, Pair]]]:
        """(Test set, picture, pairs) of some slices of every main row's test set that has images."""
        layout, images = self.suite.layout, self.suite.images
        sets = [name for name in dict.fromkeys(row.test_set for row in layout.rows) if name in images]
        return [
            (name, picture(np.asarray(images[name][example.row])), example.pairs)
            for name in sets
            for example in examples(self.runs, layout, name, "station", _EXAMPLES)
        ]

    def numbers(self, run: Run) -> Mapping[str, float]:
        """Shares and margins by test set and slot."""
        return contrast_summary(run, self.suite.layout)
