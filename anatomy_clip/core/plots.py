"""Plots by matplotlib's object interface, which needs no display and leaves pyplot's global state alone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anatomy_clip.core.files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_plot(width: float, height: float, dpi: int = 100, **options: Any) -> Figure:
    """An empty plot.

    Args:
        width: inches.
        height: inches.
        dpi: pixels an inch.
        options: of matplotlib's `Figure`; its parts find their places by themselves unless it says otherwise.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, **{"layout": "constrained", **options})
    FigureCanvasAgg(figure)
    return figure


def png_of(figure: Figure) -> bytes:
    """A plot as PNG; the same plot has the same bytes under any version of matplotlib's name."""
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def save_plot(figure: Figure, path: Path) -> None:
    """Write a plot, whole or not at all; the path's ending decides the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = path.suffix.lstrip(".").lower()
    with whole_file(path) as partial:
        if kind == "png":
            partial.write_bytes(png_of(figure))
        else:
            figure.savefig(partial, format=kind)
