"""What `describe` takes from a DICOMweb server, a study, and what it gives back: SR documents (Structured Reports)."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from anatomy_clip import __version__
from anatomy_clip.core.refusals import Refusal
from anatomy_clip.describe.bundle.folder import Bundle
from anatomy_clip.describe.description import Description

if TYPE_CHECKING:
    from anatomy_clip.describe.pacs.server import Access


@contextmanager
def paths_to_describe(arguments: argparse.Namespace) -> Iterator[tuple[list[str], tuple[Refusal, ...]]]:
    """Paths to describe: those given, or a study from a server in a folder that goes away afterwards.

    Yields:
        The paths, and what the server couldn't give.

    Raises:
        ValueError: the server can't be reached or refuses, or has no such study.
    """
    if not arguments.dicomweb:
        yield arguments.paths, ()
        return
    from anatomy_clip.describe.pacs.dicomweb import fetch_study

    with tempfile.TemporaryDirectory(prefix="anatomy_clip_") as folder:
        found = fetch_study(
            arguments.dicomweb, arguments.study, Path(folder), series_uid=arguments.series, access=_access(arguments)
        )
        yield [folder], found.refusals


def write_and_store(arguments: argparse.Namespace, description: Description, bundle: Bundle) -> tuple[Refusal, ...]:
    """Write SR documents, and store them on the server, where that was asked for.

    Returns:
        The series without a document and the documents that the server didn't take, and why.

    Raises:
        ValueError: the folder can't be made.
    """
    if not (arguments.sr_out or arguments.store):
        return ()
    from anatomy_clip.describe.sr.tree import Algorithm
    from anatomy_clip.describe.sr.write import write_documents

    algorithm = Algorithm(bundle.name, bundle.versions.get("anatomy_clip", __version__), bundle.digest)
    with tempfile.TemporaryDirectory(prefix="anatomy_clip_") as folder:
        place = Path(arguments.sr_out or folder)
        paths, unwritten = write_documents(
            description, bundle.taxonomy, place, algorithm=algorithm, include_patient=arguments.sr_patient
        )
        unstored = _store(arguments, paths) if arguments.store else ()
    return (*unwritten, *unstored)


def with_refusals(
    arguments: argparse.Namespace, description: Description, paths: Sequence[str], refusals: Sequence[Refusal]
) -> Description:
    """The description with what else was refused; of a fetched study, paths as the server's series are numbered."""

    def inside(path: str) -> str:
        return (path.removeprefix(paths[0]).lstrip("/") or "study") if arguments.dicomweb else path

    series = tuple(replace(one, path=inside(one.path)) for one in description.series)
    refused = tuple(replace(one, where=inside(one.where)) for one in (*description.refusals, *refusals))
    return Description(series, refused)


def _store(arguments: argparse.Namespace, paths: tuple[Path, ...]) -> tuple[Refusal, ...]:
    from anatomy_clip.describe.pacs.dicomweb import store_document

    for done, path in enumerate(paths):
        try:
            store_document(arguments.dicomweb, path, access=_access(arguments))
        except ValueError as error:  # said with the description, which must not be lost
            left = len(paths) - done
            return (Refusal(f"{left} of {len(paths)} SR documents not stored: {error}", where=path.name),)
    print(f"{len(paths)} of {len(paths)} SR documents stored", file=sys.stderr)
    return ()


def _access(arguments: argparse.Namespace) -> Access:
    from anatomy_clip.describe.pacs.server import Access

    bundle, certificate = (Path(name) if name else None for name in (arguments.ca_bundle, arguments.client_cert))
    return Access(ca_bundle=bundle, certificate=certificate)
