"""One run on each GPU of a node: each takes a GPU that no other run holds."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from pathlib import Path
from typing import IO

_held: list[IO[str]] = []  # open for as long as the process lives; the system lets go of the lock, however it ends


def free_gpu(poll_seconds: float = 5.0) -> int:
    """Take the first GPU that no other run on this node holds, and make it the only one that this process sees.

    Waits while all are taken. Must be called before anything touches CUDA; a second call keeps the first one's GPU.

    Args:
        poll_seconds: time between two looks at the locks.

    Returns:
        1, the number of devices to train on.

    Raises:
        ValueError: `CUDA_VISIBLE_DEVICES` doesn't name the node's GPUs.
    """
    if _held:
        return 1
    gpus = [gpu for gpu in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu]
    if not gpus:
        raise ValueError(
            "trainer=one_gpu: CUDA_VISIBLE_DEVICES must name the GPUs that the runs share, such as 0,1,2,3; "
            "cluster=local sets it (hydra.launcher.gpus_per_node)"
        )
    while True:
        for gpu in gpus:
            lock = _lock(gpu)
            if lock is not None:
                _held.append(lock)
                os.environ["CUDA_VISIBLE_DEVICES"] = gpu
                return 1
        time.sleep(poll_seconds)


def _lock(gpu: str) -> IO[str] | None:
    path = Path(tempfile.gettempdir(), f"anatomy_clip_{os.getuid()}_gpu_{gpu}.lock")
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
