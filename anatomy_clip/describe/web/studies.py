"""Studies that the page was given: received within limits, described one at a time, and removed again."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

from anatomy_clip.core.refusals import Refused
from anatomy_clip.describe.web.engine import Engine, EngineError, Stopped
from anatomy_clip.describe.web.messages import FILES, SCRATCH, Described
from anatomy_clip.describe.web.names import free_place, safe_name

KEPT = 8  # studies at a time
IDLE_SECONDS = 1800.0  # after which a study that nobody looks at is forgotten
_FREE = 2**29  # bytes that stay free on the disk
_MAKE_ROOM = "free disk space in the temporary folder"
_TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class RequestRefused(Refused):
    """What was asked isn't done.

    Args:
        status: of the HTTP answer.
        reason: what is wrong.
        remedy: what to do.
    """

    def __init__(self, status: HTTPStatus, reason: str, remedy: str = "") -> None:
        super().__init__(reason, remedy)
        self.status = status


@dataclass(frozen=True)
class UploadLimits:
    """What one study may hold.

    Attributes:
        megabytes: of all files together.
        files: how many.

    Raises:
        ValueError: a limit isn't above 0.
    """

    megabytes: int = 2000
    files: int = 5000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"{name}={value}: give a limit of 1 or more")


@dataclass(eq=False)
class Study:
    """One upload and what became of it.

    Attributes:
        key: secret that names it; whoever knows it may see the study.
        folder: where its files lie until it is described.
        modality: of what doesn't say it itself, or None.
        state: where it is.
        bytes, files: received so far.
        done, found: slices.
        message: why it failed.
        described: the answer.
    """

    key: str
    folder: Path = field(repr=False)
    modality: str | None
    state: Literal["receiving", "waiting", "describing", "done", "failed"] = "receiving"
    bytes: int = 0
    files: int = 0
    done: int = 0
    found: int = 0
    message: str = ""
    described: Described | None = field(default=None, repr=False)
    forgotten: bool = False
    touched: float = field(default_factory=time.monotonic)

    def plain(self) -> dict[str, Any]:
        """What the page is told while it waits."""
        return {name: getattr(self, name) for name in ("state", "bytes", "files", "done", "found", "message")}


class Studies:
    """All studies of one server.

    Args:
        folder: empty, for temporary files; readable by this user alone.
        engine: describes.
        limits: of one study.
    """

    def __init__(self, folder: Path, engine: Engine, limits: UploadLimits) -> None:
        self.engine = engine
        self.limits = limits
        self._folder = folder
        self._studies: dict[str, Study] = {}
        self._running: set[asyncio.Task[None]] = set()

    def create(self, modality: str | None) -> Study:
        """Begin a study; where too many are kept, the one that was looked at longest ago is forgotten.

        Raises:
            RequestRefused: all that are kept are still worked on.
        """
        self.forget_idle()
        if len(self._studies) >= KEPT:
            over = [one for one in self._studies.values() if one.state in ("done", "failed")]
            if not over:
                reason = f"{KEPT} studies are being processed"
                raise RequestRefused(HTTPStatus.SERVICE_UNAVAILABLE, reason, "wait until one is finished")
            self.forget(min(over, key=lambda one: one.touched).key)
        key = secrets.token_urlsafe(16)
        study = Study(key, self._folder / key, modality)
        for name in (FILES, SCRATCH):
            (study.folder / name).mkdir(parents=True)
        self._studies[key] = study
        return study

    def find(self, key: str) -> Study:
        """Look a study up.

        Raises:
            RequestRefused: there is none.
        """
        study = self._studies.get(key)
        if study is None:
            when = f"after {IDLE_SECONDS / 60:g} minutes, and when other studies need their place"
            reason = f"this study is no longer on the server: a study is removed {when}"
            raise RequestRefused(HTTPStatus.NOT_FOUND, reason, "add its files again")
        study.touched = time.monotonic()
        return study

    async def receive(self, study: Study, name: str, size: int | None, chunks: AsyncIterator[bytes]) -> None:
        """Write one file.

        Args:
            study: it belongs to.
            name: what the browser calls it, with folders.
            size: bytes that are announced, or None.
            chunks: its content.

        Raises:
            Refused: the study is closed, a limit is passed, the disk is full, or the name can't be used.
        """
        if study.state != "receiving":
            raise RequestRefused(HTTPStatus.CONFLICT, "no more files can be added to this study", "start a new study")
        if study.files >= self.limits.files:
            remedy = "add fewer, or start the server with a larger --max-files"
            raise RequestRefused(_TOO_LARGE, f"more than {self.limits.files:,} files", remedy)
        self._check(study, size or 0)
        study.files += 1
        try:
            place = free_place(study.folder / FILES, safe_name(name))
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as file:
                async for chunk in chunks:
                    self._check(study, len(chunk))
                    study.bytes += len(chunk)
                    study.touched = time.monotonic()
                    file.write(chunk)
        except FileNotFoundError as error:  # forgotten meanwhile
            reason = "this study is no longer on the server"
            raise RequestRefused(HTTPStatus.NOT_FOUND, reason, "add its files again") from error
        except OSError as error:
            reason = f"the file can't be saved ({type(error).__name__})"
            raise RequestRefused(HTTPStatus.INSUFFICIENT_STORAGE, reason, _MAKE_ROOM) from error

    def describe(self, study: Study) -> None:
        """Begin to describe it, after those that wait already.

        Raises:
            RequestRefused: it has no files, or was begun already.
        """
        if study.state != "receiving" or not study.files:
            what = "this study is being described already" if study.files else "this study has no files; add some"
            raise RequestRefused(HTTPStatus.CONFLICT, what)
        study.state = "waiting"
        task = asyncio.create_task(self._run(study))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def forget(self, key: str) -> None:
        """Remove a study and its files; what is worked on is stopped."""
        study = self._studies.pop(key, None)
        if study is not None:
            study.forgotten = True
            study.described = None
            shutil.rmtree(study.folder, ignore_errors=True)

    def forget_idle(self) -> None:
        """Forget what nobody has looked at for long."""
        long_ago = time.monotonic() - IDLE_SECONDS
        for one in [one for one in self._studies.values() if one.touched < long_ago]:
            self.forget(one.key)

    async def close(self) -> None:
        """Stop all work and forget everything."""
        for key in list(self._studies):
            self.forget(key)
        await asyncio.to_thread(self.engine.close)
        await asyncio.gather(*self._running, return_exceptions=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _check(self, study: Study, more: int) -> None:
        if study.bytes + more > self.limits.megabytes * 1_000_000:
            remedy = "add fewer files, or start the server with a larger --max-upload"
            raise RequestRefused(_TOO_LARGE, f"more than {self.limits.megabytes:,} MB in all", remedy)
        if more > shutil.disk_usage(self._folder).free - _FREE:
            raise RequestRefused(HTTPStatus.INSUFFICIENT_STORAGE, "the disk is full", _MAKE_ROOM)

    async def _run(self, study: Study) -> None:
        def progress(done: int, found: int) -> None:
            study.state, study.done, study.found = "describing", done, found
            study.touched = time.monotonic()

        try:
            described = await asyncio.to_thread(
                self.engine.describe, study.folder, study.modality, progress, lambda: study.forgotten
            )
            if not study.forgotten:
                study.described, study.state = described, "done"
        except Stopped:
            pass
        except (ValueError, EngineError) as error:
            study.state, study.message = "failed", str(error).replace(f"{study.folder}/", "")
        finally:
            shutil.rmtree(study.folder, ignore_errors=True)
