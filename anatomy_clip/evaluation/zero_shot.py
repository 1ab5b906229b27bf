"""Zero-shot naming of organs and stations: similarity with prompts, hit@1 against the slice's target set."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from anatomy_clip.anatomy.labels import Labels, are_stated, shown_names, unsure_names
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.files import write_text
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.refusals import Refused
from anatomy_clip.core.terms import Modality
from anatomy_clip.evaluation.base import (
    DECISIONS,
    VALIDATION,
    ZERO_SHOT,
    Evaluator,
    Score,
    TestedRun,
    left_out,
    patients_of,
    score_of,
    scores_and_targets,
    similarity,
    stated,
    unsure_in,
    write_rows,
)
from anatomy_clip.evaluation.embedded import EmbeddedSet
from anatomy_clip.inference.decisions import choose
from anatomy_clip.metrics.classification import hits
from anatomy_clip.text.class_prompts import EvaluationPrompts

if TYPE_CHECKING:
    import pandas as pd


class ZeroShot(Evaluator):
    """Names organs and stations independently (Kakkar et al., eqs. 2 to 4).

    Args:
        prompts: makes the evaluation prompts of the labels.
        taxonomy: the labels.
        label_prior: add what each label's share of the training slices says to its cosines, see `prior_offsets`; the
            paper doesn't.
        chosen_on: thresholds are chosen on test slices of other runs in place of the validation sets: those of a
            cross-validation, whose folds each left these slices out. A pattern of runs' folders from the folder of all
            suites; the validation sets: None.
        resamples: bootstrap resamples of patients.
    """

    compares = True

    def __init__(
        self,
        prompts: EvaluationPrompts,
        taxonomy: Taxonomy,
        *,
        label_prior: bool = False,
        chosen_on: str | None = None,
        resamples: int = 1000,
    ) -> None:
        self.taxonomy = taxonomy
        self.prompts = prompts.texts(taxonomy)
        self.labels = {"organ": taxonomy.organs, "station": taxonomy.stations}
        self.label_prior = label_prior
        self.chosen_on = chosen_on
        self.resamples = resamples

    def predict(self, run: TestedRun) -> pd.DataFrame:
        """Score every slice of the test sets; columns as `ZERO_SHOT`."""
        return self._of_sets(run, run.sets("test"))

    def choose(self, run: TestedRun, folder: Path) -> list[str]:
        """Choose thresholds and calibration on the validation slices whose labels are known, into `decisions.json`.

        An organ that a slice leaves open has no part in the numbers of that organ.

        It holds the prompts and offsets of the scores that it was chosen on too, for scores like them elsewhere, and
        null where there are none to choose by. Their own rows go into `zero_shot_validation.parquet`.
        """
        table = self._of_folds(folder) if self.chosen_on else self._of_sets(run, run.sets("validation"))
        write_rows(table, folder / VALIDATION)
        organ, station = (scores_and_targets(stated(table, kind), kind, names) for kind, names in self.labels.items())
        decisions, notes = None, []
        try:
            offsets = {kind: values.tolist() for kind, values in self._offsets(run).items()}
            measured = {"prompts": self.prompts, "offsets": offsets}
            known = ~unsure_in(stated(table, "organ"), "organ", self.labels["organ"])
            decisions = choose(*organ, *station, self.taxonomy, organ_known=known).to_dict() | measured
        except ValueError as error:
            notes.append(f"no decisions: {error}")
        write_text(folder / DECISIONS, json.dumps(decisions, indent=1))
        return notes

    def _of_folds(self, folder: Path) -> pd.DataFrame:
        """The rows of the set `held_out` that the runs of `chosen_on` left.

        Raises:
            Refused: there is no such run, or the runs of two folds share a patient.
        """
        import pandas as pd

        outputs = folder.parents[2]  # <outputs>/<suite>/<name>/seed_<n>
        tables = left_out(outputs.glob(str(self.chosen_on)), ZERO_SHOT.file)
        if not tables:
            raise Refused(
                f"eval.zero_shot.chosen_on: {self.chosen_on!r} has no evaluated run below {outputs}",
                "run the folds of the cross-validation first",
            )
        patients = [patient for table in tables for patient in set(patients_of(table))]
        if len(patients) > len(set(patients)):
            raise Refused(
                f"eval.zero_shot.chosen_on: {self.chosen_on!r} has several runs that were tested on the same patients",
                "give one run of each fold",
            )
        return pd.concat(tables, ignore_index=True)

    def _of_sets(self, run: TestedRun, sets: Mapping[str, EmbeddedSet]) -> pd.DataFrame:
        import pandas as pd

        classes = {kind: run.embed_classes(rows) for kind, rows in self.prompts.items()}
        offsets = self._offsets(run)
        tables = [self._of_set(run, classes, offsets, name, shown) for name, shown in sets.items()]
        table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(ZERO_SHOT.columns))
        table.attrs["labels"] = {kind: list(names) for kind, names in self.labels.items()}
        return table

    def _offsets(self, run: TestedRun) -> dict[str, NDArray[np.float64]]:
        if not self.label_prior:
            return {}
        (train,) = run.sets("train").values()
        return {kind: prior_offsets(train.labels[kind], run.logit_scale) for kind in self.labels}

    def _of_set(
        self,
        run: TestedRun,
        classes: Mapping[str, Tensor],
        offsets: Mapping[str, NDArray[np.float64]],
        name: str,
        shown: EmbeddedSet,
    ) -> pd.DataFrame:
        import pandas as pd

        scores = {kind: similarity(run, shown.compared, one) for kind, one in classes.items()}  # (N, K)
        scores = {kind: values + offsets.get(kind, 0.0) for kind, values in scores.items()}
        rows = [
            self._row(name, row, record, n, scores, shown)
            for n, (row, record) in enumerate(zip(shown.rows, shown.records, strict=True))
        ]
        return pd.DataFrame(rows, columns=list(ZERO_SHOT.columns))

    def _row(
        self,
        name: str,
        row: int,
        record: SliceRecord,
        n: int,
        scores: Mapping[str, np.ndarray],
        shown: EmbeddedSet,
    ) -> dict[str, Any]:
        known: dict[str, Any] = {
            key: str(getattr(record, key))
            for key in ("source", "patient", "series", "modality", "protocol", "orientation")
        }
        known["index"] = int(record.index)
        for kind, names in self.labels.items():
            known[f"{kind}_scores"] = scores[kind][n].tolist()
            labels = shown.labels[kind][n]
            known[f"{kind}_targets"] = list(shown_names(labels, names)) if are_stated(labels[None])[0] else None
        known["organ_unsure"] = list(unsure_names(shown.labels["organ"][n], self.labels["organ"]))
        return {"set": name, "row": row, **known}

    def score(self, table: pd.DataFrame) -> list[Score]:
        """Compute hit@1 of organs per set and modality, and of stations per set, with patient intervals.

        A label that a slice leaves open is left out of that slice's ranking: it can neither be the answer nor block it.
        """
        cells: list[Score] = []
        labels = table.attrs["labels"]
        for name, rows in table.groupby("set", sort=False):
            present = [m.lower() for m in (Modality.MR, Modality.CT) if (rows["modality"] == m.value).any()]
            for modality in present:
                of_modality = rows[rows["modality"] == modality.upper()]
                cells.append(self._cell("organ", f"test/organ/{name}_{modality}", of_modality, labels))
            cells.append(self._cell("station", f"test/station/{name}_{'_'.join(present)}", rows, labels))
        return cells

    def _cell(self, kind: str, cell: str, rows: pd.DataFrame, labels: Mapping[str, Sequence[str]]) -> Score:
        rows = stated(rows, kind)
        scores, targets = scores_and_targets(rows, kind, labels[kind])
        hit, counted = hits(np.where(unsure_in(rows, kind, labels[kind]), -np.inf, scores), targets)
        return score_of(cell, np.where(counted, hit, np.nan), patients_of(rows), self.resamples)


def prior_offsets(labels: Labels, logit_scale: float) -> NDArray[np.float64]:
    """What turns cosines into scores of the posterior: the log of each label's frequency, over the inverse temperature.

    A contrastive model's scaled cosine approaches log p(image | text) / p(image) up to a constant (van den Oord et al.
    2018, "Contrastive Predictive Coding", eq. 5), so a rare label that is possible outranks a common one that is
    certain. The log prior makes up for it (Bayes; Menon et al. 2021, "Logit adjustment", eq. 9, with the sign of a
    model that was trained without).

    Args:
        labels: (N, K) 1, 0 or -1 (unknown) of the training slices; a label's frequency is that of the slices of which
            it is known.
        logit_scale: the log of the inverse temperature that the model was trained with.

    Returns:
        (K,) to be added to cosines; half a slice is added to each count, so that none is infinite.
    """
    share = ((labels == 1).sum(axis=0) + 0.5) / ((labels >= 0).sum(axis=0) + 1)
    offsets: NDArray[np.float64] = np.log(share) / np.exp(logit_scale)
    return offsets
