"""Worker processes: a crash, a hang or excessive memory use ends only the task that caused it."""

from __future__ import annotations

import contextlib
import pickle
import signal
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, Generic

from anatomy_clip.core.limits import GIB, SUSPECT, Limits, Result, Task, attempt, held_memory, refusal_of
from anatomy_clip.core.refusals import Refusal


def run_tasks(
    call: Callable[[Task], Result], tasks: Iterable[Task], workers: int, limits: Limits | None = None
) -> Generator[tuple[Task, Result | Refusal], None, None]:
    """Call a function on each task in worker processes, and yield (task, result or refusal) as they get done.

    A worker that crashes or runs past its time is replaced. Whatever a task raises becomes a `Refusal`. Workers are
    forked, so `call` needn't be picklable; tasks and results must be. Closing the generator, or Ctrl-C, kills all.

    Args:
        call: the function.
        tasks: its arguments; taken as workers get free.
        workers: number of processes; 0 = this process, without limits and without shelter from crashes.
        limits: what one task may use.
    """
    if not workers:
        yield from ((task, attempt(call, task, Limits())) for task in tasks)
        return
    busy: list[_Worker[Task, Result]] = []
    idle: list[_Worker[Task, Result]] = []
    queue, limits = iter(tasks), limits or Limits()
    try:
        while True:
            for task in islice(queue, workers - len(busy)):
                worker = idle.pop() if idle else _Worker(call, limits, busy)
                if not worker.process.is_alive():  # killed from outside while it had nothing to do
                    worker.end()
                    worker = _Worker(call, limits, busy)
                busy.append(worker)  # first, so that it is ended whatever happens
                worker.begin(task)
            if not busy:
                return
            wait([worker.connection for worker in busy], min(worker.seconds_left() for worker in busy))
            for worker in [worker for worker in busy if worker.is_over()]:
                outcome, reusable = worker.outcome()
                busy.remove(worker)
                if reusable:
                    idle.append(worker)
                yield worker.task, outcome
    finally:
        for worker in [*busy, *idle]:
            worker.end()


class _Worker(Generic[Task, Result]):
    """The parent's side of one process, and the task that it does."""

    def __init__(self, call: Callable[[Task], Result], limits: Limits, others: Sequence[_Worker[Any, Any]]) -> None:
        context = get_context("fork")
        self.connection, far = context.Pipe()
        # A child must let go of what it inherits, or it would keep its siblings' pipes open.
        inherited = [self.connection, *(other.connection for other in others)]
        self.limits = limits
        self.deadline: float | None = None
        self.process = context.Process(target=_serve, args=(call, limits, far, inherited), daemon=True)
        self.process.start()
        far.close()
        self.task: Task

    def begin(self, task: Task) -> None:
        self.task = task
        self.deadline = time.monotonic() + self.limits.seconds if self.limits.seconds else None
        with contextlib.suppress(BrokenPipeError):  # `outcome` says why
            self.connection.send(task)

    def seconds_left(self) -> float:
        # An hour where there is no limit: `wait` takes no infinity.
        return 3600.0 if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def is_over(self) -> bool:
        return self.connection.poll(0) or self.seconds_left() <= 0

    def outcome(self) -> tuple[Result | Refusal, bool]:
        """What became of the task, and whether the worker can take another."""
        if not self.connection.poll(0):
            self.end()
            limit = self.limits.seconds
            return Refusal(f"took longer than seconds={limit:g}", "increase seconds, or leave it out"), False
        try:
            result, reusable = self.connection.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            self.process.join(1)
            how = _cause_of_death(self.process.exitcode)
            self.end()
            return Refusal(how, SUSPECT), False
        if not reusable:
            self.end()
        return result, reusable

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def _serve(call: Callable[[Any], Any], limits: Limits, connection: Connection, inherited: Sequence[Connection]) -> None:
    """The worker's side: take tasks until the parent hangs up."""
    for other in inherited:
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business, which kills its workers
    for name in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(name, signal.SIG_DFL)
    at_start = held_memory()
    with contextlib.suppress(EOFError, OSError):  # the parent is gone
        while True:
            result = attempt(call, connection.recv(), limits)
            # A worker in which readers have left too much behind gives its place to a fresh one.
            reusable = limits.memory_gb is None or held_memory() - at_start < limits.memory_gb * GIB
            try:
                connection.send((result, reusable))
            except (pickle.PicklingError, TypeError, AttributeError) as error:
                connection.send((refusal_of(error), reusable))


def _cause_of_death(code: int | None) -> str:
    if code is None:
        return "its process stopped without an answer"
    if code >= 0:
        return f"its process ended with status {code}"
    name = signal.Signals(-code).name if -code in {s.value for s in signal.Signals} else str(-code)
    return f"its process was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
