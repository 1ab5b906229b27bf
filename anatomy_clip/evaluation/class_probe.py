"""A linear classifier of exclusive classes on frozen features: accuracy, as of COVIDx."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomy_clip.anatomy.classes import class_of
from anatomy_clip.anatomy.labels import LabelSet
from anatomy_clip.core.refusals import Refused
from anatomy_clip.evaluation.base import (
    Evaluator,
    Score,
    TestedRun,
    names_in,
    patients_of,
    place_of,
    test_sets,
)
from anatomy_clip.evaluation.cells import Cell, Floats, scores_of
from anatomy_clip.evaluation.label_scores import nan_mean
from anatomy_clip.evaluation.linear_probe import features_of, fit_classes, logits
from anatomy_clip.stores.label_shares import draw_share, patients_drawn
from anatomy_clip.text.reports.labeller import NO_FINDING

if TYPE_CHECKING:
    import pandas as pd

    from anatomy_clip.evaluation.embedded import EmbeddedSet

COLUMNS = (  # a row a film, share and draw
    "set", "row", "source", "patient", "share", "draw", "labelled", "strength", "target", "scores",
)  # fmt: skip


class ClassProbe(Evaluator):
    """Tells apart films that show one of several classes and no other, by a softmax on the encoder's pooled features.

    All classes weigh the same, in the fit and in the accuracy. The penalty is chosen on the validation sets, out of a
    fixed list, by the accuracy; the test sets are scored once.

    Args:
        taxonomy: the findings.
        classes: findings, "no_finding" too.
        shares: shares of the patients with a film of a class, each within the next, see `draw_share`.
        draws: draws of the patients of every share below 1, averaged in the scores.
        strengths: inverse penalties (scikit-learn's C) to choose from.
        least: films of each class that a share must have.
        sets: names of the test sets; None: all.
        resamples: bootstrap resamples of patients.

    Raises:
        Refused: a class is no finding.
    """

    def __init__(
        self,
        taxonomy: LabelSet,
        *,
        classes: Sequence[str],
        shares: Sequence[float] = (1.0,),
        draws: int = 1,
        strengths: Sequence[float] = (0.01, 0.1, 1.0),
        least: int = 10,
        sets: Sequence[str] | None = None,
        resamples: int = 1000,
    ) -> None:
        known = (*names_in(taxonomy, "finding"), NO_FINDING)
        for name in classes:
            place_of(name, known)
        self.classes, self.shares, self.draws, self.strengths = tuple(classes), tuple(shares), draws, tuple(strengths)
        self.least, self.sets, self.resamples = least, sets, resamples

    def predict(self, run: TestedRun) -> pd.DataFrame:
        """Fit on each share of the training patients and score the test films of the classes.

        Returns:
            A row a film, share and draw; `target` its class, `scores` (C,) logits.

        Raises:
            Refused: training shows a class nowhere, or there is no validation set.
        """
        import pandas as pd

        (train,) = run.sets("train").values()
        labels, owners = self._labels(train), train.records.owners()
        if missing := [name for n, name in enumerate(self.classes) if not (labels == n).any()]:
            raise Refused(f"eval: no training film shows {missing[0]} and no other class", "leave out the class")
        rows: list[dict[str, Any]] = []
        for share in self.shares:
            for draw in range(self.draws if share < 1 else 1):
                drawn = draw_share(owners, labels, share, self.least, run.seed, draw)
                strength, weights = self._fit(run, train, labels, drawn)
                [labelled] = patients_drawn(owners, drawn[:, None])
                known = {"share": share, "draw": draw, "labelled": labelled, "strength": strength}
                for name, films in test_sets(run, self.sets).items():
                    rows += self._rows(name, films, weights, known)
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def _fit(
        self, run: TestedRun, train: EmbeddedSet, labels: NDArray[np.int8], drawn: NDArray[np.bool_]
    ) -> tuple[float, Floats]:
        """The strength that is best on validation, and its weights."""
        validation = list(run.sets("validation").values())
        if not validation:
            raise Refused(
                "class_probe chooses its penalty on validation films, but data.validation has no set", "name one"
            )
        seen = np.concatenate([features_of(one) for one in validation])
        truth = np.concatenate([self._labels(one) for one in validation])
        seen, truth = seen[truth >= 0], truth[truth >= 0]
        fits = {strength: fit_classes(features_of(train), labels, drawn, strength) for strength in self.strengths}
        one = np.ones((1, len(truth)))
        values = {
            strength: mean_accuracy(guesses(logits(seen, weights)) == truth, truth, one)[0]
            for strength, weights in fits.items()
        }
        best = max(fits, key=lambda one: np.nan_to_num(values[one], nan=-np.inf))  # the first of equals
        return best, fits[best]

    def _labels(self, films: EmbeddedSet) -> NDArray[np.int8]:
        """(N,) the class that each film shows; -1 where it shows none or another too."""
        return np.array([class_of(one, self.classes) for one in films.records], dtype=np.int8)

    def _rows(self, name: str, films: EmbeddedSet, weights: Floats, known: dict[str, Any]) -> list[dict[str, Any]]:
        scores, labels = logits(features_of(films), weights), self._labels(films)
        where = zip(films.rows, films.records, strict=True)
        return [
            {"set": name, "row": row, "source": one.source, "patient": one.patient, **known,
             "target": int(labels[n]), "scores": scores[n].tolist()}
            for n, (row, one) in enumerate(where) if labels[n] >= 0
        ]  # fmt: skip

    def score(self, table: pd.DataFrame) -> list[Score]:
        """See `cells_of`; with patient intervals."""
        return scores_of(cells_of(table), self.resamples)


def cells_of(table: pd.DataFrame) -> dict[str, Cell]:
    """Accuracy of every test set and share, mean over classes and draws."""
    cells = {}
    for key, part in table.groupby(["set", "share"], sort=False):
        name, share = cast(tuple[str, float], key)
        draws = [one.sort_values("row") for _, one in part.groupby("draw")]
        truth = draws[0]["target"].to_numpy()
        right = np.mean([guesses(one["scores"].to_list()) == truth for one in draws], axis=0)
        cells[f"classes/accuracy/{100 * share:g}/{name}"] = Cell(
            partial(mean_accuracy, right, truth), patients_of(draws[0])
        )
    return cells


def guesses(scores: Sequence[Sequence[float]] | Floats) -> NDArray[np.int64]:
    """(N, C) scores -> (N,) the class of the highest."""
    return np.asarray(np.asarray(scores).argmax(axis=1))


def mean_accuracy(right: ArrayLike, classes: ArrayLike, counts: Floats) -> Floats:
    """Accuracy of each class, mean over classes: what accuracy would be with as many films of each, as in COVIDx.

    Args:
        right: (N,) 1 where the guess is right, else 0, or the mean of that over draws.
        classes: (N,) class of each film.
        counts: (R, N) how often each of R samples holds each film.

    Returns:
        (R,) 0 to 1; a class that a sample doesn't hold has no part.
    """
    _, of = np.unique(np.asarray(classes), return_inverse=True)
    of_class = np.eye(of.max(initial=-1) + 1)[of]  # (N, C)
    films, hits = counts @ of_class, (counts * np.asarray(right)) @ of_class  # (R, C)
    return nan_mean(np.divide(hits, films, out=np.full(films.shape, np.nan), where=films > 0))
