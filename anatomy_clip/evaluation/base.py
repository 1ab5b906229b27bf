"""The contract of an evaluator, its table on disk, and its scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.anatomy.labels import label_names
from anatomy_clip.core.files import whole_file
from anatomy_clip.core.names import did_you_mean
from anatomy_clip.core.refusals import Refused
from anatomy_clip.metrics.bootstrap import bootstrap_interval
from anatomy_clip.text.captions import SLOTS

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from anatomy_clip.anatomy.labels import LabelSet
    from anatomy_clip.core.records import SliceRecord
    from anatomy_clip.core.types import Batch
    from anatomy_clip.data.labelled import Labelled
    from anatomy_clip.evaluation.embedded import EmbeddedSet
    from anatomy_clip.models.image_text import ImageTextModel
    from anatomy_clip.objectives.base import Objective


class Rows(NamedTuple):
    """What an evaluator leaves in a run's folder: the file and the columns of its table."""

    file: str
    columns: tuple[str, ...]


ZERO_SHOT = Rows("zero_shot.parquet", (  # a row a slice; targets are lists of names, null where they are unknown
    "set", "row", "source", "patient", "series", "index", "modality", "protocol", "orientation",
    "organ_targets", "organ_unsure", "station_targets", "organ_scores", "station_scores",
))  # fmt: skip
CONTRAST = Rows("contrast.parquet", (  # a row a slice and slot
    "set", "row", "source", "patient", "modality", "slot",
    "win", "margin", "right", "wrong", "right_score", "wrong_score",
))  # fmt: skip
CAPTIONS = Rows("captions.parquet", (  # a row a slice and way
    "set", "row", "source", "patient", "way", "caption", "truth", "reachable", "score",
    *(f"{slot}_right" for slot in SLOTS),
))  # fmt: skip
VALIDATION = "zero_shot_validation.parquet"  # as `ZERO_SHOT`, of the validation sets
DECISIONS = "decisions.json"  # chosen on them
HELD_OUT = "held_out"  # test set of a cross-validation: the fold that training left out


@dataclass(frozen=True)
class Score:
    """One cell of a results table.

    Attributes:
        cell: the cell's name, such as `test/organ/set1_ct`.
        value: share in [0, 1], or correlation in [-1, 1]; NaN where no slice counts, such as where no label is known.
        n: slices that count.
        lo: lower end of the 95 % patient-bootstrap interval; NaN where there is one patient only.
        hi: upper end.
    """

    cell: str
    value: float
    n: int
    lo: float
    hi: float


def score_of(cell: str, values: NDArray[np.float64], patients: NDArray[np.str_], resamples: int) -> Score:
    """The mean of N slices' values in [0, 1], with its patient interval; a slice of value NaN doesn't count."""
    counted = ~np.isnan(values)
    if not counted.any():
        return Score(cell, float("nan"), 0, float("nan"), float("nan"))
    interval = bootstrap_interval(values[counted], patients[counted], resamples=resamples)
    return Score(cell, float(values[counted].mean()), int(counted.sum()), interval.lo, interval.hi)


def stated(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The rows as of `ZERO_SHOT` whose labels of one kind are known, but for those that are left open."""
    return table[table[f"{kind}_targets"].notna()]


def scores_and_targets(
    table: pd.DataFrame, kind: str, names: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores and targets of one label kind in rows as of `stated`: (N, K) float and (N, K) bool."""
    scores = np.array(table[f"{kind}_scores"].to_list(), dtype=np.float64).reshape(-1, len(names))
    targets = [[name in found for name in names] for found in table[f"{kind}_targets"]]
    return scores, np.array(targets, dtype=np.bool_).reshape(-1, len(names))


def unsure_in(table: pd.DataFrame, kind: str, names: Sequence[str]) -> NDArray[np.bool_]:
    """(N, K) which labels of one kind the rows as of `ZERO_SHOT` leave open; none where there is no such column.

    Stations have none. Neither have organs in rows of versions before 0.6.0, whose stores held no such label.
    """
    column = table.get(f"{kind}_unsure")
    if column is None:
        return np.zeros((len(table), len(names)), dtype=np.bool_)
    return np.array([[name in left for name in names] for left in column], dtype=np.bool_).reshape(-1, len(names))


def left_out(runs: Iterable[Path], file: str) -> list[pd.DataFrame]:
    """The rows of the set `held_out` that runs left in a file, in the order of their folders; of those that have it."""
    import pandas as pd

    tables = [pd.read_parquet(path) for run in sorted(runs) if (path := run / file).is_file()]
    return [table[table["set"] == HELD_OUT] for table in tables]


def patients_of(table: pd.DataFrame) -> NDArray[np.str_]:
    """(N,) the patient of each row, with the source, since ids of two sources may be alike."""
    patients: NDArray[np.str_] = (table["source"] + "/" + table["patient"]).to_numpy()
    return patients


def write_rows(table: pd.DataFrame, path: Path) -> None:
    """Write rows to Parquet, so that the path holds a whole file or none."""
    with whole_file(path) as partial:
        table.to_parquet(partial, index=False)


class TestedRun(Protocol):
    """A run as evaluators see it.

    Attributes:
        seed: of the run.
    """

    seed: int

    @property
    def trained(self) -> tuple[ImageTextModel, Objective]:
        """The model and what it was trained by, in evaluation mode on the device where they run."""
        ...

    def randomised(self) -> ImageTextModel:
        """The model with random weights; they are the seed's, and none that a run starts from."""
        ...

    def films(self, name: str) -> Iterator[tuple[Batch, list[dict[str, NDArray[np.bool_]]]]]:
        """The batches of a test set, and the masks that were drawn for each image, (H, W) as its images."""
        ...

    @property
    def logit_scale(self) -> float:
        """Log of the inverse temperature that the model was trained with."""
        ...

    def training_records(self) -> Sequence[SliceRecord]:
        """The records of the training slices."""
        ...

    def sets(self, role: str) -> dict[str, EmbeddedSet]:
        """The sets of a role ("train", "validation", "test") by name, embedded once for all evaluators."""
        ...

    def embed_texts(self, texts: Sequence[str], *, cut: bool = False) -> Tensor:
        """Embed C texts where they can be compared with images: (C, D) float32 unit norm, or other rows.

        Args:
            texts: what to embed.
            cut: texts longer than the context are cut at a sentence's end; else they are refused.
        """
        ...

    def embed_classes(self, prompts: Sequence[Sequence[str]]) -> Tensor:
        """Embed K classes by T prompts each: (K, D) unit norm."""
        ...

    def compare(self, images: Tensor, texts: Tensor) -> dict[str, NDArray[np.float64]]:
        """How well embedded texts fit embedded images, by each way to compare that the method has: (N, M) each."""
        ...

    def head_scores(self, pooled: Tensor) -> NDArray[np.float64]:
        """The logits of the objective's head: (N, W) pooled features -> (N, K)."""
        ...

    def labelled(self) -> Labelled:
        """What the objective's head was fitted on."""
        ...


def similarity(run: TestedRun, images: Tensor, texts: Tensor) -> NDArray[np.float64]:
    """How well embedded texts or classes fit embedded images, by the method's own way to compare: (N, M).

    These are cosines for most methods, see `Objective.similarities`.
    """
    return [*run.compare(images, texts).values()][-1]


def names_in(taxonomy: LabelSet, space: str) -> tuple[str, ...]:
    """The names of a label space.

    Raises:
        Refused: the taxonomy has no such space.
    """
    known = label_names(taxonomy)
    if space not in known:
        raise Refused(f"eval: it needs labels of {space}s; the taxonomy has {', '.join(known)}", "use one of these")
    return known[space]


def place_of(name: str, names: Sequence[str]) -> int:
    """Where a name stands among the names of labels.

    Raises:
        Refused: it is none of them.
    """
    if name not in names:
        hint = did_you_mean(name, names) or f"; known: {', '.join(names)}"
        raise Refused(f"eval: {name} is not one of the labels{hint}", "use one of them")
    return names.index(name)


def test_sets(run: TestedRun, names: Sequence[str] | None) -> dict[str, EmbeddedSet]:
    """The named test sets of a run; all where None are named.

    Raises:
        Refused: it has no test set of such a name.
    """
    sets = run.sets("test")
    for name in names or ():
        if name not in sets:
            hint = did_you_mean(name, sets) or f"; known: {', '.join(sets)}"
            raise Refused(f"eval: it uses the test set {name}, which is not in data.test{hint}", "use one of data.test")
    return {name: sets[name] for name in (sets if names is None else names)}


class Evaluator:
    """Turns a run into a table, and the table into scores; built with the taxonomy.

    Attributes:
        compares: whether it compares images with texts; it is left out for methods that don't.
        predicts: whether it asks the objective's head for scores of labels; it is left out for methods without one.
    """

    compares: bool = False
    predicts: bool = False

    def predict(self, run: TestedRun) -> pd.DataFrame:
        """One row a unit, common columns (set, row, source, patient) first; written as `<name>.parquet`."""
        raise NotImplementedError

    def score(self, table: pd.DataFrame) -> list[Score]:
        """Compute the cells; a pure function of the table."""
        raise NotImplementedError

    def choose(self, run: TestedRun, folder: Path) -> list[str]:
        """Choose what is to be chosen on the validation sets, and write it into the run's folder.

        Returns:
            Remarks on it.
        """
        return []
