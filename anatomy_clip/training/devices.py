"""GPUs: whether those that a run asks for are there, and one run on each of a node's, which no other run holds."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

_held: list[IO[str]] = []  # open for as long as the process lives; the system lets go of the lock, however it ends


def check_devices(accelerator: str, devices: Any) -> None:
    """Refuse a trainer that asks for more GPUs than PyTorch can use here.

    Args:
        accelerator: Lightning's setting; other kinds than NVIDIA's GPUs are left to Lightning.
        devices: Lightning's setting: how many on each node, or which.

    Raises:
        ValueError: says how many there are, and what to set.
    """
    if accelerator not in ("gpu", "cuda"):
        return
    import torch

    there, asked = torch.cuda.device_count(), len(devices) if isinstance(devices, Sequence) else devices
    remedy = f"set trainer.devices to at most {there}" if there else "set trainer=cpu"
    if not there or (isinstance(asked, int) and asked > there):
        raise ValueError(f"trainer.devices={devices}: PyTorch finds {there or 'no'} GPU on this machine; {remedy}")


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
            "trainer=one_gpu: CUDA_VISIBLE_DEVICES must list the GPUs that the runs share, such as 0,1,2,3; "
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
