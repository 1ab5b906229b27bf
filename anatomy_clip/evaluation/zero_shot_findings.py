"""Zero-shot findings: whether an image is nearer to prompts that name a finding than to sentences that deny it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.anatomy.labels import LabelSet
from anatomy_clip.core.refusals import Refused
from anatomy_clip.evaluation.base import Evaluator, Score, TestedRun, names_in, patients_of, test_sets
from anatomy_clip.evaluation.cells import Cell, Floats, scores_of
from anatomy_clip.evaluation.label_scores import mean_statistic, nan_mean, of_labels
from anatomy_clip.metrics.multilabel import best_threshold
from anatomy_clip.text.finding_prompts import finding_prompts

if TYPE_CHECKING:
    import pandas as pd

    from anatomy_clip.evaluation.embedded import EmbeddedSet

COLUMNS = (  # a row a film and way to compare
    "set", "row", "source", "patient", "way", "targets", "scores", "named",
)  # fmt: skip
_SPACE = "finding"


class Scored(NamedTuple):
    """A set's scores by one way to compare.

    Attributes:
        scores: (N, F).
        targets: (N, F) 1 shown, 0 not, -1 unknown.
    """

    scores: Floats
    targets: NDArray[np.int8]


class ZeroShotFindings(Evaluator):
    """Scores each finding of each film by prompts (Huang et al. 2021, GLoRIA, section 4.4), each film alone.

    A score is the similarity of the present prompt that fits best, less that of the absent sentence that fits best.
    What lifts an image's similarity with all texts alike cancels out of the difference; from the present prompts alone
    it would pass for a finding.

    Args:
        taxonomy: the findings.
        set_wise: as GLoRIA's code, standardise the scores of each finding over the films of a set. Then one film can't
            be scored alone, and what is said of it depends on the others. AUROC stays the same.
        sets: names of the test sets; None: all.
        resamples: bootstrap resamples of patients.
    """

    compares = True

    def __init__(
        self, taxonomy: LabelSet, *, set_wise: bool = False, sets: Sequence[str] | None = None, resamples: int = 1000
    ) -> None:
        self.prompts = finding_prompts(names_in(taxonomy, _SPACE))
        self.set_wise = set_wise
        self.sets = sets
        self.resamples = resamples

    def predict(self, run: TestedRun) -> pd.DataFrame:
        """Score the films of the test sets.

        Returns:
            A row a film and way to compare; `targets` (F,) 1, 0 or -1 (unknown), `scores` (F,), and `named` (F,) 1
            where the score reaches the threshold of best F1 on the validation films, else 0; -1 for findings that those
            don't show.

        Raises:
            Refused: there is no validation set to choose thresholds on.
        """
        import pandas as pd

        validation = [self._scored(run, one) for one in run.sets("validation").values()]
        if not validation:
            raise Refused("zero-shot findings: data.validation has no set to choose thresholds on", "add a set")
        thresholds = {way: _thresholds([one[way] for one in validation]) for way in validation[0]}
        rows: list[dict[str, Any]] = []
        for name, films in test_sets(run, self.sets).items():
            where = [
                {"set": name, "row": row, "source": record.source, "patient": record.patient}
                for row, record in zip(films.rows, films.records, strict=True)
            ]
            for way, (scores, targets) in self._scored(run, films).items():
                named = np.where(np.isnan(thresholds[way]), -1, scores >= thresholds[way]).astype(int)
                measured = zip(targets.tolist(), scores.tolist(), named.tolist(), strict=True)
                rows += [
                    {**known, "way": way, "targets": shown, "scores": values, "named": says}
                    for known, (shown, values, says) in zip(where, measured, strict=True)
                ]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def _scored(self, run: TestedRun, films: EmbeddedSet) -> dict[str, Scored]:
        """Way to compare -> the scores of a set."""
        present, absent = (
            self._best(run, films, {name: one[n] for name, one in self.prompts.items()}) for n in range(2)
        )
        scores = {way: present[way] - absent[way] for way in present}
        if self.set_wise:
            scores = {way: (one - one.mean(axis=0)) / (one.std(axis=0) + 1e-12) for way, one in scores.items()}
        return {way: Scored(one, films.labels[_SPACE]) for way, one in scores.items()}

    def _best(self, run: TestedRun, films: EmbeddedSet, texts: Mapping[str, Sequence[str]]) -> dict[str, Floats]:
        """(N, F) similarity of the text of each finding that fits best."""
        flat = [text for of_finding in texts.values() for text in of_finding]
        found = run.compare(films.compared, run.embed_texts(flat))  # (N, all texts)
        starts = np.cumsum([0, *(len(of_finding) for of_finding in texts.values())])[:-1]
        return {way: np.maximum.reduceat(similar, starts, axis=1) for way, similar in found.items()}

    def score(self, table: pd.DataFrame) -> list[Score]:
        """See `cells_of`; with patient intervals."""
        return scores_of(cells_of(table, list(self.prompts)), self.resamples)


def cells_of(table: pd.DataFrame, findings: Sequence[str]) -> dict[str, Cell]:
    """AUROC and F1, mean over findings and of each, of every test set and way to compare."""
    cells = {}
    for key, part in table.groupby(["set", "way"], sort=False):
        name, way = cast(tuple[str, str], key)
        for measure, statistic in {"auroc": _auroc, "f1": _f1}.items():
            cell = f"zero_shot/{way}/{measure}/{name}"
            cells[cell] = statistic(part)
            for k, finding in enumerate(findings):
                cells[f"{cell}/{finding}"] = statistic(of_labels(part, [k], ("targets", "scores", "named")))
    return cells


def _thresholds(sets: Sequence[Scored]) -> Floats:
    """(F,) of best F1 over the films of the sets; NaN for a finding that none shows."""
    scores, targets = (np.concatenate(parts) for parts in zip(*sets, strict=True))
    found = np.full(scores.shape[1], np.nan)
    for k in np.flatnonzero((targets == 1).any(axis=0)):
        known = targets[:, k] >= 0
        found[k] = best_threshold(scores[known, k], targets[known, k] == 1)
    return found


def _auroc(rows: pd.DataFrame) -> Cell:
    return mean_statistic([rows])


def _f1(rows: pd.DataFrame) -> Cell:
    """Mean F1 over the findings that have a threshold and are shown or named; unknown ones have no part."""
    targets, named = (np.array(rows[key].to_list()) for key in ("targets", "named"))
    counted = (targets >= 0) & (named >= 0)  # (N, F)
    kept = counted.any(axis=1)
    right, either = (counted & (targets == 1) & (named == 1)), (counted * ((targets == 1) * 1.0 + (named == 1)))

    def statistic(counts: Floats) -> Floats:
        hits, both = counts @ right[kept], counts @ either[kept]  # (R, F)
        return nan_mean(np.divide(2 * hits, both, out=np.full(both.shape, np.nan), where=both > 0))

    return Cell(statistic, patients_of(rows)[kept])
