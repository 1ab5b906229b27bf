"""What the head says that a training has fitted: fine-tuned classification of findings or of exclusive classes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from anatomy_clip.anatomy.classes import class_numbers
from anatomy_clip.anatomy.labels import LabelSet, label_names
from anatomy_clip.evaluation.base import Evaluator, Score, TestedRun, patients_of, test_sets
from anatomy_clip.evaluation.cells import Cell, scores_of
from anatomy_clip.evaluation.class_probe import guesses, mean_accuracy
from anatomy_clip.evaluation.label_scores import mean_statistic, of_labels, of_studies

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (  # a row a film; `labels` are the K names, `labelled` the patients of whom each was known in training
    "set", "row", "source", "patient", "study", "task", "space", "labels", "share", "draw", "labelled",
    "targets", "scores",
)  # fmt: skip


class HeadScores(Evaluator):
    """Scores the test films by the objective's own head; the test sets are read once, and nothing is chosen.

    Args:
        taxonomy: what the objective predicts; its name is that of the task.
        sets: names of the test sets; None: all.
        resamples: bootstrap resamples of patients.
    """

    predicts = True

    def __init__(self, taxonomy: LabelSet, *, sets: Sequence[str] | None = None, resamples: int = 1000) -> None:
        self.task = taxonomy.name
        self.space, self.names = next(iter(label_names(taxonomy).items()))
        self.sets, self.resamples = sets, resamples

    def predict(self, run: TestedRun) -> pd.DataFrame:
        """Score every test film.

        Returns:
            A row a film; `targets` are (K,) 1, 0 or -1 (unknown), `scores` (K,) logits.
        """
        import pandas as pd

        known = run.labelled()
        task = {"task": self.task, "space": self.space, "labels": self.names, "share": known.share, "draw": known.draw}
        rows: list[dict[str, Any]] = []
        for name, films in test_sets(run, self.sets).items():
            scores, targets = run.head_scores(films.pooled), films.labels[self.space]  # (N, K) both
            for n, (row, one) in enumerate(zip(films.rows, films.records, strict=True)):
                where = {"set": name, "row": row, "source": one.source, "patient": one.patient, "study": one.study}
                said = {"targets": targets[n].tolist(), "scores": scores[n].tolist()}
                rows.append({**where, **task, "labelled": known.patients, **said})
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def score(self, table: pd.DataFrame) -> list[Score]:
        """See `cells_of`; with patient intervals."""
        return scores_of(cells_of(table), self.resamples)


def cells_of(table: pd.DataFrame) -> dict[str, Cell]:
    """The cells of every task, share and test set, mean over draws.

    Of findings the mean AUROC by film and by study (a study's score is the mean over its films, as in Rajpurkar et al.
    2018, "MURA"), and where there are several the AUROC of each; of classes the accuracy, mean over classes.
    """
    cells: dict[str, Cell] = {}
    for key, part in table.groupby(["task", "share", "set"], sort=False):
        task, share, name = cast(tuple[str, float, str], key)
        draws = [one.sort_values("row") for _, one in part.groupby("draw")]
        cell = f"fine_tuned/{task}/{100 * share:g}/{name}"
        if part["space"].iloc[0] == "class":
            cells[cell] = _accuracy(draws)
            continue
        cells[cell] = mean_statistic(draws)
        cells[f"{cell}/by_study"] = mean_statistic([of_studies(one) for one in draws])
        names = part["labels"].iloc[0]
        for k, label in enumerate(names if len(names) > 1 else ()):
            cells[f"{cell}/{label}"] = mean_statistic([of_labels(one, [k]) for one in draws])
    return cells


def _accuracy(draws: Sequence[pd.DataFrame]) -> Cell:
    """Accuracy, mean over classes and draws, of the films that have a class."""
    classes = class_numbers(np.array(draws[0]["targets"].to_list(), np.int8))
    known = classes >= 0
    right = np.mean([guesses(one["scores"].to_list())[known] == classes[known] for one in draws], axis=0)
    return Cell(partial(mean_accuracy, right, classes[known]), patients_of(draws[0])[known])
