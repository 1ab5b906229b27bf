"""A suite's finished runs to tables and figures; needs no model and no GPU.

anatomy-clip results
anatomy-clip results suite=table3 readme=true
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from anatomy_clip.cli.configs import checkout, config_folder
from anatomy_clip.core.files import write_text
from anatomy_clip.results.confounds import confounds
from anatomy_clip.results.gallery import gallery
from anatomy_clip.results.join import joined
from anatomy_clip.results.layout import with_own_sets
from anatomy_clip.results.page import page
from anatomy_clip.results.panel import Panel, Suite, notes_of, panels_of
from anatomy_clip.results.read import read_suite
from anatomy_clip.results.readme import refresh
from anatomy_clip.results.table import read_paper
from anatomy_clip.results.trainings import repeats
from anatomy_clip.runs import wiring
from anatomy_clip.sources.cards import cards
from anatomy_clip.stores.store import images_of


def main(cfg: DictConfig) -> None:
    """Make every output of one suite, and print what its panels have for the terminal.

    Raises:
        ValueError: the suite has no finished run, the paper's numbers or the README can't be used, or columns differ
            in what they don't declare (all is written then, and says so).
    """
    kept = checkout() if cfg.record or cfg.readme else None
    shown = {"images": images_of(cfg.page.stores), "slices_a_set": cfg.page.slices_a_set}
    suite, confounded = suite_of(cfg, **shown)
    panels = panels_of(suite)
    folder = Path(cfg.paths.outputs) / cfg.suite
    written = []
    for panel in panels.values():
        for name, content in panel.files().items():
            written.append(folder / name)
            written[-1].write_bytes(content.encode() if isinstance(content, str) else content)
    written += _write_gallery(cfg.gallery, suite, folder)
    path = folder / "results.html"
    write_text(path, page(suite, panels, data_cards=cards(), commands=_commands(cfg.suite)))
    console = Console()
    for part in (part for panel in panels.values() for part in panel.terminal()):
        console.print(part)
    for note in notes_of(suite, panels):
        console.print(f"note: {note}", markup=False)
    if confounded and not cfg.allow_confounds:
        raise ValueError(
            f"{len(confounded)} undeclared difference(s) between columns, see the notes: run them again with equal "
            "settings, declare the keys under differs in conf/table, or add allow_confounds=true"
        )
    if kept:
        _record(panels, written, kept / cfg.recorded)
    if kept and cfg.readme:
        _refresh(kept / "README.md", cfg.suite, panels)
    console.print(f"written: {', '.join(str(path) for path in written)}", markup=False)
    console.print(f"open {path} in a browser: it shows intervals, every organ, errors and slices", markup=False)


def suite_of(cfg: DictConfig, **shown: Any) -> tuple[Suite, list[str]]:
    """Read a suite as the config names it.

    Args:
        cfg: of this program or of `publish`.
        shown: images that may be shown, and how many.

    Returns:
        The suite, and the undeclared differences between its columns, which are among its notes too.
    """
    layout = wiring.build(cfg.table, _convert_="all")
    outputs = Path(cfg.paths.outputs)
    layout = layout.without(name for name in layout.optional if not (outputs / cfg.suite / name).is_dir())
    columns = list(layout.columns)
    runs, notes = read_suite(outputs, cfg.suite, columns)
    runs, of_joined = joined(runs, outputs, layout.joined, columns)
    layout = with_own_sets(layout, runs)
    own = str(files("anatomy_clip.results") / "paper.yaml")
    paper, mean_gain = read_paper(Path(cfg.paper or own))
    confounded = confounds(runs, layout)
    notes = (*confounded, *repeats(runs), *notes, *of_joined)
    return Suite(cfg.suite, layout, runs, notes, paper=paper, mean_gain=mean_gain, **shown), confounded


def _commands(suite: str) -> list[str]:
    """What makes the page again."""
    if suite == "table3":
        return [f"make reproduce-table3  # or, from the predictions alone: make results SUITE={suite}"]
    has_table = (config_folder() / f"table/{suite}.yaml").is_file()
    return [f"anatomy-clip results suite={suite}{f' table={suite}' if has_table else ''}"]


def _write_gallery(cfg: DictConfig, suite: Suite, folder: Path) -> list[Path]:
    """Draw the picture, where there are slices to show; without the real volumes there is none."""
    named = [run for run in suite.runs if "zero_shot" in run.tables]
    if not named:
        return []
    run = next((run for run in named if run.name == cfg.column), None)
    images = images_of(cfg.stores) if run else {}
    if run is None or not set(images) & set(run.tables["zero_shot"]["set"]):
        wanted = " or ".join(cfg.stores)
        print(f"note: no picture was made: it needs the store and {cfg.column}'s predictions of {wanted}")
        return []
    path = folder / "gallery.png"
    column = suite.layout.columns.get(run.name, run.name)
    title = f"Real slices that training never saw, named by {column} (seed {run.seed})"
    gallery(run, images, path, columns=cfg.columns, rows=cfg.rows, title=title)
    return [path]


def _record(panels: Mapping[str, Panel], written: Sequence[Path], recorded: Path) -> None:
    """Keep the outputs in the repository, if they are whole."""
    gaps = [gap for panel in panels.values() for gap in panel.gaps()]
    if gaps:
        raise ValueError(f"record=true needs complete results; missing: {', '.join(gaps)}; run these first")
    recorded.mkdir(parents=True, exist_ok=True)
    for path in written:
        shutil.copyfile(path, recorded / path.name)


def _refresh(readme: Path, suite: str, panels: Mapping[str, Panel]) -> None:
    block = next((block for panel in panels.values() if (block := panel.readme())), None)
    if block is None:
        raise ValueError(
            "readme=true puts the zero-shot table or the summary into the README, but this suite has neither"
        )
    refresh(readme, suite, block)
