"""The slices behind a row of the table, run by run: every table, list and plot of a suite starts from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.metrics.bootstrap import bootstrap_interval
from anatomy_clip.results.layout import RowSpec
from anatomy_clip.results.read import Run

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Slices:
    """The slices of one table row, as one run scored them.

    Attributes:
        keys: (N,) test set, row, source and patient of each slice; equal in runs that may be averaged.
        patients: (N,) patient of each slice, with its source.
        scores: (N, K) float.
        targets: (N, K) bool; all False where a slice's labels aren't known.
        labels: the K labels.
        known: (N,) bool, the slices whose labels of the task are known.
    """

    keys: tuple[tuple[Any, ...], ...]
    patients: NDArray[np.str_]
    scores: NDArray[np.float64]
    targets: NDArray[np.bool_]
    labels: tuple[str, ...]
    known: NDArray[np.bool_]

    def of(self, rows: NDArray[np.bool_]) -> Slices:
        """Some of the slices, by a mask (N,)."""
        keys = tuple(compress(self.keys, rows))
        return Slices(keys, self.patients[rows], self.scores[rows], self.targets[rows], self.labels, self.known[rows])


def select(run: Run, task: str, test_set: str, modalities: Sequence[str], *, unknown: bool = False) -> Slices | None:
    """Take the slices of one test set and some modalities, with the scores of one task.

    Args:
        run: the run.
        task: a key of `TASKS`.
        test_set: name of the test set.
        modalities: CT, MR or both.
        unknown: take those too whose labels of the task aren't known.

    Returns:
        The slices in the order of their rows, or None where the run has none of the test set and modalities.

    Raises:
        ValueError: a target is no label of the run, or a slice hasn't one score a label.
    """
    frame = run.tables["zero_shot"]
    part = frame[(frame["set"] == test_set) & frame["modality"].isin(list(modalities))]
    if part.empty:
        return None
    labels = run.labels[task]
    where = f"{run.name}, seed {run.seed}, {test_set}"
    rows = [np.asarray(row, dtype=np.float64) for row in part[f"{task}_scores"]]
    if any(row.shape != (len(labels),) for row in rows):
        raise ValueError(f"{where}: {task}_scores must hold {len(labels)} numbers a slice, one a label")
    position = {label: k for k, label in enumerate(labels)}
    targets = np.zeros((len(part), len(labels)), dtype=bool)
    for n, names in enumerate(part[f"{task}_targets"]):
        for label in names if names is not None else ():
            if label not in position:
                raise ValueError(f"{where}: target '{label}' is no label of the run; evaluate it again")
            targets[n, position[label]] = True
    keys = tuple(part[["set", "row", "source", "patient"]].itertuples(index=False, name=None))
    patients = np.array([f"{source}/{patient}" for _, _, source, patient in keys], dtype=np.str_)
    known = part[f"{task}_targets"].notna().to_numpy()
    slices = Slices(keys, patients, np.stack(rows), targets, labels, known)
    return slices if unknown else slices.of(known)


def by_run(runs: Iterable[Run], row: RowSpec, notes: list[str] | None = None) -> list[tuple[Run, Slices]]:
    """Every run that has a row's slices, with them.

    A run can't be averaged or compared with the first one where its slices or their targets are others: it is left
    out, and noted.
    """
    found: list[tuple[Run, Slices]] = []
    for run in runs:
        slices = select(run, row.task, row.test_set, row.modalities)
        if slices is None:
            continue
        first = found[0][1] if found else slices
        if slices.keys == first.keys and np.array_equal(slices.targets, first.targets):
            found.append((run, slices))
        elif notes is not None:
            notes.append(f"left out {run.name}, seed {run.seed}, in {row.row}: not the first seed's slices")
    return found


class SeedMeans(NamedTuple):
    """Rows of a further table of one column, test set and kind; their values are means over seeds."""

    column: str
    test_set: str
    kind: str
    seeds: int
    rows: pd.DataFrame


def seed_means(
    runs: Sequence[Run],
    columns: Iterable[str],
    evaluator: str,
    kind: str,
    values: Sequence[str],
) -> Iterator[SeedMeans]:
    """Average the rows of a further table over the seeds of each column.

    Args:
        runs: the runs.
        columns: columns, in their order.
        evaluator: whose rows; runs without them are left out.
        kind: the column that tells several rows of a slice apart.
        values: columns to average.
    """
    import pandas as pd

    for column in columns:
        tables = [run.tables[evaluator] for run in runs if run.name == column and evaluator in run.tables]
        if tables:
            keys = ["set", kind, "source", "patient", "row"]
            floats = [table.astype(dict.fromkeys(values, float)) for table in tables]
            mean = pd.concat(floats).groupby(keys, sort=False)[list(values)].mean().reset_index()
            for (name, which), part in mean.groupby(["set", kind], sort=False):
                yield SeedMeans(column, str(name), str(which), len(tables), part)


class Mean(NamedTuple):
    """A mean over the n slices that count, with the 95 % interval of a bootstrap over patients; NaN where undefined."""

    value: float
    lo: float
    hi: float
    n: int
    patients: int


def mean_of(values: NDArray[np.float64], patients: NDArray[np.str_], resamples: int) -> Mean:
    """Average N slices; one of value NaN doesn't count."""
    counted = ~np.isnan(values)
    values, patients = values[counted], patients[counted]
    if not len(values):
        return Mean(float("nan"), float("nan"), float("nan"), 0, 0)
    interval = bootstrap_interval(values, patients, resamples)
    return Mean(float(values.mean()), interval.lo, interval.hi, len(values), len(np.unique(patients)))
