"""A linear classifier on frozen features, cross-validated by patient: for a set that has no training films."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.anatomy.labels import LabelSet
from anatomy_clip.evaluation.base import Evaluator, Score, TestedRun, names_in
from anatomy_clip.evaluation.cells import Cell, scores_of
from anatomy_clip.evaluation.label_scores import mean_statistic, of_labels
from anatomy_clip.evaluation.linear_probe import features_of, fit_labels, logits

if TYPE_CHECKING:
    import pandas as pd

    from anatomy_clip.evaluation.embedded import EmbeddedSet

COLUMNS = ("set", "row", "source", "patient", "targets", "scores")  # a row a film
_SPACE = "finding"


class FoldsProbe(Evaluator):
    """One logistic regression a finding and fold, on the encoder's pooled features.

    A patient is scored by a fit that never saw them. Nothing is chosen: the penalty and the folds are given. So a small
    set of real films will do.

    Args:
        taxonomy: the findings.
        sets: names of test sets; one that isn't there is left out, see `choose`.
        strength: inverse penalty (scikit-learn's C).
        folds: of patients, see `folds_of`.
        least_patients: patients who show a finding, and as many who don't; it is left out of a set with fewer.
        seed: of the folds. Every column and training has the same.
        resamples: bootstrap resamples of patients.

    Raises:
        ValueError: fewer than two folds, or more folds than `least_patients`.
    """

    def __init__(
        self,
        taxonomy: LabelSet,
        *,
        sets: Sequence[str],
        strength: float = 0.01,
        folds: int = 5,
        least_patients: int = 10,
        seed: int = 0,
        resamples: int = 1000,
    ) -> None:
        if not 2 <= folds <= least_patients:
            raise ValueError(f"eval: folds={folds} must be from 2 to least_patients={least_patients}")
        self.names = names_in(taxonomy, _SPACE)
        self.sets, self.strength, self.folds, self.seed = tuple(sets), strength, folds, seed
        self.least_patients, self.resamples = least_patients, resamples

    def predict(self, run: TestedRun) -> pd.DataFrame:
        """Score every film of the sets.

        Returns:
            A row a film; `targets` are (F,) 1, 0 or -1 (unknown), `scores` (F,) log odds by the fit without the film's
            patient, NaN for findings that are left out.
        """
        import pandas as pd

        tests = run.sets("test")
        rows = [row for name in self.sets if name in tests for row in self._of_set(name, tests[name])]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def _of_set(self, name: str, films: EmbeddedSet) -> list[dict[str, Any]]:
        features, labels, owners = features_of(films), films.labels[_SPACE], films.records.owners()
        each = [folds_of(owners, label, self.folds, self.least_patients, self.seed) for label in labels.T]
        folds = np.stack(each, axis=1)  # (N, F)
        scores = np.full(labels.shape, np.nan)
        for fold in range(self.folds):
            weights = fit_labels(features, labels, (folds >= 0) & (folds != fold), self.strength)
            scores = np.where(folds == fold, logits(features, weights), scores)
        measured = zip(films.rows, films.records, labels.tolist(), scores.tolist(), strict=True)
        return [
            {"set": name, "row": row, "source": record.source, "patient": record.patient, "targets": t, "scores": s}
            for row, record, t, s in measured
        ]

    def choose(self, run: TestedRun, folder: Path) -> list[str]:
        """Nothing is chosen; say which sets aren't there."""
        return [f"folds_probe: there is no test set {name}" for name in self.sets if name not in run.sets("test")]

    def score(self, table: pd.DataFrame) -> list[Score]:
        """See `cells_of`; with patient intervals."""
        return scores_of(cells_of(table, self.names), self.resamples)


def cells_of(table: pd.DataFrame, findings: Sequence[str]) -> dict[str, Cell]:
    """AUROC over the scores of all folds, mean over the findings that were scored and of each, of every set."""
    cells = {}
    for name, part in table.groupby("set", sort=False):
        scored = np.flatnonzero(~np.isnan(np.array(part["scores"].to_list())).all(axis=0)).tolist()
        if scored:
            cells[f"real_films/{name}"] = mean_statistic([of_labels(part, scored)])
        for k in scored:
            cells[f"real_films/{name}/{findings[k]}"] = mean_statistic([of_labels(part, [k])])
    return cells


def folds_of(
    owners: Sequence[tuple[str, str]], labels: NDArray[np.int8], folds: int, least: int, seed: int
) -> NDArray[np.int64]:
    """Deal the patients of one finding into folds: those who show it evenly, then those who don't.

    Args:
        owners: (N,) source and patient of each film.
        labels: (N,) 1 shown, 0 not shown, -1 unknown.
        folds: how many.
        least: patients who show it, and who don't; with fewer there are no folds.
        seed: another seed deals otherwise.

    Returns:
        (N,) from 0; -1 for films of which the finding isn't known, and for all where there are no folds.
    """
    shows: dict[tuple[str, str], bool] = {}
    for owner, label in zip(owners, labels.tolist(), strict=True):
        if label >= 0:
            shows[owner] = shows.get(owner, False) or label == 1
    positive = sum(shows.values())
    if min(positive, len(shows) - positive) < least:
        return np.full(len(labels), -1)
    order = sorted(shows, key=lambda owner: (not shows[owner], sha256(repr((seed, owner)).encode()).digest()))
    fold = {owner: n % folds for n, owner in enumerate(order)}
    return np.array([fold[owner] if label >= 0 else -1 for owner, label in zip(owners, labels.tolist(), strict=True)])
