"""One bad task costs that task: crashes, hangs, memory bombs and whatever can be raised."""

import ctypes
import faulthandler
import mmap
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from anatomy_clip.core.limits import Limits, refusal_of
from anatomy_clip.core.refusals import Refusal
from anatomy_clip.core.workers import run_tasks

LIMITS = Limits(seconds=4.0, memory_gb=0.25)  # a busy machine needs more than one to fill the memory


class Panic(BaseException):
    """What a Rust extension raises on a damaged file."""


class Broken(ValueError):
    def __str__(self):
        raise Panic


def segfault():
    faulthandler.disable()  # pytest's would print a page about it
    ctypes.string_at(0)


def recurse(n):
    return recurse(n + 1) + 1


def raise_(error):
    raise error


DEEDS = {
    "segfault": segfault,
    "hang": lambda: time.sleep(60),
    "hang with the GIL held": lambda: ctypes.PyDLL(None).sleep(60),
    "memory": lambda: np.ones(2**29, np.uint8).sum(),
    "memory in steps": lambda: [bytearray(2**20) for _ in range(2**11)],
    "exit": lambda: os._exit(7),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "panic": lambda: raise_(Panic("index out of bounds")),
    "system exit": lambda: sys.exit("gone"),
    "recursion": lambda: recurse(0),
    "value": lambda: raise_(ValueError("a.nii: truncated; not whole; fetch it again")),
    "broken": lambda: raise_(Broken()),
    "unpicklable": lambda: lambda: 0,
    "good": lambda: "good",
}
REASONS = {
    "segfault": "its process was ended by SIGSEGV",
    "hang": "took longer than seconds=4",
    "hang with the GIL held": "took longer than seconds=4",
    "memory": "needs too much memory, more than memory_gb=0.25",
    "memory in steps": "needs too much memory, more than memory_gb=0.25",
    "exit": "its process ended with status 7",
    "killed": "its process was ended by SIGKILL (out of memory?)",
    "panic": "Panic: index out of bounds",
    "system exit": "SystemExit: gone",
    "recursion": "RecursionError: it is nested too deeply",
    "value": "a.nii: truncated; not whole",
    "broken": "Broken",
}


def do(deed):
    return DEEDS[deed]()


@pytest.mark.parametrize("workers", [1, 3])
def test_every_bad_task_is_reported_and_every_good_one_done(workers):
    tasks = [task for deed in DEEDS for task in ("good", deed)]
    outcomes = list(run_tasks(do, tasks, workers, LIMITS))
    assert sorted(task for task, _ in outcomes) == sorted(tasks)
    for deed, outcome in outcomes:
        if deed == "good":
            assert outcome == "good"
        else:
            assert isinstance(outcome, Refusal) and outcome.remedy and "\n" not in outcome.reason
            assert outcome.reason == REASONS.get(deed, outcome.reason), deed
    remedies = {deed: outcome.remedy for deed, outcome in outcomes if deed != "good"}
    assert remedies["value"] == "fetch it again"
    assert remedies["hang"] == "increase seconds, or leave it out"
    assert remedies["memory"] == "raise memory_gb, or leave it out"


def test_without_workers_whatever_is_raised_is_reported_too():
    outcomes = dict(run_tasks(do, ["panic", "good", "recursion", "system exit"], 0))
    assert outcomes["good"] == "good"
    assert all(isinstance(outcomes[deed], Refusal) for deed in ("panic", "recursion", "system exit"))


def test_a_worker_is_used_again_and_tasks_are_taken_as_it_gets_free():
    taken = []

    def tasks():
        for n in range(50):
            taken.append(n)
            yield n

    outcomes = run_tasks(lambda n: (n, os.getpid()), tasks(), 2, LIMITS)
    _, (_, first) = next(outcomes)
    assert len(taken) <= 4
    pids = {first} | {pid for _, (_, pid) in outcomes}
    assert len(pids) == 2 and os.getpid() not in pids


def test_a_worker_that_keeps_too_much_is_replaced():
    kept = []

    def hoard(n):
        # not an array: one may take what the tests before have freed, so that nothing is added to what is held
        kept.append(mmap.mmap(-1, 100 * 2**20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        return os.getpid()

    pids = [pid for _, pid in run_tasks(hoard, range(9), 1, LIMITS)]
    assert len(set(pids)) == 3


def test_an_idle_worker_that_was_killed_is_replaced_before_it_gets_a_task():
    def tasks():
        yield 0
        os.kill(pids[0], signal.SIGKILL)
        time.sleep(0.2)
        yield 1

    pids = []
    for _, pid in run_tasks(lambda n: os.getpid(), tasks(), 1, LIMITS):
        pids.append(pid)
    assert len(set(pids)) == 2 and all(isinstance(pid, int) for pid in pids)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_closing_it_ends_its_workers_at_once():
    outcomes = run_tasks(lambda n: time.sleep(n) or os.getpid(), [0, 60], 2, Limits(seconds=100))
    _, pid = next(outcomes)
    start = time.monotonic()
    outcomes.close()
    assert time.monotonic() - start < 5 and not alive(pid)


INTERRUPTED = """
import os, sys, time
from anatomy_clip.core.workers import run_tasks
def call(n):
    os.write(1, f"{os.getpid()}\\n".encode())  # whole lines, whatever the buffering
    time.sleep(60)
try:
    list(run_tasks(call, range(4), 2))
except KeyboardInterrupt:
    sys.exit(5)
"""


def test_ctrl_c_stops_everything_at_once():
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    ) as parent:  # fmt: skip
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        start = time.monotonic()
        os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: to the whole group
        assert parent.wait(20) == 5
        assert time.monotonic() - start < 10
        assert parent.stdout.read() == "" and not any(alive(pid) for pid in pids)


def test_limits_must_be_above_0():
    with pytest.raises(ValueError, match="memory_gb=0: give a limit above 0, or null"):
        Limits(memory_gb=0)
    assert refusal_of(ValueError("no remedy named")).reason == "no remedy named"
