"""The subcommand `describe`: arguments to files and lines."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anatomy_clip.core.limits import Limits
from anatomy_clip.describe.description import Description
from anatomy_clip.describe.pacs import exchange
from anatomy_clip.describe.pipeline import Progress
from anatomy_clip.describe.predictor import Describer
from anatomy_clip.describe.table import contradicted, print_audit, print_table, write_csv

ALL, NOTHING, SOME = 0, 1, 3  # exit statuses


def run(arguments: argparse.Namespace) -> int:
    """Describe, print and write; returns the exit status.

    Raises:
        ValueError: a path is missing, a value is out of range, or the bundle or an output can't be used.
    """
    limits = Limits(arguments.seconds, arguments.memory_gb)
    outputs = [Path(name) for name in (arguments.csv, arguments.plot) if name]
    for path in outputs:  # now, not after minutes of work
        if not path.parent.is_dir():
            raise ValueError(f"{path}: its folder is missing; make it first")
    with (
        Describer.from_bundle(arguments.bundle, onnx=arguments.onnx) as describer,
        exchange.paths_to_describe(arguments) as (paths, missing),
        _bar() as progress,
    ):
        found = describer.describe(
            paths,
            modality=arguments.modality,
            workers=arguments.workers,
            batch_size=arguments.batch_size,
            limits=limits,
            pictures=arguments.plot is not None,
            progress=progress,
        )
        unsent = exchange.write_and_store(arguments, found, describer.bundle)
    description = exchange.with_refusals(arguments, found, paths, (*missing, *unsent))
    if arguments.csv:
        write_csv(description, Path(arguments.csv))
    if arguments.plot:
        from anatomy_clip.describe.plot import write_plot

        write_plot(description, describer.bundle.taxonomy.stations, Path(arguments.plot))
    if arguments.json:
        json.dump((contradicted(description) if arguments.audit else description).plain(), sys.stdout, indent=1)
        print()
    elif arguments.audit:
        print_audit(description)
    else:
        print_table(description)
    return status(description)


def status(description: Description) -> int:
    """Exit status: 0 all described, 1 nothing, 3 some files were refused."""
    if not description.series:
        return NOTHING
    return SOME if description.refusals else ALL


@contextmanager
def _bar() -> Iterator[Progress]:
    """A bar on standard error, where that is a terminal."""
    from tqdm import tqdm

    with tqdm(unit="slice", leave=False, disable=None, file=sys.stderr) as bar:

        def progress(done: int, found: int) -> None:
            bar.total = found
            bar.update(done - bar.n)

        yield progress
