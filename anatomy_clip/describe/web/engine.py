"""The process that reads files and runs the network: if it fails, the page keeps working."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anatomy_clip.core.refusals import Refused
from anatomy_clip.describe.web.messages import Comparison, Described, Pictures, Progress

if TYPE_CHECKING:
    from anatomy_clip.describe.web.tasks import Tasks

_STOP = ("stop",)


class Stopped(Exception):
    """The user doesn't want the answer any more."""


class EngineError(Exception):
    """The process ended, or failed in a way that nobody foresaw; the message says what the user can do."""


class Engine:
    """The server's side of the process: takes one task at a time, others wait for their turn.

    Args:
        bundle: folder of the bundle.
    """

    def __init__(self, bundle: Path) -> None:
        self._bundle = bundle
        self._turn = threading.Lock()
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._closed = False

    def describe(
        self, folder: Path, modality: str | None, progress: Progress, is_stopped: Callable[[], bool]
    ) -> Described:
        """Describe the files in a folder; temporary files are made below it too.

        Args:
            folder: with the files in `FILES` and an empty `SCRATCH`.
            modality: of what doesn't say it itself; None: estimated from the image.
            progress: told how many slices are done and found.
            is_stopped: asked after every step whether the answer is still wanted.

        Raises:
            Refused: what was asked can't be described; says why.
            Stopped: it isn't wanted any more.
            EngineError: the process came to harm.
        """
        described: Described = self._ask(("describe", str(folder), modality), progress, is_stopped)
        return described

    def compare(self, picture: Pictures, captions: Sequence[str]) -> Comparison:
        """Say how well captions fit a slice, (side, side).

        Raises:
            Refused: a caption is too long for the model.
            EngineError: the process came to harm.
        """
        compared: Comparison = self._ask(("compare", picture, list(captions)))
        return compared

    def start(self) -> None:
        """Start the process unless it runs; it loads the network before its first task."""
        if self._closed or (self._process and self._process.is_alive()):
            return
        if self._connection:
            self._connection.close()
        context = get_context("spawn")  # this process has threads: a fork of it could lock up
        self._connection, far = context.Pipe()
        self._process = context.Process(target=_serve, args=(far, str(self._bundle)))
        self._process.start()
        far.close()

    def close(self) -> None:
        """End the process, and whatever it has started."""
        self._closed = True
        self._end()

    def _end(self) -> None:
        if self._process is None:
            return
        pid = self._process.pid
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if pid and self._process.is_alive() and os.getpgid(pid) == pid:
                os.killpg(pid, signal.SIGKILL)
        self._process.kill()
        self._process.join()

    def _ask(
        self, task: tuple[Any, ...], progress: Progress | None = None, is_stopped: Callable[[], bool] = lambda: False
    ) -> Any:
        with self._turn:
            if is_stopped():
                raise Stopped
            self.start()
            if self._connection is None or self._closed:
                raise EngineError("the server is being shut down")
            try:
                self._connection.send(task)
                return self._answer(self._connection, progress, is_stopped)
            except (EOFError, OSError) as error:
                self._end()
                raise EngineError(
                    "the process that describes ended unexpectedly; try again, with fewer files"
                ) from error

    def _answer(self, connection: Connection, progress: Progress | None, is_stopped: Callable[[], bool]) -> Any:
        told = False
        while True:
            if not told and is_stopped():
                connection.send(_STOP)
                told = True
            if not connection.poll(0.2):
                continue
            match connection.recv():
                case ("progress", done, found):
                    if progress:
                        progress(done, found)
                case ("answer", value):
                    return value
                case ("refused", message):
                    raise Refused(message)
                case ("stopped",):
                    raise Stopped
                case ("failed", kind):
                    raise EngineError(f"an unexpected fault ({kind}); please report it, without the files")


def _serve(connection: Connection, bundle: str) -> None:
    """The process: does tasks until the server hangs up."""
    os.setsid()  # so that the server can end it together with its readers; Ctrl-C is the server's business
    _silence()
    from anatomy_clip.describe.web.tasks import Tasks  # imports numpy and what reads files

    tasks = Tasks(bundle)
    with contextlib.suppress(Exception):  # the first task says what is wrong
        tasks.load()
    with contextlib.suppress(EOFError, OSError):
        while True:
            task = connection.recv()
            if task != _STOP:  # it came after the answer
                connection.send(_reply(tasks, task, connection))


def _reply(tasks: Tasks, task: tuple[Any, ...], connection: Connection) -> tuple[Any, ...]:
    def progress(done: int, found: int) -> None:
        connection.send(("progress", done, found))
        if connection.poll():
            connection.recv()
            raise Stopped

    try:
        return ("answer", tasks.do(task, progress))
    except Stopped:
        return ("stopped",)
    except ValueError as error:
        return ("refused", str(error))
    except Exception as error:
        return ("failed", type(error).__name__)


def _silence() -> None:
    """Drop what libraries print: their warnings quote headers and paths, which name patients."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
