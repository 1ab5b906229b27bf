"""Table III of the paper from the predictions of a suite's runs; a pure function of the rows on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from anatomy_clip.metrics.classification import chance_baseline, hits, majority_baseline
from anatomy_clip.results.gains import Scored, Step, above, steps
from anatomy_clip.results.layout import Layout, RowSpec
from anatomy_clip.results.read import TASKS, Run
from anatomy_clip.results.slices import Slices, by_run, percent_of

_Taken = Mapping[tuple[str, str], Sequence[tuple[Run, Slices]]]  # (row, column) -> its seeds
_AGREES = 1e-6  # a value from the predictions against the one that the evaluation wrote


class Cell(NamedTuple):
    """One cell; values in percent.

    Attributes:
        row: name of the row.
        column: name of the experiment.
        value: hit@1, mean over seeds; NaN where there is no run or no slice.
        n: slices counted.
        lo: lower end of the 95 % interval over seeds and patients (with one seed over patients alone); NaN where
            undefined.
        hi: upper end.
        seeds: trainings averaged.
        paper: the paper's number; NaN where it has none.
        patients: patients behind the interval.
        spread: standard deviation over seeds of each seed's value, points; NaN for one seed.
    """

    row: str
    column: str
    value: float
    n: int
    lo: float
    hi: float
    seeds: int
    paper: float
    patients: int = 0
    spread: float = float("nan")


class Baseline(NamedTuple):
    """What a row's slices give away without a model; values in percent."""

    row: str
    label: str
    majority: float
    chance: float
    targets: float  # mean number of right answers a slice
    n: int


@dataclass(frozen=True)
class Table:
    """Table III and what belongs to it.

    Attributes:
        layout: rows and columns; a row that has no data is replaced by the one that stands instead.
        cells: the paper's rows, row by row.
        further: rows on further test sets that at least one run has.
        baselines: one for each row with slices.
        steps: one for each row and column but the first.
        replaced: row without data -> the further row in its place.
        gains: task -> (ours, paper's) mean gain of the last column over the first, points.
        notes: what is missing or odd.
    """

    layout: Layout
    cells: tuple[Cell, ...]
    further: tuple[Cell, ...]
    baselines: tuple[Baseline, ...]
    steps: tuple[Step, ...]
    replaced: Mapping[str, str]
    gains: Mapping[str, tuple[float, float]]
    notes: tuple[str, ...]

    @property
    def above(self) -> set[tuple[str, str]]:
        """(Row, column) of the cells that are significantly above each column that they are measured against."""
        return above(self.layout, self.steps)

    @property
    def seeds(self) -> set[int]:
        """Trainings behind the cells of the paper's rows."""
        return {cell.seeds for cell in self.cells if cell.n}


def by_row(specs: Sequence[RowSpec], cells: Sequence[Cell]) -> list[tuple[RowSpec, list[Cell]]]:
    """Each row with its cells, column by column."""
    return [(spec, [cell for cell in cells if cell.row == spec.row]) for spec in specs]


def read_paper(path: Path) -> tuple[dict[str, dict[str, float]], dict[str, float] | None]:
    """Read the paper's numbers from YAML.

    Returns:
        `table3` (row -> column -> percent), and `mean_gain_over_pmc` (task -> points) where the file has it.

    Raises:
        ValueError: the file is missing, or has no `table3`.
    """
    if not path.is_file():
        raise ValueError(f"paper={path.name}: no such file; give a file with the paper's numbers")
    numbers = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(numbers, dict) or not isinstance(numbers.get("table3"), dict):
        raise ValueError(f"paper={path.name}: needs the key table3 (row -> column -> percent)")
    return numbers["table3"], numbers.get("mean_gain_over_pmc")


def build(
    runs: Sequence[Run],
    layout: Layout,
    paper: Mapping[str, Mapping[str, float]],
    *,
    mean_gain: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
) -> Table:
    """Compute every cell from the predictions.

    Args:
        runs: finished runs of the suite, one a training; those that are no column are ignored.
        layout: rows and columns.
        paper: row -> column -> the paper's number, percent.
        mean_gain: task -> the paper's mean gain of the last column over the first, points.
        notes: notes to carry on, such as runs that couldn't be read.

    Raises:
        ValueError: predictions contradict their labels.
    """
    found: list[str] = list(notes)
    taken: _Taken = {
        (spec.row, column): by_run([run for run in runs if run.name == column], spec, found)
        for spec in layout.rows + layout.further
        for column in layout.columns
    }
    present = {row for (row, _), seeds in taken.items() if seeds}
    rows = tuple(_or_instead(spec, present, layout, found) for spec in layout.rows)
    further = tuple(s for s in layout.further if s not in rows and s.row in present)
    scored = {
        (spec.row, column): _over_seeds(taken[spec.row, column], spec, found)
        for spec in rows + further
        for column in layout.columns
    }

    def cells(specs: Sequence[RowSpec]) -> tuple[Cell, ...]:
        names = [(spec.row, column) for spec in specs for column in layout.columns]
        return tuple(
            _cell(row, column, scored[row, column], paper.get(row, {}).get(column, float("nan")))
            for row, column in names
        )

    main, gains = cells(rows), steps(rows, layout, scored, found)
    return Table(
        layout=replace(layout, rows=rows, further=further),
        cells=main,
        further=cells(further),
        baselines=tuple(b for spec in rows + further if (b := _baseline(spec, layout, taken))),
        steps=gains,
        replaced={old.row: new.row for old, new in zip(layout.rows, rows, strict=True) if old != new},
        gains=_mean_gains(main, layout, mean_gain or {}),
        notes=tuple(dict.fromkeys(found)),
    )


def _or_instead(spec: RowSpec, present: Set[str], layout: Layout, notes: list[str]) -> RowSpec:
    """Put the stand-in row, under its own name, where no run has the row's test set."""
    if not spec.instead or spec.row in present:
        return spec
    notes.append(
        f"no run has test set '{spec.test_set}': {spec.instead} replaces {spec.row}; it is "
        "measured on other data, so no number of the paper is beside it"
    )
    return next(other for other in layout.further if other.row == spec.instead)


def _over_seeds(seeds: Sequence[tuple[Run, Slices]], spec: RowSpec, notes: list[str]) -> Scored | None:
    """The counted slices of one column's runs."""
    if not seeds:
        return None
    first = seeds[0][1]
    _, counted = hits(first.ranked, first.targets)
    hit = np.stack([hits(slices.ranked, slices.targets)[0][counted].astype(np.float64) for _, slices in seeds])
    for (run, _), of_seed in zip(seeds, hit, strict=True):
        _compare_with_evaluation(run, spec, of_seed, notes)
    keys = tuple(key for key, counts in zip(first.keys, counted, strict=True) if counts)
    return Scored(keys, first.patients[counted], tuple(run.seed for run, _ in seeds), hit)


def _compare_with_evaluation(run: Run, spec: RowSpec, hit: NDArray[np.float64], notes: list[str]) -> None:
    cell = f"test/{spec.task}/{spec.test_set}_{'_'.join(m.lower() for m in spec.modalities)}"
    written = run.scores.get(cell, float("nan"))
    if len(hit) and abs(hit.mean() - written) > _AGREES:
        notes.append(
            f"{run.name}, seed {run.seed}: {cell} is {written:.4f} in results.json but "
            f"{hit.mean():.4f} from the predictions; the table shows the latter"
        )


def _cell(row: str, column: str, scored: Scored | None, paper: float) -> Cell:
    if scored is None or not scored.keys:
        seeds = len(scored.seeds) if scored else 0
        return Cell(row, column, float("nan"), 0, float("nan"), float("nan"), seeds, paper)
    mean = percent_of(scored.hit, scored.patients)
    spread = float(np.std(100 * scored.hit.mean(axis=1), ddof=1)) if mean.seeds > 1 else float("nan")
    return Cell(row, column, mean.value, len(scored.keys), mean.lo, mean.hi, mean.seeds, paper, mean.patients, spread)


def _baseline(spec: RowSpec, layout: Layout, taken: _Taken) -> Baseline | None:
    seeds = (slices for column in layout.columns for _, slices in taken[spec.row, column])
    slices = next((slices for slices in seeds if slices.targets.any()), None)
    if slices is None:
        return None
    known = ~slices.unsure
    majority, chance = majority_baseline(slices.targets, known), chance_baseline(slices.targets, known)
    size = slices.targets.sum(axis=1)
    label, right = slices.labels[majority.label], float(size[size > 0].mean())
    return Baseline(spec.row, label, 100 * majority.value, 100 * chance.value, right, majority.n)


def _mean_gains(cells: Sequence[Cell], layout: Layout, paper: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Unweighted mean over a task's rows, last column minus first; NaN where a cell is missing."""
    value = {(cell.row, cell.column): cell.value for cell in cells}
    papers = {cell.row for cell in cells if cell.paper == cell.paper}
    first, last = next(iter(layout.columns)), list(layout.columns)[-1]
    gains = {}
    for task in TASKS:
        rows = [row for row in dict.fromkeys(cell.row for cell in cells) if row.split("/")[0] == task]
        if rows:
            ours = float(np.mean([value[row, last] - value[row, first] for row in rows]))
            comparable = all(row in papers for row in rows)
            gains[task] = (ours, paper.get(task, float("nan")) if comparable else float("nan"))
    return gains
