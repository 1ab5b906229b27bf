"""Retrieval of films and reports: by class, with a film or a text as the query, and of a film's own report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.anatomy.labels import LabelSet
from anatomy_clip.core.radiographs import RadiographRecord
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
from anatomy_clip.evaluation.cells import Cell, Floats, mean_of, median_of, scores_of
from anatomy_clip.metrics.retrieval import first_rank, precision_at, recall_at
from anatomy_clip.text.reports.labeller import NO_FINDING
from anatomy_clip.text.reports.words import described_by

if TYPE_CHECKING:
    import pandas as pd

    from anatomy_clip.evaluation.embedded import EmbeddedSet

Bools = NDArray[np.bool_]
Measures = Mapping[str, Callable[[Floats, Bools], Floats]]
COLUMNS = (  # a row a query, task, way to compare and measure
    "set", "row", "source", "patient", "task", "way", "measure", "value", "chance",
)  # fmt: skip
MEDIAN_RANK = "median_rank"


class Retrieval(Evaluator):
    """Four tasks, of which those with texts are left out for methods that compare no images with texts.

    image_image, text_image (Zhang et al. 2022, ConVIRT, section 4.2): a film of one class, or the impression of its
    report, looks for films that show the class; the query itself is left out. Films are compared with films by the
    cosine of the encoder's pooled features, which every method has.

    image_report, report_image: a film looks for the report of its study, a report for the films of its study. Reports
    of other studies don't count, though some say the same: such ties are broken by chance. Films without a report have
    no part.

    Args:
        taxonomy: the findings.
        candidates: test set in which classes are looked for.
        queries: test set whose films ask; those that show one of the classes and no other count.
        classes: findings, "no_finding" too.
        pairs: test sets whose films and reports look for each other.
        cutoffs: how many of the first count.
        resamples: bootstrap resamples of patients.

    Raises:
        Refused: a class is no finding.
    """

    def __init__(
        self,
        taxonomy: LabelSet,
        *,
        candidates: str,
        queries: str,
        classes: Sequence[str],
        pairs: Sequence[str],
        cutoffs: Sequence[int] = (5, 10, 50),
        resamples: int = 1000,
    ) -> None:
        known = (*names_in(taxonomy, "finding"), NO_FINDING)
        for name in classes:
            place_of(name, known)
        self.candidates, self.queries, self.classes, self.pairs = candidates, queries, tuple(classes), tuple(pairs)
        self.precisions: Measures = {f"p_at_{k}": _at(precision_at, k) for k in cutoffs}
        recalls = {f"r_at_{k}": _at(recall_at, k) for k in cutoffs}
        self.all_measures: Measures = {**self.precisions, **recalls, MEDIAN_RANK: _rank_share}
        self.resamples = resamples

    def predict(self, run: TestedRun) -> pd.DataFrame:
        """Ask every query.

        Returns:
            A row a query, task, way to compare and measure: its value, and the value that chance would have.

        Raises:
            Refused: no query shows one class alone.
        """
        import pandas as pd

        rows = self._of_classes(run)
        for name, films in test_sets(run, self.pairs).items():
            if films.embeddings is not None:
                rows += self._of_pairs(run, name, films)
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def _of_classes(self, run: TestedRun) -> list[dict[str, Any]]:
        sets = test_sets(run, [self.candidates, self.queries])
        films, asked = sets[self.candidates], sets[self.queries]
        shows = np.array([[_shows(one, name) for name in self.classes] for one in films.records])  # (M, C)
        wanted = np.array([[_shows(one, name) for name in self.classes] for one in asked.records])  # (N, C)
        counted = np.flatnonzero(wanted.sum(axis=1) == 1)
        if not len(counted):
            raise Refused(
                f"test set {self.queries}: no film shows exactly one of the classes", "see eval.retrieval.classes"
            )
        records = list(asked.records.take([int(n) for n in counted]))
        own = np.array([[_image(a) == _image(b) for b in films.records] for a in records])  # (Q, M)
        relevant = (wanted[counted].astype(int) @ shows.T.astype(int) > 0) & ~own
        found = {"image_image": {"pooled": _cosines(_pooled(asked)[counted], _pooled(films))}}
        if films.embeddings is not None:
            compared = _compared(run, films, [_conclusion(one) for one in records])
            found["text_image"] = {way: scores.T for way, scores in compared.items()}
        where = [(self.queries, asked.rows[n], one) for n, one in zip(counted, records, strict=True)]
        return [
            row
            for task, ways in found.items()
            for way, scores in ways.items()
            for row in _measured(where, task, way, np.where(own, -np.inf, scores), relevant, self.precisions)
        ]

    def _of_pairs(self, run: TestedRun, name: str, films: EmbeddedSet) -> list[dict[str, Any]]:
        every = list(films.records)
        told = [n for n, one in enumerate(every) if described_by(one.report)]
        records = [every[n] for n in told]
        studies: dict[tuple[str, str, str], int] = {}  # -> place of its first film
        for n, one in enumerate(records):
            studies.setdefault(_study(one), n)
        first = list(studies.values())
        reports = [described_by(records[n].report) for n in first]
        relevant = np.array([[_study(one) == study for study in studies] for one in records])  # (N, S)
        where = [(name, films.rows[n], every[n]) for n in told]
        rows = []
        for way, scores in _compared(run, films, reports).items():
            rows += _measured(where, "image_report", way, scores[told], relevant, self.all_measures)
            asking = [where[n] for n in first]
            rows += _measured(asking, "report_image", way, scores[told].T, relevant.T, self.all_measures)
        return rows

    def choose(self, run: TestedRun, folder: Path) -> list[str]:
        """Nothing is chosen; say what is left out."""
        (films,) = test_sets(run, [self.candidates]).values()
        return (
            []
            if films.embeddings is not None
            else ["retrieval: no texts are used, because the method does not compare images with texts"]
        )

    def score(self, table: pd.DataFrame) -> list[Score]:
        """See `cells_of`; with patient intervals."""
        return scores_of(cells_of(table), self.resamples)


def cells_of(table: pd.DataFrame) -> dict[str, Cell]:
    """Mean over queries of every measure, and the median of ranks, each beside chance."""
    cells: dict[str, Cell] = {}
    for key, part in table.groupby(["task", "way", "measure", "set"], sort=False):
        task, way, measure, name = cast(tuple[str, str, str, str], key)
        cell = median_of if measure == MEDIAN_RANK else mean_of
        for column, told in (("value", way), ("chance", "chance")):
            cells[f"retrieval/{task}/{told}/{measure}/{name}"] = cell(part[column].to_numpy(), patients_of(part))
    return cells


def _at(measure: Callable[[Floats, Bools, int], Floats], cutoff: int) -> Callable[[Floats, Bools], Floats]:
    return lambda scores, relevant: measure(scores, relevant, cutoff)


def _rank_share(scores: Floats, relevant: Bools) -> Floats:
    """(Q,) rank of the first relevant candidate, as a share of the candidates."""
    return np.asarray(first_rank(scores, relevant) / (~np.isneginf(scores)).sum(axis=1))


def _measured(
    where: Sequence[tuple[str, int, RadiographRecord]],
    task: str,
    way: str,
    scores: Floats,
    relevant: Bools,
    measures: Measures,
) -> list[dict[str, Any]]:
    level = np.where(np.isneginf(scores), -np.inf, 0.0)  # all candidates alike: chance
    rows = []
    for measure, function in measures.items():
        both = zip(function(scores, relevant).tolist(), function(level, relevant).tolist(), strict=True)
        for (name, row, record), (value, chance) in zip(where, both, strict=True):
            known = {"set": name, "row": row, "source": record.source, "patient": record.patient}
            rows.append({**known, "task": task, "way": way, "measure": measure, "value": value, "chance": chance})
    return rows


def _compared(run: TestedRun, films: EmbeddedSet, texts: Sequence[str]) -> dict[str, Floats]:
    """Way to compare -> (N, M) of films and texts; each distinct text is compared once, so that equal ones tie."""
    distinct = list(dict.fromkeys(texts))
    columns = [distinct.index(text) for text in texts]
    found = run.compare(films.compared, run.embed_texts(distinct, cut=True))
    return {way: scores[:, columns] for way, scores in found.items()}


def _shows(record: RadiographRecord, name: str) -> bool:
    return name in record.findings and record.findings[name].shown


def _image(record: RadiographRecord) -> tuple[str, str]:
    return record.source, record.image


def _study(record: RadiographRecord) -> tuple[str, str, str]:
    return record.source, record.patient, record.study


def _conclusion(record: RadiographRecord) -> str:
    """The impression of a film's report; all of it where it has none."""
    return record.report.get("impression") or described_by(record.report)


def _pooled(films: EmbeddedSet) -> Floats:
    return np.asarray(films.pooled.cpu().numpy(), np.float64)


def _cosines(a: Floats, b: Floats) -> Floats:
    a, b = (one / np.linalg.norm(one, axis=1, keepdims=True).clip(min=1e-12) for one in (a, b))
    return np.asarray(a @ b.T)
