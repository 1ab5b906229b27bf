"""Fig. 2 of the paper: one-vs-rest ROC curves of every organ, a line a column."""

from __future__ import annotations

import io
from collections.abc import Sequence

from anatomy_clip.metrics.classification import auroc
from anatomy_clip.results.layout import Layout, RowSpec
from anatomy_clip.results.read import Run, Slices, select

# Okabe and Ito's colours, which suit every eye, with a line style each for print.
STYLES = (("#7f7f7f", ":"), ("#56b4e9", "--"), ("#e69f00", "-."), ("#0072b2", "-"), ("#d55e00", "-"))
_ACROSS = 5


def roc_figure(runs: Sequence[Run], layout: Layout, row: RowSpec) -> bytes | None:
    """Draw the curves of one row, a plot a label that has slices with and without it; first seed of each column.

    Returns:
        A PNG, or None where there is nothing to draw.
    """
    taken: dict[str, Slices] = {}
    for run in runs:
        slices = select(run, row.task, row.test_set, row.modalities) if run.name in layout.columns else None
        if slices is not None and run.name not in taken:
            taken[run.name] = slices
            labels = run.labels[row.task]
    if not taken:
        return None
    targets = next(iter(taken.values())).targets
    drawn = [k for k in range(targets.shape[1]) if 0 < targets[:, k].sum() < len(targets)]
    if not drawn:
        return None
    return _draw(taken, layout, labels, drawn)


def _draw(taken: dict[str, Slices], layout: Layout, labels: Sequence[str], drawn: Sequence[int]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from sklearn.metrics import roc_curve

    down = -(-len(drawn) // _ACROSS)
    figure = Figure(figsize=(2.1 * _ACROSS, 2.25 * down + 0.5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(down, _ACROSS, squeeze=False, sharex=True, sharey=True)
    areas = {name: auroc(slices.scores, slices.targets).value for name, slices in taken.items()}
    styles = {name: STYLES[n % len(STYLES)] for n, name in enumerate(layout.columns)}
    for place, axes in enumerate(grid.flat):
        if place >= len(drawn):
            axes.set_axis_off()
            continue
        k = drawn[place]
        axes.plot([0, 1], [0, 1], color="#cccccc", linewidth=0.8)
        for name, slices in taken.items():
            colour, style = styles[name]
            false, true, _ = roc_curve(slices.targets[:, k], slices.scores[:, k], drop_intermediate=False)
            axes.plot(false, true, style, color=colour, linewidth=1.3)
        last = list(taken)[-1]
        positives = int(next(iter(taken.values())).targets[:, k].sum())
        axes.set_title(f"{labels[k]} (n = {positives}), {areas[last][k]:.2f}", fontsize=8)
        axes.tick_params(labelsize=6)
        axes.set_aspect("equal")
    figure.supxlabel("false positive rate", fontsize=8)
    figure.supylabel("true positive rate", fontsize=8)
    lines = [figure.axes[0].plot([], [], styles[n][1], color=styles[n][0])[0] for n in taken]
    names = [layout.columns[n] for n in taken]
    figure.legend(lines, names, loc="outside upper center", ncols=len(names), fontsize=8, frameon=False)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
