"""Naming organs and stations, scored as the mean over patients: by modality, station and source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from anatomy_clip.anatomy.labels import shown_names
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.terms import Modality
from anatomy_clip.evaluation.base import HELD_OUT, Evaluator, Score, TestedRun, left_out, patients_of, similarity
from anatomy_clip.evaluation.cells import Cell, Floats, mean_over_patients, scores_of
from anatomy_clip.text.class_prompts import EvaluationPrompts

if TYPE_CHECKING:
    import pandas as pd

    from anatomy_clip.evaluation.embedded import EmbeddedSet

Scorer: TypeAlias = "Callable[[EmbeddedSet], dict[str, Floats]]"  # a set -> (N, K) scores of the labels of each kind
KINDS = ("organ", "station")
COLUMNS = (  # a row a slice; *_right: 1, 0, or NaN where no label is known
    "set", "row", "source", "patient", "modality", "orientation",
    *(f"{kind}_{what}" for kind in KINDS for what in ("shown", "named", "right")),
)  # fmt: skip
_WHOLE = ("", *(f"/{one.value}" for one in Modality))  # parts of a set: all slices, and by modality


class ByPatient(Evaluator):
    """Names organs and stations as `ZeroShot` does (Kakkar et al., eqs. 2 to 4), each patient counting once.

    A label that a slice leaves open is left out of that slice's ranking.

    Args:
        prompts: makes the evaluation prompts of the labels; None: labels are scored in another way, see `_scorer`.
        taxonomy: the labels.
        sets: names of the test sets.
        resamples: bootstrap resamples of patients.
    """

    compares = True

    def __init__(
        self, prompts: EvaluationPrompts | None, taxonomy: Taxonomy, *, sets: Sequence[str], resamples: int = 1000
    ) -> None:
        self.taxonomy = taxonomy
        self.prompts = prompts.texts(taxonomy) if prompts else {}
        self.labels = {"organ": taxonomy.organs, "station": taxonomy.stations}
        self.sets, self.resamples = tuple(sets), resamples

    def predict(self, run: TestedRun) -> pd.DataFrame:
        """Name every slice of the sets; columns as `COLUMNS`."""
        import pandas as pd

        tests, scorer = run.sets("test"), self._scorer(run)
        rows = [row for name in self.sets if name in tests for row in self._of_set(scorer, name, tests[name])]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def _of_set(self, scorer: Scorer, name: str, shown: EmbeddedSet) -> Iterator[dict[str, Any]]:
        scores = scorer(shown)
        for n, (row, record) in enumerate(zip(shown.rows, shown.records, strict=True)):
            known: dict[str, Any] = {
                key: str(getattr(record, key)) for key in ("source", "patient", "modality", "orientation")
            }
            for kind, names in self.labels.items():
                labels = shown.labels[kind][n]
                best = int(np.where(labels < 0, -np.inf, scores[kind][n]).argmax())
                known |= {
                    f"{kind}_shown": list(shown_names(labels, names)),
                    f"{kind}_named": names[best],
                    f"{kind}_right": float(labels[best] == 1) if (labels == 1).any() else float("nan"),
                }
            yield {"set": name, "row": row, **known}

    def _scorer(self, run: TestedRun) -> Scorer:
        """What scores a set's slices, made once for all sets."""
        classes = {kind: run.embed_classes(self.prompts[kind]) for kind in KINDS}
        return lambda shown: {kind: similarity(run, shown.compared, classes[kind]) for kind in KINDS}

    def choose(self, run: TestedRun, folder: Path) -> list[str]:
        """Nothing is chosen; say which sets aren't there."""
        return [f"by_patient: there is no test set {name}" for name in self.sets if name not in run.sets("test")]

    def score(self, table: pd.DataFrame) -> list[Score]:
        """See `cells_of`; with patient intervals."""
        return scores_of(cells_of(table), self.resamples)


def cells_of(table: pd.DataFrame) -> dict[str, Cell]:
    """Hit@1, mean over patients, of every set: of all slices, by modality, by what they show, and by source.

    A slice that shows several labels has a part in each. `constant` is the most that one answer to all slices gets.
    """
    cells: dict[str, Cell] = {}
    for name, rows in table.groupby("set", sort=False):
        for kind in KINDS:
            known = rows[rows[f"{kind}_right"].notna()]
            parts = {"": known} | {f"/{one}": part for one, part in known.groupby("modality")}
            for label in _labels(known[f"{kind}_shown"]):
                with_it = known[[label in shown for shown in known[f"{kind}_shown"]]]
                parts |= {f"/{label}/{one}": part for one, part in with_it.groupby("modality")}
            parts |= {f"/{one}/{m}": part for (one, m), part in known.groupby(["source", "modality"])}
            cells |= {f"{kind}/{name}{part}": _mean(of, of[f"{kind}_right"]) for part, of in parts.items()}
            cells |= {
                f"{kind}/{name}{part}/constant": _constant(parts[part], f"{kind}_shown")
                for part in _WHOLE if part in parts
            }  # fmt: skip
    return cells


def of_folds(runs: Iterable[Path], resamples: int) -> list[Score]:
    """What the runs of a cross-validation together got on the slices that each left out: of all, and by modality.

    Args:
        runs: their folders; a run without rows of this evaluator has no part.
        resamples: bootstrap resamples of patients.
    """
    import pandas as pd

    tables = left_out(runs, "by_patient.parquet")
    if not tables:
        return []
    cells = cells_of(pd.concat(tables, ignore_index=True))
    names = [f"{kind}/{HELD_OUT}{part}" for kind in KINDS for part in _WHOLE]
    return scores_of({name: cells[name] for name in names if name in cells}, resamples)


def _mean(rows: pd.DataFrame, values: Any) -> Cell:
    return mean_over_patients(np.asarray(values, np.float64), patients_of(rows))


def _constant(rows: pd.DataFrame, column: str) -> Cell:
    """The best of the cells of always giving one answer."""
    cells = [_mean(rows, [label in shown for shown in rows[column]]) for label in _labels(rows[column])]
    return max(cells, key=lambda cell: cell.value, default=_mean(rows, []))


def _labels(shown: Iterable[Sequence[str]]) -> list[str]:
    """All labels that slices show."""
    return sorted({label for one in shown for label in one})
