"""A linear classifier on frozen features: what an encoder has learned, by how well a line tells labels apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.evaluation.base import Evaluator, Score, TestedRun, patients_of
from anatomy_clip.metrics.bootstrap import bootstrap_statistic
from anatomy_clip.metrics.classification import auroc, resampled_auroc
from anatomy_clip.stores.selection import first_patients

if TYPE_CHECKING:
    import pandas as pd

    from anatomy_clip.evaluation.embedded import EmbeddedSet

Floats = NDArray[np.float64]
COLUMNS = (  # a row a slice, share and draw
    "set", "row", "source", "patient", "share", "draw", "patients", "strength", "targets", "scores",
)  # fmt: skip


class LinearProbe(Evaluator):
    """One logistic regression a label on the encoder's pooled features, before any head.

    Training slices are seen without augmentation. The penalty is chosen on the validation sets, out of a fixed list, by
    the mean AUROC; the test sets are scored once.

    Args:
        taxonomy: organs and stations.
        space: label space.
        shares: shares of the training patients whose labels are used, each within the next.
        draws: draws of the patients of every share below 1, averaged in the scores.
        strengths: inverse penalties (scikit-learn's C) to choose from.
        resamples: bootstrap resamples of patients.
    """

    def __init__(
        self,
        taxonomy: Taxonomy,
        *,
        space: str = "organ",
        shares: Sequence[float] = (1.0,),
        draws: int = 1,
        strengths: Sequence[float] = (0.01, 0.1, 1.0),
        resamples: int = 1000,
    ) -> None:
        self.space = space
        self.shares = tuple(shares)
        self.draws = draws
        self.strengths = tuple(strengths)
        self.resamples = resamples

    def predict(self, run: TestedRun) -> pd.DataFrame:
        """Fit on each share of the training patients and score every test slice.

        Returns:
            A row a test slice, share and draw; `targets` are (K,) 1, 0 or -1 (unknown), `scores` (K,) log odds, NaN for
            labels that the share doesn't show or shows always.
        """
        import pandas as pd

        (train,) = run.sets("train").values()
        total = len(train.manifest.patients())
        rows: list[dict[str, Any]] = []
        for share in self.shares:
            count = max(1, round(share * total))
            for draw in range(self.draws if count < total else 1):
                chosen = np.array(first_patients(train.records, count, run.seed * self.draws + draw))
                known = {"share": share, "draw": draw, "patients": count}
                rows += self._of_share(run, train, chosen, known)
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def _of_share(
        self, run: TestedRun, train: EmbeddedSet, chosen: NDArray[np.int64], known: dict[str, Any]
    ) -> list[dict[str, Any]]:
        features, labels = _features(train)[chosen], train.labels[self.space][chosen]
        mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
        validation = list(run.sets("validation").values())
        if not validation:
            raise ValueError("linear_probe chooses its penalty on validation slices, but data.validation names no set")
        seen = np.concatenate([(_features(one) - mean) / spread for one in validation])
        truth = np.concatenate([one.labels[self.space] for one in validation])
        best, weights, strength = -np.inf, np.empty(0), self.strengths[0]
        for candidate in self.strengths:
            fitted = _fit((features - mean) / spread, labels, candidate)  # (W + 1, K)
            value = _mean_auroc(_logits(seen, fitted), truth)
            if value > best or not len(weights):
                best, weights, strength = value, fitted, candidate
        found = []
        for name, one in run.sets("test").items():
            scores = _logits((_features(one) - mean) / spread, weights)  # (N, K)
            for n, (row, record) in enumerate(zip(one.rows, one.records, strict=True)):
                where = {"set": name, "row": row, "source": record.source, "patient": record.patient}
                measured = {"targets": one.labels[self.space][n].tolist(), "scores": scores[n].tolist()}
                found.append({**where, **known, "strength": strength, **measured})
        return found

    def score(self, table: pd.DataFrame) -> list[Score]:
        """Mean AUROC over labels of every test set and share, mean over draws, with patient intervals."""
        cells = []
        for key, part in table.groupby(["set", "share"], sort=False):
            name, share = cast(tuple[str, float], key)
            draws = [one for _, one in part.groupby("draw", sort=False)]
            cells.append(mean_score(f"probe/{self.space}/{100 * share:g}/{name}", draws, self.resamples))
        return cells


def mean_score(cell: str, draws: Sequence[pd.DataFrame], resamples: int) -> Score:
    """Mean AUROC over labels of the same slices, mean over draws, of one run.

    `n` counts slices with a known label.

    Args:
        cell: the cell's name.
        draws: rows of one test set and share, a table a draw.
        resamples: bootstrap resamples of patients.
    """
    statistic, patients = mean_statistic(draws)
    value = float(statistic(np.ones((1, len(patients))))[0])
    interval = bootstrap_statistic(statistic, patients, resamples)
    return Score(cell, value, known_slices(draws[0]), interval.lo, interval.hi)


def known_slices(rows: pd.DataFrame) -> int:
    """Slices with a known label."""
    return int(_known(rows).sum())


def _known(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """(N,) the rows of which a label is known."""
    return np.array([max(labels) >= 0 for labels in rows["targets"]], dtype=np.bool_)


def mean_statistic(draws: Sequence[pd.DataFrame]) -> tuple[Callable[[Floats], Floats], NDArray[np.str_]]:
    """The mean AUROC over labels, mean over draws, as a function of how often each slice is taken.

    A label that a share of the patients doesn't show has no classifier, and counts as chance: else small shares would
    be measured on fewer, commoner labels.

    Args:
        draws: rows of one test set and share, a table a draw.

    Returns:
        From (R, N), how often each of R samples holds each of the N slices of which a label is known, to (R,) values,
        NaN where a sample has none; and (N,) the patient of each slice.
    """
    draws = [one.sort_values("row") for one in draws]
    arrays = [(np.nan_to_num(one["scores"].to_list()), np.array(one["targets"].to_list())) for one in draws]
    known = _known(draws[0])
    arrays = [(scores[known], targets[known]) for scores, targets in arrays]

    def statistic(counts: Floats) -> Floats:
        each = [_mean_resampled(*pair, counts) for pair in arrays]
        return np.asarray(np.mean(each, axis=0))

    return statistic, patients_of(draws[0])[known]


def _features(one: EmbeddedSet) -> Floats:
    """(N, W) pooled features."""
    return np.asarray(one.pooled.cpu().numpy(), np.float64)


def _fit(features: Floats, labels: NDArray[np.int8], strength: float) -> Floats:
    """Weights and bias, (W + 1, K), of each label by its known rows; NaN where they show it always or never."""
    from sklearn.linear_model import LogisticRegression

    weights = np.full((features.shape[1] + 1, labels.shape[1]), np.nan)
    for k in range(labels.shape[1]):
        known = labels[:, k] >= 0
        if len(np.unique(labels[known, k])) == 2:
            line = LogisticRegression(C=strength, solver="newton-cholesky").fit(features[known], labels[known, k])
            weights[:, k] = [*line.coef_[0], line.intercept_[0]]
    return weights


def _logits(features: Floats, weights: Floats) -> Floats:
    return np.asarray(features @ weights[:-1] + weights[-1])


def _mean_auroc(scores: Floats, targets: NDArray[np.int8]) -> float:
    """Mean over the labels that have a score, a positive and a negative; NaN where none has."""
    areas = [_auroc(scores[:, k], targets[:, k]) for k in range(scores.shape[1])]
    known = [area for area in areas if not np.isnan(area)]
    return float(np.mean(known)) if known else float("nan")


def _auroc(scores: Floats, targets: NDArray[np.int8]) -> float:
    known = targets >= 0
    if np.isnan(scores).any():
        return float("nan")
    return float(auroc(scores[known, None], targets[known, None] == 1).value[0])


def _mean_resampled(scores: Floats, targets: NDArray[np.int8], counts: Floats) -> Floats:
    """(R,) `_mean_auroc` in resamples."""
    areas = np.full((len(counts), scores.shape[1]), np.nan)
    for k in np.flatnonzero(~np.isnan(scores).any(axis=0)):
        known = targets[:, k] >= 0
        areas[:, k] = resampled_auroc(scores[known, k : k + 1], targets[known, k : k + 1] == 1, counts[:, known])[:, 0]
    found = ~np.isnan(areas)
    means = np.full(len(areas), np.nan)
    np.divide(areas.sum(axis=1, where=found), found.sum(axis=1), out=means, where=found.any(axis=1))
    return means
