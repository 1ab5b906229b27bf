"""What stores hold: slices by station, modality and plane, and by organ, as tables and as a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from anatomy_clip.anatomy.labels import NOT_STATED, organs_in, stations_in
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.plots import new_plot, save_plot
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation

WITHOUT = ("(none)", f"({NOT_STATED})")  # rows of slices that show no label, and of those of which none is known
COLUMNS = tuple(product(Modality, Orientation))
_INCHES = 3.4  # width of one store in the plot

Counts = NDArray[np.int64]


def count(records: Sequence[SliceRecord], taxonomy: Taxonomy, kind: str) -> Counts:
    """Count slices by label, modality and plane; a slice with two labels counts for both.

    Args:
        records: the slices.
        taxonomy: gives labels to slices whose source states none.
        kind: "station" or "organ".

    Returns:
        (K + 2, 6): a row a label, then those of `WITHOUT`; columns as in `COLUMNS`.
    """
    names = taxonomy.stations if kind == "station" else taxonomy.organs
    row = {name: n for n, name in enumerate(names)}
    column = {pair: n for n, pair in enumerate(COLUMNS)}
    counts = np.zeros((len(names) + len(WITHOUT), len(COLUMNS)), dtype=np.int64)
    for record in records:
        found = stations_in(record, taxonomy) if kind == "station" else organs_in(record, taxonomy)
        none = len(names) if found is not None else len(names) + 1
        for n in [row[name] for name in found or ()] or [none]:
            counts[n, column[record.modality, record.orientation]] += 1
    return counts


def summary(stores: Mapping[str, Sequence[SliceRecord]]) -> Table:
    """Make the table of stores: slices, patients, series, sources and licences."""
    table = Table("store", "slices", "patients", "series", "sources", "licences", title="Stores")
    for name, records in stores.items():
        numbers = (len(records), len({(r.source, r.patient) for r in records}), len({r.series for r in records}))
        words = ({r.source for r in records}, {r.licence or NOT_STATED for r in records})
        table.add_row(name, *map(str, numbers), *(", ".join(sorted(w)) for w in words))
    return table


def matrix(name: str, records: Sequence[SliceRecord], taxonomy: Taxonomy, kind: str) -> Table:
    """Make one store's table of labels by modality and plane; cells without a slice hold a dot."""
    table = Table(kind, *(f"{modality} {plane}" for modality, plane in COLUMNS), title=f"{name}: slices by {kind}")
    for label, row in zip(_labels(taxonomy, kind), count(records, taxonomy, kind), strict=True):
        table.add_row(label, *(str(n) if n else "." for n in row))
    return table


def draw(stores: Mapping[str, Sequence[SliceRecord]], taxonomy: Taxonomy, path: Path) -> None:
    """Draw the matrices of all stores, stations above organs, a column a store."""
    kinds = ("station", "organ")
    heights = [len(_labels(taxonomy, kind)) for kind in kinds]
    figure = new_plot(_INCHES * len(stores) + 1.2, 0.26 * sum(heights) + 2, dpi=130, layout="tight")
    axes = figure.subplots(2, len(stores), height_ratios=heights, squeeze=False)
    for column, (name, records) in enumerate(stores.items()):
        for line, kind in enumerate(kinds):
            axis = axes[line][column]
            counts = count(records, taxonomy, kind)
            axis.imshow(np.log1p(counts), cmap="Blues", aspect="auto", vmin=0)
            dark = np.log1p(counts) > 0.6 * np.log1p(counts.max())
            for (y, x), n in np.ndenumerate(counts):
                axis.text(x, y, n or "", ha="center", va="center", fontsize=7, color="white" if dark[y, x] else "black")
            axis.set_xticks(range(len(COLUMNS)), [f"{m} {p[:3]}" for m, p in COLUMNS], rotation=45, fontsize=7)
            axis.set_yticks(range(heights[line]), _labels(taxonomy, kind) if not column else [], fontsize=7)
            if not line:
                axis.set_title(f"{name} (n = {len(records)})", fontsize=9)
    save_plot(figure, path)


def _labels(taxonomy: Taxonomy, kind: str) -> list[str]:
    return [*(taxonomy.stations if kind == "station" else taxonomy.organs), *WITHOUT]
