"""A suite's finished runs to tables and figures; needs no model and no GPU.

anatomy-clip results
anatomy-clip results suite=table3 readme=true
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig
from rich.console import Console

from anatomy_clip.cli.configs import checkout
from anatomy_clip.core.files import write_text
from anatomy_clip.results.confounds import confounds
from anatomy_clip.results.gallery import gallery
from anatomy_clip.results.measures import Measures, measure
from anatomy_clip.results.page import page
from anatomy_clip.results.read import Run, read_suite
from anatomy_clip.results.readme import refresh
from anatomy_clip.results.render import main_markdown, rows_csv, to_csv, to_latex, to_markdown, to_rich
from anatomy_clip.results.table import Table, build, read_paper
from anatomy_clip.runs import wiring
from anatomy_clip.sources.cards import cards
from anatomy_clip.stores.store import images_of


def main(cfg: DictConfig) -> None:
    """Make every output of one suite, and print its table.

    Raises:
        ValueError: the suite has no finished run, the paper's numbers or the README can't be used, or columns differ
            in what they don't declare (all is written then, and says so).
    """
    kept = checkout() if cfg.record or cfg.readme else None
    layout = wiring.build(cfg.table, _convert_="all")
    runs, notes = read_suite(Path(cfg.paths.outputs), cfg.suite, list(layout.columns))
    paper, mean_gain = published_numbers(cfg)
    confounded = confounds(runs, layout)
    table = build(
        runs,
        layout,
        paper,
        mean_gain=mean_gain,
        notes=[*confounded, *notes],
        resamples=cfg.resamples,
    )
    folder = Path(cfg.paths.outputs) / cfg.suite
    written = _write_table(table, folder) + _write_gallery(cfg.gallery, layout.columns, runs, folder)
    if layout.plot is not None:
        written.append(folder / "plot.png")
        written[-1].write_bytes(layout.plot(table))
    lists = measure(runs, table.layout, cfg.resamples)
    written += _write_lists(lists, table, folder)
    shown = _write_page(cfg, table, runs, lists, folder)
    console = Console()
    console.print(to_rich(table))
    for note in table.notes:
        console.print(f"note: {note}", markup=False)
    if confounded and not cfg.allow_confounds:
        raise ValueError(
            f"{len(confounded)} undeclared difference(s) between columns, see the notes: run them again alike, declare "
            "the keys under differs in conf/table, or add allow_confounds=true"
        )
    if kept:
        _record(table, written, kept / cfg.recorded)
    if kept and cfg.readme:
        refresh(kept / "README.md", main_markdown(table))
    console.print(f"written: {', '.join(str(path) for path in written)}", markup=False)
    console.print(f"open {shown} in a browser: intervals, every organ, errors and slices", markup=False)


def published_numbers(cfg: DictConfig) -> tuple[dict[str, dict[str, float]], dict[str, float] | None]:
    """What `read_paper` reads of the file that the config names, or of the package's own."""
    return read_paper(Path(cfg.paper) if cfg.paper else Path(str(files("anatomy_clip.results") / "paper.yaml")))


def _write_table(table: Table, folder: Path) -> list[Path]:
    texts = {
        "table3.md": to_markdown(table),
        "table3.csv": to_csv(table.cells),
        "table3.tex": to_latex(table),
        "further.csv": to_csv(table.further),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def _write_lists(lists: Measures, table: Table, folder: Path) -> list[Path]:
    """Write what stands beyond the table as CSV, a file a kind of row."""
    kinds: dict[str, Sequence[NamedTuple]] = {
        "cells.csv": [*table.cells, *table.further],
        "gains.csv": table.steps,
        "by_size.csv": lists.sizes,
        "descriptions.csv": lists.descriptions,
        "certainty.csv": lists.certainties,
        "captions.csv": lists.captions,
    }
    measured = {name: rows for name, rows in kinds.items() if rows}
    for name, rows in measured.items():
        (folder / name).write_text(rows_csv(rows), encoding="utf-8")
    return [folder / name for name in measured]


def _write_gallery(
    gallery_cfg: DictConfig, columns: Mapping[str, str], runs: Sequence[Run], folder: Path
) -> list[Path]:
    """Draw the picture, where there are slices to show; without the real volumes there is none."""
    run = next((run for run in runs if run.name == gallery_cfg.column), None)
    images = images_of(gallery_cfg.stores) if run else {}
    if run is None or not set(images) & set(run.predictions["set"]):
        wanted = " or ".join(gallery_cfg.stores)
        print(f"note: no picture: it needs the store and {gallery_cfg.column}'s predictions of {wanted}")
        return []
    path = folder / "gallery.png"
    title = f"Real slices that training never saw, named by {columns.get(run.name, run.name)} (seed {run.seed})"
    gallery(run, images, path, columns=gallery_cfg.columns, rows=gallery_cfg.rows, title=title)
    return [path]


def _write_page(cfg: DictConfig, table: Table, runs: Sequence[Run], lists: Measures, folder: Path) -> Path:
    """Write the page that a browser opens from disk."""
    path = folder / "results.html"
    text = page(
        table,
        runs,
        images_of(cfg.page.stores),
        suite=cfg.suite,
        measures=lists,
        data_cards=cards(),
        slices_a_set=cfg.page.slices_a_set,
        commands=[f"make reproduce-table3  # or, from the predictions alone: make results SUITE={cfg.suite}"],
    )
    write_text(path, text)
    return path


def _record(table: Table, written: Sequence[Path], recorded: Path) -> None:
    """Keep the outputs in the repository, if the table is whole."""
    if table.replaced:
        raise ValueError(f"record=true needs the real test sets; missing: {', '.join(table.replaced)}")
    empty = [f"{cell.row} {cell.column}" for cell in table.cells if not cell.n]
    if empty:
        raise ValueError(f"record=true needs a whole table; not measured: {', '.join(empty)}; run them first")
    recorded.mkdir(parents=True, exist_ok=True)
    for path in written:
        shutil.copyfile(path, recorded / path.name)
