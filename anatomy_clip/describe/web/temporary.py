"""A folder for uploads: it is removed when the server ends, and soon after if the server was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX, _LOCK = "anatomy_clip_serve_", "lock"


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that this user alone can read, removed at the end; those of servers that were killed are removed too."""
    _remove_orphans()
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        with (Path(name) / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the system lets go of it however this process ends
            yield Path(name)


def _remove_orphans() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError), path.open("r+") as lock:
            if path.parent.lstat().st_uid == os.getuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its server runs
                shutil.rmtree(path.parent, ignore_errors=True)
