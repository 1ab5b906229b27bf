"""The slices behind a row of the table, run by run: every table, list and plot of a suite starts from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.evaluation.base import patients_of, unsure_in
from anatomy_clip.metrics.crossed import Crossed, crossed_mean, ratio_values
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
        unsure: (N, K) bool, the labels that a slice of known ones leaves open: neither right nor wrong.
    """

    keys: tuple[tuple[Any, ...], ...]
    patients: NDArray[np.str_]
    scores: NDArray[np.float64]
    targets: NDArray[np.bool_]
    labels: tuple[str, ...]
    known: NDArray[np.bool_]
    unsure: NDArray[np.bool_]

    @property
    def ranked(self) -> NDArray[np.float64]:
        """(N, K) the scores by which the best label is found: one that a slice leaves open can't be it."""
        return np.where(self.unsure, -np.inf, self.scores)

    def of_label(self, k: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """(n,) scores and targets of one label, of the slices that don't leave it open."""
        rows = ~self.unsure[:, k]
        return self.scores[rows, k], self.targets[rows, k]

    def of(self, rows: NDArray[np.bool_]) -> Slices:
        """Some of the slices, by a mask (N,)."""
        return Slices(
            tuple(compress(self.keys, rows)),
            self.patients[rows],
            self.scores[rows],
            self.targets[rows],
            self.labels,
            self.known[rows],
            self.unsure[rows],
        )


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
        raise ValueError(f"{where}: {task}_scores must have {len(labels)} numbers for each slice, one for each label")
    position = {label: k for k, label in enumerate(labels)}
    targets = np.zeros((len(part), len(labels)), dtype=bool)
    for n, names in enumerate(part[f"{task}_targets"]):
        for label in names if names is not None else ():
            if label not in position:
                raise ValueError(f"{where}: target '{label}' is not a label of the run; evaluate it again")
            targets[n, position[label]] = True
    keys = tuple(part[["set", "row", "source", "patient"]].itertuples(index=False, name=None))
    patients = np.array([f"{source}/{patient}" for _, _, source, patient in keys], dtype=np.str_)
    known = part[f"{task}_targets"].notna().to_numpy()
    slices = Slices(keys, patients, np.stack(rows), targets, labels, known, unsure_in(part, task, labels))
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
        same = (np.array_equal(getattr(slices, part), getattr(first, part)) for part in ("targets", "unsure"))
        if slices.keys == first.keys and all(same):
            found.append((run, slices))
        elif notes is not None:
            notes.append(
                f"{run.name}, seed {run.seed} is left out in {row.row}: its slices are not those of the first seed"
            )
    return found


@dataclass(frozen=True)
class SeedRows:
    """Rows of a further table of one column, test set and kind, of every training.

    Attributes:
        column, test_set, kind: whose they are.
        parts: a table a seed, with the same rows in the same order.
    """

    column: str
    test_set: str
    kind: str
    parts: tuple[pd.DataFrame, ...]

    def mean(self, name: str) -> float:
        """Mean of a column's values over rows and seeds; NaN where there are none."""
        return float(np.mean([part[name].mean() for part in self.parts]))

    def crossed(self, name: str) -> Crossed:
        """Mean over rows and seeds of a share, 0 to 1, in percent."""
        shares = np.stack([part[name].to_numpy(np.float64) for part in self.parts])
        return percent_of(shares, patients_of(self.parts[0].reset_index()))


def by_seed(runs: Sequence[Run], columns: Iterable[str], evaluator: str, kind: str) -> Iterator[SeedRows]:
    """Take the rows of a further table, training by training.

    Args:
        runs: the runs, one a training; one with other rows than its column's first is left out.
        columns: columns, in their order.
        evaluator: whose rows; runs without them are left out.
        kind: the column that tells several rows of a slice apart.
    """
    for column in columns:
        found: dict[tuple[str, str], list[pd.DataFrame]] = {}
        for run in (run for run in runs if run.name == column and evaluator in run.tables):
            for (name, which), rows in run.tables[evaluator].groupby(["set", kind], sort=False):
                part = rows.set_index(["source", "patient", "row"]).sort_index()
                parts = found.setdefault((str(name), str(which)), [])
                if not parts or part.index.equals(parts[0].index):
                    parts.append(part)
        for (name, which), parts in found.items():
            yield SeedRows(column, name, which, tuple(parts))


def percent_of(shares: NDArray[np.float64], patients: NDArray[np.str_], lowest: float = 0.0) -> Crossed:
    """Mean of shares over seeds and slices, in percent, whose interval holds the chance of seeds and patients.

    Args:
        shares: (S, N) 0 to 1, or differences of such; NaN = the slice doesn't count.
        patients: (N,) patient of each slice.
        lowest: lower end of the scale, percent: -100 for differences.
    """
    values = ratio_values(100 * shares, patients)
    if not values.size:  # no slice counts
        none = float("nan")
        return Crossed(none, none, none, none, none, none, len(values), 0)
    return crossed_mean(values, bounds=(lowest, 100.0))
