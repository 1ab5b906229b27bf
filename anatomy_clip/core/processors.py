"""How many processors this process may use, and how threads that compute together wait for each other."""

from __future__ import annotations

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds of processor time, and in how many


def processors(quota: Path = _QUOTA) -> int:
    """Processors that this process may use: those it is bound to, and no more than its container is given.

    Args:
        quota: file of the container's quota (cgroup v2); one that is absent or says "max" sets no limit.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        given, period = quota.read_text().split()
        return max(1, min(bound, int(given) // int(period)))
    except (OSError, ValueError):
        return bound


def share_processors() -> None:
    """Let threads that wait for others sleep; by default they spin, and keep a busy machine from doing the work.

    To be called before torch is imported. It changes no number: the count of threads is that of the processors in any
    case. What the environment already says is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if (given := processors()) < (os.cpu_count() or 1):
        os.environ.setdefault("OMP_NUM_THREADS", str(given))
