"""How many processors this process may use, and how threads that compute together wait for each other."""

from __future__ import annotations

import os
import time
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


def free_processors(seconds: float = 0.5) -> int:
    """Processors that nobody else uses now, at least 1; those that this process may use where the system doesn't tell.

    Args:
        seconds: how long to look; the caller should do nothing else meanwhile.
    """
    before, start = _idle_seconds(), time.perf_counter()
    if not before:
        return processors()
    time.sleep(seconds)
    took = time.perf_counter() - start
    idle = sum(after - was for was, after in zip(before, _idle_seconds(), strict=True)) / took
    return max(1, min(processors(), round(idle)))


def _idle_seconds() -> list[float]:
    """Seconds that each processor of this process has been idle since the system's start; Linux only."""
    try:
        lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
        bound, tick = os.sched_getaffinity(0), os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return []
    named = {f"cpu{number}" for number in bound}
    return [(int(line[4]) + int(line[5])) / tick for line in lines if line and line[0] in named]  # idle, and for a disk


def share_processors() -> None:
    """Let threads that wait for others sleep; by default they spin, and keep a busy machine from doing the work.

    To be called before torch is imported. What the environment already says is kept.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
