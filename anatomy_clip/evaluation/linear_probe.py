"""A linear classifier on frozen features: it measures what an encoder has learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.anatomy.labels import LabelSet
from anatomy_clip.evaluation.base import Evaluator, Score, TestedRun, names_in, place_of, test_sets
from anatomy_clip.evaluation.cells import Cell, Floats, scores_of
from anatomy_clip.evaluation.label_scores import mean_auroc, mean_statistic, of_labels, of_studies
from anatomy_clip.stores.label_shares import draw_labels, patients_drawn
from anatomy_clip.stores.selection import first_patients

if TYPE_CHECKING:
    import pandas as pd

    from anatomy_clip.evaluation.embedded import EmbeddedSet

COLUMNS = (  # a row a slice, share and draw
    "set", "row", "source", "patient", "share", "draw", "patients", "strength", "targets", "scores",
)  # fmt: skip


class LinearProbe(Evaluator):
    """One logistic regression a label on the encoder's pooled features, before any head.

    Training slices are seen without augmentation. The penalty is chosen on the validation sets, out of a fixed list, by
    the mean AUROC; the test sets are scored once.

    Args:
        taxonomy: the labels.
        space: label space.
        shares: shares of the training patients whose labels are used, each within the next.
        draws: draws of the patients of every share below 1, averaged in the scores.
        strengths: inverse penalties (scikit-learn's C) to choose from.
        least_positives: each label is a task of its own, with cells of its own: its patients are drawn by themselves,
            and this many slices must show it, and not show it, see `draw_labels`. None: one draw of patients serves all
            labels.
        by_study: labels of which a study is the unit too: its score is the mean over its slices (Rajpurkar et al. 2018,
            "MURA"), and it shows what one of them shows.
        sets: names of the test sets; None: all.
        resamples: bootstrap resamples of patients.

    Raises:
        Refused: the taxonomy has no such label space.
    """

    def __init__(
        self,
        taxonomy: LabelSet,
        *,
        space: str = "organ",
        shares: Sequence[float] = (1.0,),
        draws: int = 1,
        strengths: Sequence[float] = (0.01, 0.1, 1.0),
        least_positives: int | None = None,
        by_study: Sequence[str] = (),
        sets: Sequence[str] | None = None,
        resamples: int = 1000,
    ) -> None:
        self.space = space
        self.names = names_in(taxonomy, space)
        self.shares = tuple(shares)
        self.draws = draws
        self.strengths = tuple(strengths)
        self.least_positives = least_positives
        self.by_study = {label: place_of(label, self.names) for label in by_study}
        self.sets = sets
        self.resamples = resamples

    def predict(self, run: TestedRun) -> pd.DataFrame:
        """Fit on each share of the training patients and score every test slice.

        Returns:
            A row a test slice, share and draw; `targets` are (K,) 1, 0 or -1 (unknown), `scores` (K,) log odds, NaN for
            labels that the share doesn't show or shows always. Where each label is a task of its own, `labelled` are
            the (K,) patients that each was fitted on, and `patients` is their mean.
        """
        import pandas as pd

        (train,) = run.sets("train").values()
        total = len(train.manifest.patients())
        rows: list[dict[str, Any]] = []
        for share in self.shares:
            count = max(1, round(share * total))
            for draw in range(self.draws if count < total else 1):
                drawn = self._drawn(train, share, count, run.seed, draw)
                known: dict[str, Any] = {"share": share, "draw": draw, "patients": count}
                if self.least_positives is not None:
                    labelled = patients_drawn(train.records.owners(), drawn)
                    known |= {"patients": round(np.mean(labelled)), "labelled": labelled}
                rows += self._of_share(run, train, drawn, known)
        return pd.DataFrame(rows) if rows else pd.DataFrame(columns=list(COLUMNS))

    def _drawn(self, train: EmbeddedSet, share: float, count: int, seed: int, draw: int) -> NDArray[np.bool_]:
        """(N, K) training slices that may be used for each label: of so many patients, or of the share by label."""
        labels = train.labels[self.space]
        if self.least_positives is None:
            drawn = np.zeros(labels.shape, np.bool_)
            drawn[first_patients(train.records, count, seed * self.draws + draw)] = True
            return drawn
        return draw_labels(train.records.owners(), labels, share, self.least_positives, seed, draw)

    def of_first_draw(self, run: TestedRun) -> Floats:
        """The probe of the first share's first draw: (W + 1, K) weights and bias, see `logits`."""
        (train,) = run.sets("train").values()
        share = self.shares[0]
        count = max(1, round(share * len(train.manifest.patients())))
        return self._fitted(run, train, self._drawn(train, share, count, run.seed, 0))[1]

    def _fitted(self, run: TestedRun, train: EmbeddedSet, drawn: NDArray[np.bool_]) -> tuple[float, Floats]:
        """The strength that is best on the validation sets, and the (W + 1, K) weights and bias that it gives."""
        features, labels = features_of(train), train.labels[self.space]
        validation = list(run.sets("validation").values())
        if not validation:
            raise ValueError("linear_probe chooses its penalty on validation slices, but data.validation has no set")
        seen = np.concatenate([features_of(one) for one in validation])
        truth = np.concatenate([one.labels[self.space] for one in validation])
        fits = {one: fit_labels(features, labels, drawn, one) for one in self.strengths}  # (W + 1, K) each
        values = {strength: mean_auroc(logits(seen, weights), truth) for strength, weights in fits.items()}
        strength = max(fits, key=lambda one: np.nan_to_num(values[one], nan=-np.inf))  # the first of equals
        return strength, fits[strength]

    def _of_share(
        self, run: TestedRun, train: EmbeddedSet, drawn: NDArray[np.bool_], known: dict[str, Any]
    ) -> list[dict[str, Any]]:
        strength, weights = self._fitted(run, train, drawn)
        found = []
        for name, one in test_sets(run, self.sets).items():
            scores = logits(features_of(one), weights)  # (N, K)
            for n, (row, record) in enumerate(zip(one.rows, one.records, strict=True)):
                where = {"set": name, "row": row, "source": record.source, "patient": record.patient}
                if self.by_study:
                    where["study"] = record.study
                measured = {"targets": one.labels[self.space][n].tolist(), "scores": scores[n].tolist()}
                found.append({**where, **known, "strength": strength, **measured})
        return found

    def score(self, table: pd.DataFrame) -> list[Score]:
        """See `cells_of`; with patient intervals."""
        return scores_of(cells_of(table, self.space, self.names, tuple(self.by_study)), self.resamples)


def cells_of(table: pd.DataFrame, space: str, names: Sequence[str], by_study: Sequence[str] = ()) -> dict[str, Cell]:
    """Mean AUROC over labels of every test set and share, mean over draws; of each label where it is a task of its own.

    Args:
        table: rows as `LinearProbe.predict` leaves them.
        space: their label space.
        names: its labels.
        by_study: labels of which a study is the unit too.
    """
    cells = {}
    for key, part in table.groupby(["set", "share"], sort=False):
        name, share = cast(tuple[str, float], key)
        draws = [one for _, one in part.groupby("draw", sort=False)]
        cell = f"probe/{space}/{100 * share:g}/{name}"
        cells[cell] = mean_statistic(draws)
        for k, label in enumerate(names if "labelled" in part else ()):
            cells[f"{cell}/{label}"] = mean_statistic([of_labels(one, [k]) for one in draws])
        for label in by_study:
            studies = [of_studies(of_labels(one, [list(names).index(label)])) for one in draws]
            cells[f"{cell}/{label}_by_study"] = mean_statistic(studies)
    return cells


def features_of(one: EmbeddedSet) -> Floats:
    """(N, W) pooled features."""
    return np.asarray(one.pooled.cpu().numpy(), np.float64)


def fit_labels(features: Floats, labels: NDArray[np.int8], drawn: NDArray[np.bool_], strength: float) -> Floats:
    """Weights and bias of each label by its drawn rows, on features standardised by them.

    Args:
        features: (N, W).
        labels: (N, K) 1 shown, 0 not, -1 unknown.
        drawn: (N, K) rows that may be used for each label.
        strength: inverse penalty.

    Returns:
        (W + 1, K) for features as they are; NaN for labels that the known rows show always or never.
    """
    from sklearn.linear_model import LogisticRegression

    weights = np.full((features.shape[1] + 1, labels.shape[1]), np.nan)
    for k in range(labels.shape[1]):
        x, y = features[drawn[:, k]], labels[drawn[:, k], k]
        known = y >= 0
        if len(np.unique(y[known])) == 2:
            mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
            fitted = LogisticRegression(C=strength, solver="newton-cholesky").fit((x[known] - mean) / spread, y[known])
            slopes = fitted.coef_[0] / spread
            weights[:, k] = [*slopes, fitted.intercept_[0] - slopes @ mean]
    return weights


def fit_classes(features: Floats, classes: NDArray[np.int8], drawn: NDArray[np.bool_], strength: float) -> Floats:
    """Weights and bias of a softmax over classes, as `fit_labels` of binary labels; all classes weigh the same.

    Args:
        features: (N, W).
        classes: (N,) from 0, of which the drawn rows show each.
        drawn: (N,) rows that may be used.
        strength: inverse penalty.

    Returns:
        (W + 1, C) for features as they are.
    """
    from sklearn.linear_model import LogisticRegression

    mean, spread = features[drawn].mean(axis=0), features[drawn].std(axis=0) + 1e-6
    fitted = LogisticRegression(C=strength, class_weight="balanced", max_iter=10_000)
    fitted.fit((features[drawn] - mean) / spread, classes[drawn])
    slopes = fitted.coef_.T / spread[:, None]
    return np.vstack([slopes, fitted.intercept_ - mean @ slopes])


def logits(features: Floats, weights: Floats) -> Floats:
    """(N, W) features, (W + 1, K) weights and bias -> (N, K)."""
    return np.asarray(features @ weights[:-1] + weights[-1])
