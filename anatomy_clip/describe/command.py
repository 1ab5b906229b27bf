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
from anatomy_clip.describe.outputs import check_outputs, written
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
    check_outputs(arguments)
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
        with written(f"--csv {arguments.csv}"):
            write_csv(description, Path(arguments.csv))
    if arguments.plot:
        from anatomy_clip.describe.plot import write_plot

        with written(f"--plot {arguments.plot}"):
            write_plot(description, describer.bundle.taxonomy.stations, Path(arguments.plot))
    with written("standard output"):
        _print(description, arguments)
        sys.stdout.flush()
    return status(description)


def status(description: Description) -> int:
    """Exit status: 0 all described, 1 nothing, 3 some files were refused."""
    if not description.series:
        return NOTHING
    return SOME if description.refusals else ALL


def _print(description: Description, arguments: argparse.Namespace) -> None:
    if arguments.json:
        json.dump((contradicted(description) if arguments.audit else description).plain(), sys.stdout, indent=1)
        print()
    elif arguments.audit:
        print_audit(description)
    else:
        print_table(description)


@contextmanager
def _bar() -> Iterator[Progress]:
    """A bar on standard error, or a line where that is no terminal."""
    from tqdm import tqdm

    if not sys.stderr.isatty():
        print("reading files; the first result takes some seconds", file=sys.stderr, flush=True)

    with tqdm(unit="slice", leave=False, disable=None, file=sys.stderr) as bar:

        def progress(done: int, found: int) -> None:
            bar.total = found
            bar.update(done - bar.n)

        yield progress
