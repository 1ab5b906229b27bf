"""Checkpoint files that are either whole or not there."""

from __future__ import annotations

import errno
import pickle
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from torch.utils._pytree import tree_leaves

from anatomy_clip.core.files import whole_file

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no space, over the quota, over the limit of one file


class DiskFull(ValueError):
    """There is no room for a checkpoint; the one before it is whole."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, flushes to disk, then renames.

    Lightning's own atomic save goes through TMPDIR and a move, which truncates the checkpoint when the process is
    killed and TMPDIR is another file system.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint so that `path` always holds a whole one.

        Raises:
            DiskFull: there is no room; the message says how much is needed, and the checkpoint before it is kept.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with whole_file(target) as partial, partial.open("wb") as file:
                torch.save(checkpoint, file)
        except BaseException as error:
            if _is_full(error):
                raise DiskFull(_remedy(target, tensor_bytes(checkpoint))) from error
            raise

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            ValueError: the file can't be read.
        """
        try:
            return super().load_checkpoint(path, map_location, weights_only)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise ValueError(
                f"{path}: can't be read as a checkpoint ({type(error).__name__}); delete it to train from the start"
            ) from error


def tensor_bytes(checkpoint: Any) -> int:
    """Bytes of all tensors in nested dicts and lists: nearly the size of the checkpoint's file."""
    return sum(leaf.nbytes for leaf in tree_leaves(checkpoint) if isinstance(leaf, torch.Tensor))


def _is_full(error: BaseException | None) -> bool:
    # torch.save answers a failed write with a RuntimeError of its own; what the disk said stands behind it.
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def _remedy(target: Path, needed: int) -> str:
    free = shutil.disk_usage(target.parent).free
    kept = "the previous checkpoint is complete" if target.exists() else "there is no checkpoint yet"
    return (
        f"{target.parent}: there is no space for {target.name}: it needs {needed / 1e6:,.1f} MB and {free / 1e6:,.1f} "
        f"MB are free (a quota may leave less); {kept}; free disk space, or set paths.outputs to another disk, and "
        "run it again"
    )
