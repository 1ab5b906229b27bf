"""Right captions against captions made wrong in one slot: what the paper's Fig. 3 shows on examples, on every slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.anatomy.labels import Labels
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import modality_words
from anatomy_clip.evaluation.base import CONTRAST, Evaluator, Score, TestedRun, patients_of, score_of, similarity
from anatomy_clip.text.grid import CaptionGrid, contradict
from anatomy_clip.text.templates import SLOTS

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
_SLICES_AT_ONCE = 256


class Contrast(NamedTuple):
    """One slice's right captions against those made wrong in one slot.

    Attributes:
        win: share of the pairs in which the right caption scores higher; a tie counts half.
        margin: mean of right minus wrong.
        right: place in the grid of the right caption of the closest pair.
        wrong: place of the wrong caption of that pair.
    """

    win: float
    margin: float
    right: tuple[int, ...]
    wrong: tuple[int, ...]


class PromptContrast(Evaluator):
    """Checks whether a slice's right caption scores higher than one with another plane, modality, organ or station.

    A right caption names one organ and one station that the slice shows, its plane and its modality. Each is set
    against every caption that differs from it in one slot, by a value that the slice contradicts. Slices without an
    organ or a station are left out, and so are those whose organs or stations are unknown: nothing can be said of them.
    An organ that a slice leaves open makes no caption right and none wrong.

    Args:
        template: caption with all four slots.
        taxonomy: organs, stations, and which organ belongs to which station.
        resamples: bootstrap resamples of patients.

    Raises:
        ValueError: the template lacks a slot.
    """

    compares = True

    def __init__(self, template: str, taxonomy: Taxonomy, *, resamples: int = 1000) -> None:
        self.grid = CaptionGrid(template, taxonomy)
        self.belongs = taxonomy.belongs
        self.resamples = resamples

    def predict(self, run: TestedRun) -> pd.DataFrame:
        """Contrast every slice of the test sets.

        Returns:
            A row a slice and slot, columns as `CONTRAST`; `right` and `wrong` are the captions of the closest pair.
        """
        import pandas as pd

        texts = run.embed_texts(self.grid.captions())
        rows: list[dict[str, Any]] = []
        for name, shown in run.sets("test").items():
            for part in shown.split(_SLICES_AT_ONCE):
                scores = similarity(run, part.compared, texts).reshape(-1, *self.grid.shape)
                known = zip(part.rows, part.records, part.labels["organ"], part.labels["station"], strict=True)
                for grid, (row, record, organs, stations) in zip(scores, known, strict=True):
                    if (organs == 1).any() and (stations == 1).any():
                        rows += self._rows(name, row, record, grid, organs, stations)
        return pd.DataFrame(rows, columns=list(CONTRAST.columns))

    def score(self, table: pd.DataFrame) -> list[Score]:
        """Mean win rate of every test set and slot, with patient intervals; a pure function of the rows."""
        cells = []
        for (name, slot), part in table.groupby(["set", "slot"], sort=False):
            cell = f"contrast/{slot}/{name}"
            cells.append(score_of(cell, part["win"].to_numpy(), patients_of(part), self.resamples))
        return cells

    def _rows(
        self, name: str, row: int, record: SliceRecord, scores: Floats, organs: Labels, stations: Labels
    ) -> list[dict[str, Any]]:
        known = {"set": name, "row": row, "source": record.source, "patient": record.patient}
        found = []
        for slot, contrast in self.contrasts(scores, record, organs, stations).items():
            captions = {"right": self.grid.caption(contrast.right), "wrong": self.grid.caption(contrast.wrong)}
            values = {"right_score": float(scores[contrast.right]), "wrong_score": float(scores[contrast.wrong])}
            measured = {"slot": slot, "win": contrast.win, "margin": contrast.margin}
            found.append(known | {"modality": record.modality.value} | measured | captions | values)
        return found

    def contrasts(self, scores: Floats, record: SliceRecord, organs: Labels, stations: Labels) -> dict[str, Contrast]:
        """Contrast one slice.

        Args:
            scores: of the grid's captions, (planes, modalities, organs, stations).
            record: the slice.
            organs: (K,) 1 shown, at least one; 0 not shown; -1 unknown, which isn't contradicted.
            stations: (S,) as `organs`.

        Returns:
            Slot -> contrast; a slot that nothing contradicts (all stations in view) is left out.
        """
        words = modality_words(record.modality, record.protocol)
        plane = self.grid.axes["orientation"].index(record.orientation)
        machine = self.grid.axes["modality"].index(words)
        shown = (organs == 1)[:, None] & (stations == 1)  # (K, S)
        pairs = np.argwhere(self.belongs & shown)
        if not len(pairs):  # such as an arm beside the belly: no pair agrees with the table
            pairs = np.argwhere(shown)
        wrong = {
            "orientation": [n for n in range(len(self.grid.axes["orientation"])) if n != plane],
            "modality": contradict(words),
            "organ": np.flatnonzero(organs == 0).tolist(),
            "station": np.flatnonzero(stations == 0).tolist(),
        }
        right = [(plane, machine, int(organ), int(station)) for organ, station in pairs]
        return {slot: _contrast(scores, right, n, wrong[slot]) for n, slot in enumerate(SLOTS) if wrong[slot]}


def _contrast(scores: Floats, right: Sequence[tuple[int, ...]], axis: int, values: Sequence[int]) -> Contrast:
    """Each right place against the places that differ from it along one axis by one of the values."""
    places = [(place, (*place[:axis], value, *place[axis + 1 :])) for place in right for value in values]
    margins = np.array([scores[a] - scores[b] for a, b in places])
    closest = int(margins.argmin())
    win = float(((margins > 0) + 0.5 * (margins == 0)).mean())
    return Contrast(win, float(margins.mean()), *places[closest])
