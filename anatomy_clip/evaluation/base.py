"""The contract of an evaluator, its predictions on disk, and its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.files import whole_file
from anatomy_clip.text.captions import SLOTS

if TYPE_CHECKING:
    import pandas as pd

    from anatomy_clip.evaluation.embedded import EmbeddedSet
    from anatomy_clip.models.image_text import ImageTextModel


class Rows(NamedTuple):
    """What an evaluator leaves in a run's folder: the file and the columns of its table."""

    file: str
    columns: tuple[str, ...]


PREDICTIONS = Rows("predictions.parquet", (  # a row a slice
    "set", "row", "source", "patient", "series", "index", "modality", "protocol", "orientation",
    "organ_targets", "station_targets", "organ_scores", "station_scores",
))  # fmt: skip
CONTRAST = Rows("contrast.parquet", (  # a row a slice and slot
    "set", "row", "source", "patient", "modality", "slot",
    "win", "margin", "right", "wrong", "right_score", "wrong_score",
))  # fmt: skip
CAPTIONS = Rows("captions.parquet", (  # a row a slice and way
    "set", "row", "source", "patient", "way", "caption", "truth", "reachable", "score",
    *(f"{slot}_right" for slot in SLOTS),
))  # fmt: skip


@dataclass(frozen=True)
class Score:
    """One cell of a results table.

    Attributes:
        cell: the cell's name, such as `test/organ/set1_ct`.
        value: share in [0, 1]; NaN where no slice counts.
        n: slices that count.
        lo: lower end of the 95 % patient-bootstrap interval; NaN where there is one patient only.
        hi: upper end.
    """

    cell: str
    value: float
    n: int
    lo: float
    hi: float


@dataclass(frozen=True)
class Predictions:
    """One row a slice: what it shows and how each label scored.

    Attributes:
        table: columns as `PREDICTIONS`; scores are cosines in the order of `labels`.
        labels: label kind ("organ", "station") -> label names.
    """

    table: pd.DataFrame
    labels: Mapping[str, tuple[str, ...]]

    def arrays(self, kind: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Scores and targets of one label kind: (N, K) float and (N, K) bool."""
        names = self.labels[kind]
        scores = np.array(self.table[f"{kind}_scores"].to_list(), dtype=np.float64).reshape(-1, len(names))
        targets = [[name in found for name in names] for found in self.table[f"{kind}_targets"]]
        return scores, np.array(targets, dtype=np.bool_).reshape(-1, len(names))

    def write(self, path: Path) -> None:
        """Write to Parquet, atomically."""
        write_rows(self.table, path)


def patients_of(table: pd.DataFrame) -> NDArray[np.str_]:
    """(N,) the patient of each row, with the source, since ids of two sources may be alike."""
    patients: NDArray[np.str_] = (table["source"] + "/" + table["patient"]).to_numpy()
    return patients


def write_rows(table: pd.DataFrame, path: Path) -> None:
    """Write rows to Parquet, so that the path holds a whole file or none."""
    with whole_file(path) as partial:
        table.to_parquet(partial, index=False)


class Evaluator(Protocol):
    """Turns a model into predictions, and predictions into scores."""

    def predict(self, model: ImageTextModel, sets: Mapping[str, EmbeddedSet]) -> Predictions:
        """Score every slice of the named test sets, which the same model embedded."""
        ...

    def score(self, predictions: Predictions) -> list[Score]:
        """Compute the cells; a pure function of the predictions."""
        ...
