"""A picture of test slices with what the model named them, right and wrong, chosen by a rule, not by look."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.files import whole_file
from anatomy_clip.results.read import TASKS, Run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RULE = (
    "One slice of each volume and plane in turn, at positions that step through it by the golden ratio; "
    "no slice was picked by hand."
)
# Its own dark ground makes the picture the same on white and dark pages; blue and orange suit every eye.
_GROUND, _TEXT, _RIGHT, _WRONG, _FAINT = "#11151c", "#e8ebf0", "#6cb6ff", "#ffa657", "#9aa4b2"
_GOLDEN = (5**0.5 - 1) / 2
_MARKS = {True: "\N{CHECK MARK}", False: "\N{MULTIPLICATION X}"}
_PLANES = ("axial", "coronal", "sagittal")


@dataclass(frozen=True)
class Verdict:
    """What a run says of one slice about one task.

    Attributes:
        names: labels, best first.
        share: softmax share of each, 0 to 1 (eq. 2).
        truth: the labels that are right; empty where the slice has none.
    """

    names: tuple[str, ...]
    share: tuple[float, ...]
    truth: tuple[str, ...]

    def is_right(self, rank: int = 0) -> bool:
        """Whether the label at a rank is one of the right ones."""
        return self.names[rank] in self.truth


def choose(predictions: pd.DataFrame, sets: Sequence[str], count: int) -> pd.DataFrame:
    """Choose slices by `RULE`, among those that have a right organ and a right station.

    Args:
        predictions: one row a slice, as `Run.predictions`.
        sets: test sets to draw from, in this order.
        count: slices wanted.

    Returns:
        At most `count` rows, ordered by set, plane and volume; the same for the same predictions.
    """
    keys = ["source", "patient", "series", "orientation"]
    labelled = [predictions[f"{task}_targets"].map(len) > 0 for task in TASKS]
    scored = predictions[np.logical_and.reduce(labelled)]
    groups = []
    for name in sets:
        of_set = scored[scored["set"] == name].sort_values([*keys, "index", "row"], kind="stable")
        found = [group for _, group in of_set.groupby(keys, sort=True)]
        groups += sorted(found, key=lambda g: _PLANES.index(str(g["orientation"].iloc[0])))
    if not groups:
        return scored.iloc[:0]
    picked: dict[int, list[int]] = {g: [] for g in range(len(groups))}
    # More volumes than places: every k-th volume. Fewer: round after round, until the places are filled.
    step = max(1.0, len(groups) / count)
    for place in range(min(count, sum(len(g) for g in groups))):
        g = int(place * step) % len(groups)
        labels = groups[g].index
        at = int((0.5 + place * _GOLDEN) % 1.0 * len(labels))
        free = [int(labels[(at + k) % len(labels)]) for k in range(len(labels))]
        picked[g] += [i for i in free if i not in picked[g]][:1]
    return predictions.loc[[i for g in sorted(picked) for i in picked[g]]]


def verdict(run: Run, row: Mapping[str, Any], task: str, top: int) -> Verdict:
    """Name the best labels of a slice.

    Args:
        run: the run.
        row: a row of its predictions; scores are cosines.
        task: organ or station.
        top: labels wanted.
    """
    scores = np.asarray(row[f"{task}_scores"], dtype=np.float64)
    # (K,) eq. 2: softmax of 100 x cosine, the temperature of zero-shot CLIP
    share = np.exp(100.0 * (scores - scores.max()))
    share /= share.sum()
    best = np.argsort(-scores, kind="stable")[:top]
    names = run.labels[task]
    truth = tuple(str(t) for t in row[f"{task}_targets"])
    return Verdict(tuple(names[k] for k in best), tuple(float(share[k]) for k in best), truth)


def gallery(
    run: Run,
    images: Mapping[str, NDArray[np.uint8]],
    path: Path,
    *,
    columns: int = 6,
    rows: int = 2,
    title: str = "",
) -> int:
    """Draw the chosen slices of a run to a PNG.

    Args:
        run: the run whose predictions are shown.
        images: test set -> (N, H, W) uint8 grey, indexed by the predictions' rows; drawn in this order.
        path: the PNG to write.
        columns: slices in a line.
        rows: lines.
        title: first line of the picture.

    Returns:
        Number of slices drawn.

    Raises:
        ValueError: no slice of these sets is among the predictions, or a row has no image.
    """
    chosen = choose(run.predictions, list(images), columns * rows)
    if chosen.empty:
        raise ValueError(f"{run.name}, seed {run.seed}: no labelled slice of {', '.join(images)} to show")
    # The object interface needs no display and leaves pyplot's global state alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cell, top, bottom = 3.2, 0.55, 0.35  # inches
    height = cell * rows + top + bottom
    figure = Figure(figsize=(2.3 * columns, height), dpi=110, facecolor=_GROUND)
    FigureCanvasAgg(figure)
    for place, row in enumerate(chosen.to_dict("records")):
        store = images[row["set"]]
        if not 0 <= row["row"] < len(store):
            raise ValueError(f"{row['set']}: row {row['row']} has no image among {len(store)}; prepare it again")
        left, upper = place % columns / columns, 1 - (top + place // columns * cell) / height
        axes = figure.add_axes((left + 0.05 / columns, upper - 2.1 / height, 0.9 / columns, 2.1 / height))
        _draw(axes, store[row["row"]], run, {str(key): value for key, value in row.items()})
    legend = f"{_MARKS[True]} right   {_MARKS[False]} wrong (truth below)   numbers: share of the softmax in %   "
    figure.text(0.012, 1 - 0.08 / height, title, color=_TEXT, fontsize=12, va="top", weight="bold")
    figure.text(0.012, 0.08 / height, legend + RULE, color=_FAINT, fontsize=8.5)
    _save(figure, path)
    return len(chosen)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:  # no software entry: the same picture has the same bytes under any version's name
        figure.savefig(partial, format="png", metadata={"Software": None}, facecolor=_GROUND)


def _draw(axes: Axes, image: NDArray[np.uint8], run: Run, row: Mapping[str, Any]) -> None:
    """Draw one slice, its station and best organs beneath, and the truth where the top label is wrong."""
    station, organs = verdict(run, row, "station", 1), verdict(run, row, "organ", 3)
    right = station.is_right() and organs.is_right()
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="bilinear")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(_RIGHT if right else _WRONG)
        spine.set_linewidth(2)
    what = " ".join(str(row[key]) for key in ("modality", "protocol", "orientation") if row[key])
    axes.set_title(what, color=_FAINT, fontsize=8, loc="left", pad=3)
    for y, found in ((-0.03, station), (-0.145, organs)):
        ok = found.is_right()
        text = f"{_MARKS[ok]} {found.names[0]} {100 * found.share[0]:.0f}"
        colour = _RIGHT if ok else _WRONG
        axes.text(0, y, text, transform=axes.transAxes, color=colour, fontsize=10.5, va="top")
    # Only the top label counts (eq. 4): the organs behind it are named, but not judged.
    behind = [f"{n} {100 * s:.0f}" for n, s in zip(organs.names[1:], organs.share[1:], strict=True)]
    text = f"then {', '.join(behind)}"
    axes.text(0, -0.27, text, transform=axes.transAxes, color=_FAINT, fontsize=8, va="top")
    if not right:
        wrong = [", ".join(v.truth) for v in (station, organs) if not v.is_right()]
        text = "\n".join(textwrap.wrap(f"truth: {'; '.join(wrong)}", 36, max_lines=2, placeholder=" ..."))
        axes.text(0, -0.365, text, transform=axes.transAxes, color=_TEXT, fontsize=7.5, va="top")
