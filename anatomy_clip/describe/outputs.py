"""The files that results are written to, checked before the work begins."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ELSEWHERE = "choose another place"


def check_outputs(arguments: argparse.Namespace) -> None:
    """Refuse outputs of `describe` that can't be written, or would be written over what is to be described.

    Raises:
        ValueError: names the option and the path, and says what to do.
    """
    if sys.stdout is None or sys.stdout.closed:
        raise ValueError("standard output is closed, so the result would be lost; keep it open")
    given = [Path(path) for path in arguments.paths]
    files = {name: Path(path) for name in ("csv", "plot") if (path := getattr(arguments, name))}
    for name, path in files.items():
        _check_file(f"--{name} {path}", path, given)
    if len(files) == 2 and len({path.resolve() for path in files.values()}) == 1:
        raise ValueError(f"--csv and --plot both name {path}; give each its own file")
    if "plot" in files:
        from anatomy_clip.describe.plot import check_ending

        check_ending(files["plot"])
    if arguments.sr_out:
        _check_folder(f"--sr-out {arguments.sr_out}", Path(arguments.sr_out), given)


@contextmanager
def written(what: str) -> Iterator[None]:
    """Say in one line why an output couldn't be written after all: a disk may be full by then.

    Raises:
        ValueError: in place of an `OSError`.
    """
    try:
        yield
    except BrokenPipeError:  # whoever read the answer has seen enough
        raise
    except OSError as error:
        raise ValueError(f"{what}: can't be written ({error.strerror or type(error).__name__}); {_ELSEWHERE}") from None


def _check_file(what: str, path: Path, given: list[Path]) -> None:
    if path.is_dir():
        raise ValueError(f"{what}: is a folder; give a file in it")
    if not path.parent.is_dir():
        raise ValueError(f"{what}: its folder does not exist; create it first")
    if path.exists() and not path.is_file():
        return  # a device or a pipe
    if any(path.resolve() == one.resolve() for one in given):
        raise ValueError(f"{what}: is one of the inputs; {_ELSEWHERE}")
    with written(what):
        _try(path.parent)
        if path.exists():
            path.open("ab").close()


def _check_folder(what: str, path: Path, given: list[Path]) -> None:
    place = path.resolve()
    for one in (each.resolve() for each in given):
        if place == one.parent if one.is_file() else place.is_relative_to(one):
            raise ValueError(f"{what}: is inside the folder of the study; choose a folder outside of it")
    if path.exists() and not path.is_dir():
        raise ValueError(f"{what}: is not a folder; {_ELSEWHERE}")
    if any(path.glob("report_*.dcm")):
        raise ValueError(f"{what}: already contains reports; choose another folder, or remove them")
    with written(what):
        _try(next(folder for folder in (place, *place.parents) if folder.exists()))


def _try(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder):
        pass
