"""Check stores: checksums, labels, what they hold, and whether they share patients or slices.

anatomy-clip check
anatomy-clip check '+stores.real=data/real/real'
anatomy-clip check stores=none +stores.ct=data/totalsegmentator_ct/test levels=3
anatomy-clip check stores=films
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from anatomy_clip.anatomy.labels import organs_in, stations_in
from anatomy_clip.core.radiographs import RADIOGRAPHS
from anatomy_clip.runs import wiring
from anatomy_clip.stores import coverage, film_coverage, levels
from anatomy_clip.stores.leakage import leaks
from anatomy_clip.stores.store import Store

_SHOWN = 20  # leaks printed
_WIDE = 104  # columns that the table of findings takes


def main(cfg: DictConfig) -> int:
    """Check the stores; returns the exit status, 1 where they share something."""
    return int(check(cfg) > 0)


def check(cfg: DictConfig) -> int:
    """Print what the stores hold and draw it.

    Returns:
        How many leaks there are.

    Raises:
        ValueError: a store is missing or broken, or states a label that the taxonomy lacks.
    """
    console = Console(width=max(Console().width, _WIDE))
    stores = {name: Store.open(folder, verify=True, kind=None) for name, folder in cfg.stores.items()}
    films = {name: store.manifest for name, store in stores.items() if store.manifest.kind is RADIOGRAPHS}
    slices = {name: store for name, store in stores.items() if name not in films}
    if slices:
        _check_slices(cfg, console, slices)
    if films:
        console.print(film_coverage.film_summary(films))
        for name, records in films.items():
            console.print(film_coverage.finding_table(name, records))
    found = leaks(stores, across_sources=cfg.across_sources)
    for leak in found[:_SHOWN]:
        print(f"leak: {leak}")
    print(
        f"{len(stores)} store(s) complete, {len(found)} leak(s) found" + (f"; drawn in {cfg.figure}" if slices else "")
    )
    return len(found)


def _check_slices(cfg: DictConfig, console: Console, stores: Mapping[str, Store]) -> None:
    """Check the labels of stores of slices, print what they hold and draw it."""
    taxonomy = wiring.build(cfg.taxonomy)
    for store in stores.values():
        for n, record in enumerate(store.manifest):
            try:
                taxonomy.organ_vector(organs_in(record, taxonomy) or ())
                taxonomy.station_vector(stations_in(record, taxonomy) or ())
            except ValueError as error:
                raise ValueError(f"{store.path}, row {n}: {error}") from error
    records = {name: store.manifest for name, store in stores.items()}
    console.print(coverage.summary(records))
    for name in records:
        for kind in ("station", "organ"):
            console.print(coverage.matrix(name, records[name], taxonomy, kind))
        for series, rows in list(levels.axial_series(records[name]).items())[: cfg.levels]:
            console.print(levels.table(f"{name}, {series}", rows, taxonomy))
    coverage.draw(records, taxonomy, Path(cfg.figure))
