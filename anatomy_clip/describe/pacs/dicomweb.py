"""Studies from a DICOMweb server (QIDO-RS, WADO-RS), and SR documents back to it (STOW-RS)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import RE_VALID_UID
from requests import RequestException

from anatomy_clip.core.limits import refusal_of
from anatomy_clip.core.refusals import Refusal, Refused
from anatomy_clip.describe.pacs.multipart import content
from anatomy_clip.describe.pacs.server import Access, NoAnswer, Server
from anatomy_clip.imaging.dicom.files import MAX_BYTES, read_header
from anatomy_clip.imaging.dicom.refusing import refusing

MAX_STUDY_BYTES = 2**34
_MODALITIES = ("CT", "MR")
_PAGE = 500  # answers to a search at once
_CHUNK = 2**20
_IN_A_ROW = 5  # instances that fail one after the other: the server is ill, not the instance
_AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_SERIES, _INSTANCE, _MODALITY = "0020000E", "00080018", "00080060"


@dataclass(frozen=True)
class Fetched:
    """What came from a server.

    Attributes:
        folder: where it lies: a folder a series, a file an instance, numbered and without a name of the patient's.
        files: in the order of the server.
        refusals: of instances that didn't come, or aren't what was asked for.
    """

    folder: Path
    files: tuple[Path, ...]
    refusals: tuple[Refusal, ...]


def fetch_study(
    url: str,
    study_uid: str,
    folder: Path,
    *,
    series_uid: str | None = None,
    access: Access | None = None,
    max_bytes: int = MAX_STUDY_BYTES,
) -> Fetched:
    """Fetch the CT and MR instances of a study, byte for byte as they are stored.

    Args:
        url: address of the server, as https://pacs.example/dicom-web.
        study_uid: Study Instance UID.
        folder: where to put files; made if it isn't there.
        series_uid: only this series.
        access: certificates, timeouts, attempts. A token, or user and password, come from the environment.
        max_bytes: the most that the study may take on the disk.

    Raises:
        ValueError: the server can't be reached or refuses, the study has no CT or MR, it is larger than allowed, or
            one instance after the other fails.
    """
    for option, uid in (("--study", study_uid), ("--series", series_uid or "1.2")):
        if not re.fullmatch(RE_VALID_UID, uid):
            raise ValueError(f"{option}: this is not a valid UID; a UID has digits and points, at most 64 characters")
    server = Server(url, access or Access())
    series = _series(server, study_uid, series_uid)
    if not series:
        raise ValueError(f"{server.name}: has no CT or MR series of this study; check --study and --series")
    return _Fetch(server, study_uid, folder, max_bytes).all(series)


def store_document(url: str, path: Path, *, access: Access | None = None) -> None:
    """Store a Structured Report on a server.

    Raises:
        ValueError: no Structured Report, or the server can't be reached or refuses it.
    """
    with refusing("is not a Structured Report", "give one that anatomy_clip wrote"):
        document = pydicom.dcmread(path)
        if document.get("Modality") != "SR":
            raise Refused(
                "is not a Structured Report, and only Structured Reports are sent", "give one that anatomy_clip wrote"
            )
    document.preamble = b"\0" * 128  # the client writes none, and servers want one
    server = Server(url, access or Access())
    answer: Dataset = server.ask(lambda: server.client.store_instances([document]))
    failed = answer.get("FailedSOPSequence")
    if failed:
        reason = failed[0].get("FailureReason")
        code = "no reason" if reason is None else f"reason {int(reason):04X}H"
        raise ValueError(f"{server.name}: did not store the document ({code}); see the server's log")


class _Fetch:
    """Instances to files, one after the other."""

    def __init__(self, server: Server, study_uid: str, folder: Path, max_bytes: int) -> None:
        self._server, self._study, self._folder = server, study_uid, folder
        self._limit = self._left = max_bytes
        self._files: list[Path] = []
        self._refusals: list[Refusal] = []
        self._failed = 0

    def all(self, series: list[str]) -> Fetched:
        for number, uid in enumerate(series, 1):
            place = self._folder / f"series_{number:03d}"
            with refusing(f"{place}: the folder can't be created", "choose a place where you may write"):
                place.mkdir(parents=True, exist_ok=True)
            for index, instance in enumerate(_instances(self._server, self._study, uid), 1):
                self._one(place / f"{index:05d}.dcm", uid, instance)
        return Fetched(self._folder, tuple(self._files), tuple(self._refusals))

    def _one(self, path: Path, series: str, instance: str) -> None:
        try:
            self._server.ask(lambda: self._write(path, series, instance))
            self._check(path, instance)
            self._left -= path.stat().st_size
            self._files.append(path)
            self._failed = 0
        except ValueError as error:
            path.unlink(missing_ok=True)
            if self._ends(error):
                raise
            self._refusals.append(replace(refusal_of(error), where=f"{path.parent.name}/{path.stem}"))

    def _ends(self, error: ValueError) -> bool:
        """Whether an error over one instance is the end of all."""
        if isinstance(error, Refused):
            return False
        self._failed += 1
        return not isinstance(error, NoAnswer) or error.lasting or self._failed == _IN_A_ROW

    def _write(self, path: Path, series: str, instance: str) -> None:
        resource = f"studies/{self._study}/series/{series}/instances/{instance}"
        with self._server.get(resource, _AS_STORED) as answer:
            try:
                self._save(path, content(answer.headers.get("Content-Type", ""), answer.iter_content(_CHUNK)))
            except RequestException:
                raise
            except OSError as error:
                raise ValueError(f"fetched files can't be written ({error.strerror}); free disk space") from None

    def _save(self, path: Path, chunks: Iterable[bytes]) -> None:
        with path.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
                if file.tell() > min(self._left, MAX_BYTES):
                    raise ValueError(f"{self._server.name}: the study takes more than {self._limit / 1e9:g} GB; "
                                     "fetch it series by series, with --series")  # fmt: skip

    def _check(self, path: Path, instance: str) -> None:
        header = read_header(path, ("StudyInstanceUID", "SOPInstanceUID")).dataset
        if (header.get("StudyInstanceUID"), header.get("SOPInstanceUID")) != (self._study, instance):
            raise Refused("is not the instance that was requested", "see the server's log")


def _series(server: Server, study_uid: str, only: str | None) -> list[str]:
    """Series Instance UIDs of the study's CT and MR series."""

    def search(offset: int) -> list[dict[str, Any]]:
        return server.client.search_for_series(study_uid, fields=["Modality"], limit=_PAGE, offset=offset)

    found = {_value(one, _SERIES): _value(one, _MODALITY) for one in _pages(server, search, _SERIES)}
    return [uid for uid, modality in found.items() if modality in _MODALITIES and only in (None, uid)]


def _instances(server: Server, study_uid: str, series_uid: str) -> Iterator[str]:
    def search(offset: int) -> list[dict[str, Any]]:
        return server.client.search_for_instances(study_uid, series_uid, limit=_PAGE, offset=offset)

    return (_value(one, _INSTANCE) for one in _pages(server, search, _INSTANCE))


def _pages(server: Server, search: Callable[[int], Any], tag: str) -> Iterator[dict[str, Any]]:
    """Answers to a search, page by page, each once: a server that knows no offset answers the same again and again."""
    seen: set[str] = set()
    while True:
        page = server.ask(partial(search, len(seen))) or ()
        fresh = {uid: one for one in page if re.fullmatch(RE_VALID_UID, uid := _value(one, tag)) and uid not in seen}
        if not fresh:
            return
        seen |= fresh.keys()
        yield from fresh.values()


def _value(one: Any, tag: str) -> str:
    """The first value of an attribute in DICOM JSON; empty where there is none."""
    try:
        return str(one[tag]["Value"][0])
    except (IndexError, KeyError, TypeError):
        return ""
