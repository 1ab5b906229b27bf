"""Pseudonyms for the ids of patients, and paths that stay below a source's root."""

from __future__ import annotations

import os
import secrets
import unicodedata
from collections.abc import Iterator
from functools import cached_property
from hashlib import blake2b
from math import inf
from pathlib import Path, PurePosixPath

from anatomy_clip.core.refusals import Refused

SALT = "ANATOMY_CLIP_SALT"  # environment variable
_LONGEST_PATH, _LONGEST_NAME = 2000, 255  # characters; bytes, past which file systems raise
_LEAST = 32  # characters of a salt that was made at random


class Pseudonyms:
    """Ids made by a keyed hash (BLAKE2b): the same for the same salt, and without it not to be traced back.

    Args:
        salt: the key. Whoever knows it can tell whether a guessed id is among the data. None: that of `salt_file`.
        salt_file: where a salt is kept that is made at random, see `kept_salt`; it is read when the first id is made.
            None, and no salt: one at random, kept nowhere.
    """

    def __init__(self, salt: str | None = None, salt_file: str | Path | None = None) -> None:
        self._salt = salt or (None if salt_file else random_salt())
        self._salt_file = Path(salt_file or "")

    @cached_property
    def _key(self) -> bytes:
        return blake2b((self._salt or kept_salt(self._salt_file)).encode(), digest_size=32).digest()

    @classmethod
    def of_environment(cls) -> Pseudonyms:
        """Those of the salt `ANATOMY_CLIP_SALT`; where it isn't set, of a word that everybody knows.

        Only for ids that are public or pseudonyms already, and that must agree from machine to machine.
        """
        return cls(os.environ.get(SALT) or "anatomy_clip")

    def __call__(self, kind: str, *parts: str) -> str:
        """Hash an id of a kind (patient, study, series): 16 hex digits."""
        return blake2b("\0".join(parts).encode(), digest_size=8, key=self._key, person=kind.encode()).hexdigest()


def random_salt() -> str:
    """A salt that nobody can guess."""
    return secrets.token_hex(_LEAST)


def kept_salt(file: Path) -> str:
    """The salt in a file; where there is no file yet, one is made at random that only its owner may read.

    Raises:
        ValueError: the file can't be read or written, or holds no salt.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as new:
                new.write(random_salt())
        except FileExistsError:
            pass
        salt = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{file}: the salt of the pseudonyms can't be saved here ({type(error).__name__}); check the permissions, "
            f"or set {SALT}"
        ) from error
    if len(salt) < _LEAST:
        raise ValueError(
            f"{file}: has no salt of {_LEAST} characters or more; restore it from a copy, or remove it: the ids are "
            "then made again with another salt"
        )
    return salt


def path_below(root: Path, name: str, where: str = "") -> Path:
    """Join a path from a table or a tree to its root.

    Args:
        root: the folder that must not be left.
        name: relative path, with `/`.
        where: what named the path, for the message.

    Raises:
        Refused: the path is absolute, holds `..` or a backslash, is no name of a file, or leaves the root by a link.
    """
    plain = PurePosixPath(name)
    if len(name) > _LONGEST_PATH or any(_bytes(part) > _LONGEST_NAME for part in plain.parts):
        raise Refused(f"path {name[:40]!r}... is too long, or it is not a valid file name", "correct it", where)
    if not name or "\0" in name or "\\" in name or plain.is_absolute() or ".." in plain.parts:
        raise Refused(f"path {name!r} is not below the source's root", "give a relative path without '..'", where)
    path = next((root / form for form in _spellings(str(plain)) if (root / form).exists()), root / plain)
    if not path.resolve().is_relative_to(root.resolve()):
        reason = f"path {name!r} leaves the source's root through a symbolic link"
        raise Refused(reason, "replace the link by a copy, or remove it", where)
    return path


def _bytes(part: str) -> float:
    try:
        return len(os.fsencode(part))
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can hold
        return inf


def _spellings(name: str) -> Iterator[str]:
    """A name as it is given, and with its accents composed and apart: file systems and spreadsheets differ in that."""
    yield from dict.fromkeys([name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)])


def walk_files(root: Path) -> Iterator[str]:
    """Walk the files of a tree in a fixed order, as relative paths with `/`.

    Hidden files and folders are left out. A link to a folder counts as a file, so that its reader meets `path_below`.

    Raises:
        ValueError: there is no such folder.
    """
    if not root.is_dir():
        raise ValueError(f"{root}: folder is missing; set source.root")
    for folder, below, names in os.walk(root):
        linked = [name for name in below if os.path.islink(os.path.join(folder, name))]
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in linked)
        for name in sorted([*names, *linked]):
            if not name.startswith("."):
                yield Path(folder, name).relative_to(root).as_posix()
