"""The linear probe: what a line tells apart on each method's frozen features, by the share of labelled patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.plots import new_plot, png_of
from anatomy_clip.evaluation.cells import Cell
from anatomy_clip.evaluation.label_scores import known_slices, mean_statistic
from anatomy_clip.evaluation.linear_probe import COLUMNS, cells_of
from anatomy_clip.metrics.crossed import crossed_mean, pseudo_values
from anatomy_clip.results import charts, panel
from anatomy_clip.results.examples import uri
from anatomy_clip.results.formats import interval, interval_words, number
from anatomy_clip.results.panel import Section, render
from anatomy_clip.results.plots import MARKS
from anatomy_clip.results.read import Run
from anatomy_clip.results.render import rows_csv


class ProbeScore(NamedTuple):
    """One column's probe on one test set and share of the training patients.

    Attributes:
        test_set, share, column: what was measured.
        labelled: training patients whose labels were used.
        auroc: mean over labels of the AUROC, 0 to 1, mean over draws and seeds.
        lo, hi: 95 % interval of that mean over seeds and the test set's patients.
        spread: standard deviation over seeds; NaN for one seed.
        slices, patients, seeds: how many.
    """

    test_set: str
    share: float
    column: str
    labelled: int
    auroc: float
    lo: float
    hi: float
    spread: float
    slices: int
    patients: int
    seeds: int


_Lines = Mapping[tuple[str, float], Mapping[str, ProbeScore]]  # (test set, share) -> column -> score


class Panel(panel.Panel):
    """A table of columns by test set and share, and a plot of it."""

    columns = COLUMNS

    @cached_property
    def lines(self) -> _Lines:
        """What was measured; test sets in the order of the first run's config, then shares, then columns."""
        found: dict[tuple[str, float], dict[str, ProbeScore]] = {}
        for column in self.suite.layout.columns:
            for key, seeds in self._seeds(column).items():
                found.setdefault(key, {})[column] = _score(column, *key, seeds)
        config = self.runs[0].config if self.runs else {}
        sets = dict.fromkeys([*config.get("data", {}).get("test", ()), *sorted(name for name, _ in found)])
        place = {name: n for n, name in enumerate(sets)}
        return {key: found[key] for key in sorted(found, key=lambda key: (place[key[0]], key[1]))}

    @property
    def scores(self) -> list[ProbeScore]:
        """The same in one list."""
        return [one for line in self.lines.values() for one in line.values()]

    def _seeds(self, column: str) -> dict[tuple[str, float], list[list[Any]]]:
        """(Test set, share) -> the tables of each seed's draws; of seeds with the first one's slices."""
        seeds: dict[tuple[str, float], list[list[Any]]] = {}
        for run in (run for run in self.runs if run.name == column):
            for key, draws in _draws(run).items():
                of_key = seeds.setdefault(key, [])
                if not of_key or _slices(of_key[0][0]) == _slices(draws[0]):
                    of_key.append(draws)
        return seeds

    def cells_of(self, run: Run) -> Mapping[str, Cell]:
        """See `panel.Panel`; what was probed stands in the run's config."""
        spec = run.config.get("eval", {}).get(self.evaluator, {})
        space = spec.get("space", "organ")
        return cells_of(run.tables[self.evaluator], space, run.labels[space], spec.get("by_study", ()))

    def notes(self) -> Sequence[str]:
        """Seeds that can't be averaged."""
        notes = []
        for one in self.scores:
            seeds = sum((one.test_set, one.share) in _draws(run) for run in self.runs if run.name == one.column)
            if seeds > one.seeds:
                where = f"{one.column}, {one.test_set}, {_percent(one.share)}"
                notes.append(
                    f"linear probe of {where}: left out {seeds - one.seeds} seed(s), because their slices differ"
                )
        return notes

    def gaps(self) -> Sequence[str]:
        """Columns that weren't evaluated."""
        return panel.missing(self.evaluator, self.suite)

    @property
    def caption(self) -> str:
        """What the numbers are."""
        cells = [cell.split("/") for run in self.runs for cell in run.scores if cell.startswith("probe/")]
        labels = " and ".join(sorted({cell[1] for cell in cells})) or "all"
        seeds = sorted({one.seeds for one in self.scores})
        many = " to ".join(str(n) for n in dict.fromkeys((seeds[0], seeds[-1]))) if seeds else "no"
        return (
            f"AUROC of a linear classifier on frozen features, mean over {labels} labels and over {many} "
            f"seed{'' if many == '1' else 's'}; in brackets the {interval_words(seeds)}"
            f"{', after ± the standard deviation over seeds' if seeds and seeds[-1] > 1 else ''}. A label that no "
            "labelled patient shows counts as chance; a label that the test set does not show is left out. Columns "
            "are not tested against each other."
        )

    def files(self) -> Mapping[str, str | bytes]:
        """The table as Markdown and CSV."""
        columns, layout = self.suite.layout.columns, self.suite.layout
        head = ["test set", "labelled patients", *columns.values(), "slices (patients)"]
        lines = ["| " + " | ".join(head) + " |", "|---|---:|" + "---:|" * (len(columns) + 1)]
        lines += ["| " + " | ".join(cells) + " |" for cells in self._cells()]
        text = [f"# {layout.title}", f"{self.caption} {layout.data}", "\n".join(lines)]
        return {"probe.md": "\n\n".join(text) + "\n", "probe.csv": rows_csv(self.scores)}

    def _cells(self) -> list[list[str]]:
        """Test set, share, a cell a column, and how many slices, as text."""
        rows = []
        for (name, share), line in self.lines.items():
            one = next(iter(line.values()))
            values = [_cell(line[column]) if column in line else "n/a" for column in self.suite.layout.columns]
            rows.append([name, f"{one.labelled} ({_percent(share)})", *values, f"{one.slices} ({one.patients})"])
        return rows

    def terminal(self) -> Sequence[Any]:
        """The table."""
        from rich.table import Table
        from rich.text import Text

        rich = Table(title=self.suite.layout.title, caption=self.caption)
        rich.add_column("test set")
        for name in ("labelled", *self.suite.layout.columns.values(), "slices"):
            rich.add_column(name, justify="right")
        for cells in self._cells():
            rich.add_row(*(Text(cell) for cell in cells))
        return (rich,)

    def sections(self) -> Sequence[Section]:
        """The table and its plot."""
        columns = list(self.suite.layout.columns.values())
        shown = {"caption": self.caption, "columns": columns, "rows": self._cells(), "plot": uri(self.plot())}
        return (Section("linear_probe", "Linear probe", render("linear_probe.html", **shown)),)

    def plot(self) -> bytes:
        """Draw the AUROC along the share of labelled patients, a plot a test set, a line a column; a PNG."""
        sets = list(dict.fromkeys(one.test_set for one in self.scores)) or [""]
        figure = new_plot(2.6 * len(sets) + 0.6, 3.1)
        grid = figure.subplots(1, len(sets), squeeze=False, sharex=True, sharey=True)[0]
        names = self.suite.layout.columns
        for axes, name in zip(grid, sets, strict=True):
            for n, column in enumerate(names):
                points = [one for one in self.scores if (one.test_set, one.column) == (name, column)]
                x, y, lo, hi = ([getattr(one, key) for one in points] for key in ("labelled", "auroc", "lo", "hi"))
                colour, mark = MARKS[n % len(MARKS)]
                axes.plot(x, y, color=colour, marker=mark, markersize=4, linewidth=1.3, label=names[column])
                axes.vlines(x, lo, hi, color=colour, linewidth=0.8)
            axes.set_xscale("log")
            ticks = sorted({one.labelled for one in self.scores})
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.minorticks_off()
            axes.set_title(name, fontsize=8)
            axes.tick_params(labelsize=6)
        figure.supxlabel("labelled patients", fontsize=8)
        figure.supylabel("AUROC, mean over labels", fontsize=8)
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=8, frameon=False)
        return png_of(figure)

    def numbers(self, run: Run) -> Mapping[str, float]:
        """The run's AUROC of every test set and share: `probe/<share>/<set>` with `/lo`, `/hi` and `/n`."""
        values: dict[str, float] = {}
        for (name, share), draws in _draws(run).items():
            one, cell = crossed_mean(_values([draws]), bounds=(0, 1)), f"probe/{100 * share:g}/{name}"
            known = {"": one.value, "/lo": one.lo, "/hi": one.hi, "/n": known_slices(draws[0])}
            values |= {f"{cell}{end}": value for end, value in known.items() if not np.isnan(value)}
        return values

    def suite_charts(self, wandb: Any) -> Mapping[str, Any]:
        """The table and its plot."""
        rows = [[None if isinstance(x, float) and np.isnan(x) else x for x in one] for one in self.scores]
        return {
            "probe": wandb.Table(columns=list(ProbeScore._fields), data=rows),
            "probe_plot": charts.picture(wandb, self.plot()),
        }


def _draws(run: Run) -> dict[tuple[str, float], list[Any]]:
    """(Test set, share) -> the rows of each draw."""
    groups = run.tables["linear_probe"].groupby(["set", "share"], sort=False)
    return {cast(tuple[str, float], key): [one for _, one in part.groupby("draw", sort=False)] for key, part in groups}


def _slices(rows: Any) -> set[tuple[Any, ...]]:
    return set(rows[["row", "source", "patient"]].itertuples(index=False, name=None))


def _values(seeds: Sequence[Sequence[Any]]) -> NDArray[np.float64]:
    """(S, P); the mean over patients is the seed's AUROC."""
    return np.stack([pseudo_values(*mean_statistic(draws)[:2]) for draws in seeds])


def _score(column: str, test_set: str, share: float, seeds: Sequence[Sequence[Any]]) -> ProbeScore:
    first, values = seeds[0][0], _values(seeds)
    mean = crossed_mean(values, bounds=(0, 1))
    return ProbeScore(
        test_set=test_set,
        share=share,
        column=column,
        labelled=int(first["patients"].iloc[0]),
        auroc=mean.value,
        lo=mean.lo,
        hi=mean.hi,
        spread=float(np.std(values.mean(axis=1), ddof=1)) if mean.seeds > 1 else float("nan"),
        slices=known_slices(first),
        patients=mean.patients,
        seeds=mean.seeds,
    )


def _cell(one: ProbeScore) -> str:
    bounds, spread = interval(one.lo, one.hi, digits=3), number(one.spread, 3, missing="")
    return number(one.auroc, 3, missing="n/a") + (f" {bounds}" if bounds else "") + (f" ± {spread}" if spread else "")


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
