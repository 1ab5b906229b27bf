"""Names that a browser gives, made safe to write under."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from anatomy_clip.core.refusals import Refused

_LONGEST = 120  # characters of one part of a name
_DEEPEST = 12  # folders in one another


def safe_name(given: str) -> PurePosixPath:
    """Make a name one that stays below the folder it is put in: no `..`, no drive, no hidden file, no control letters.

    Raises:
        Refused: nothing of it is left.
    """
    parts = [_part(part) for part in given.replace("\\", "/").split("/")]
    kept = [part for part in parts if part][-_DEEPEST:]
    if not kept:
        raise Refused("the file has no usable name", "rename it")
    return PurePosixPath(*kept)


def free_place(folder: Path, name: PurePosixPath) -> Path:
    """A path below a folder at which nothing is yet: the name, or the name with a number before it.

    Raises:
        Refused: ten thousand files have that name.
    """
    top, *rest = name.parts
    for number in range(1, 10_000):
        place = folder.joinpath(f"({number}) {top}" if number > 1 else top, *rest)
        in_a_file = any(above.is_file() for above in place.parents if folder in above.parents)
        if not in_a_file and not place.exists():
            return place
    raise Refused("too many files have the same name", "rename them")


def _part(part: str) -> str:
    plain = "".join(letter for letter in part if letter.isprintable() and letter != ":").lstrip(". ").rstrip()
    plain = plain.encode("utf-8", "ignore").decode()  # a lone surrogate can't be written
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST // 2] + plain[-_LONGEST // 2 :]
