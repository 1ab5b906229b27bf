"""Limits of one task, and refusals for tasks that raise; the limits are set on the process that does the task."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from anatomy_clip.core.refusals import Refusal, Refused

Task = TypeVar("Task")
Result = TypeVar("Result")

SUSPECT = "the file may be damaged: fetch it again, or leave it out"
GIB = 2**30
_BACKSTOP = 10.0  # seconds past its limit after which a process ends itself, should its parent be gone
_LONGEST = 1000  # characters of a reason


@dataclass(frozen=True)
class Limits:
    """Limits of one task; None = no limit.

    Attributes:
        seconds: wall-clock time.
        memory_gb: memory on top of what its worker holds when the task begins, GiB; Linux only.

    Raises:
        ValueError: a limit isn't above 0.
    """

    seconds: float | None = None
    memory_gb: float | None = None

    def __post_init__(self) -> None:
        for name in ("seconds", "memory_gb"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name}={value}: give a limit above 0, or null for none")


def refusal_of(error: BaseException, limits: Limits | None = None) -> Refusal:
    """Word an exception in one line: the remedy is what follows the last `;` of a ValueError's message."""
    if isinstance(error, Refused):
        return error.refusal
    try:
        text = " ".join(str(error).split())[:_LONGEST]
    except BaseException:  # an exception may be broken too
        text = ""
    kind = type(error).__name__
    if isinstance(error, MemoryError):
        allowed = (
            f"more than memory_gb={limits.memory_gb:g}" if limits and limits.memory_gb else "more than this machine has"
        )
        return Refusal(f"needs too much memory, {allowed}", "raise memory_gb, or leave it out")
    if isinstance(error, RecursionError):
        return Refusal(f"{kind}: it is nested too deeply", SUSPECT)
    if not isinstance(error, ValueError):
        return Refusal(f"{kind}: {text}".rstrip(": "), SUSPECT)
    reason, _, remedy = text.rpartition(";")
    return Refusal(reason.strip(), remedy.strip()) if reason else Refusal(text or kind, "correct it, or leave it out")


def attempt(call: Callable[[Task], Result], task: Task, limits: Limits) -> Result | Refusal:
    """Call a function within limits; whatever it raises becomes a `Refusal`, but for Ctrl-C."""
    try:
        with _limited(limits):
            return call(task)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit, and Rust's PanicException, are no Exceptions
        return refusal_of(error, limits)


@contextlib.contextmanager
def _limited(limits: Limits) -> Iterator[None]:
    """Hold this process to the limits; the parent does so too for time, as it can where this one hangs."""
    import resource

    # Not RLIMIT_AS: it counts what is only reserved, such as a thread's arena of 64 MB, many times over.
    kind, bound = resource.RLIMIT_DATA, resource.getrlimit(resource.RLIMIT_DATA)
    if limits.memory_gb is not None and (held := held_memory()):
        wanted = held + int(limits.memory_gb * GIB)
        hard = bound[1]
        resource.setrlimit(kind, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    if limits.seconds is not None:
        signal.setitimer(signal.ITIMER_REAL, limits.seconds + _BACKSTOP)
    try:
        yield
    finally:
        if limits.memory_gb is not None:
            resource.setrlimit(kind, bound)
        if limits.seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)


def held_memory() -> int:
    """Writable private memory of this process, bytes, as RLIMIT_DATA counts it; 0 where the system doesn't say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
