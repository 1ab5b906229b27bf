"""A DICOMweb server: how it is reached, who asks, and what becomes of errors. No UID is put in a message or a log."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from dicomweb_client import DICOMwebClient
from requests.auth import AuthBase, HTTPBasicAuth

from anatomy_clip.describe.pacs.multipart import CutOff

TOKEN = "ANATOMY_CLIP_DICOMWEB_TOKEN"
LOGIN = "ANATOMY_CLIP_DICOMWEB_LOGIN"
_AGAIN = {408, 429, 500, 502, 503, 504}  # statuses that may pass
_NOT_ALLOWED = {401, 403}
_TALKERS = ("dicomweb_client", "retrying", "urllib3")  # they log addresses, which hold UIDs
_MALFORMED = (AttributeError, KeyError, SyntaxError, TypeError)  # what the client raises where an answer isn't DICOM's
_NO_DICOMWEB = "it answers, but not as a DICOMweb server; check the path of the address"
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Access:
    """How a server is reached.

    Attributes:
        ca_bundle: certificates to trust in place of the usual ones (PEM).
        certificate: the client's own certificate with its key (PEM), where the server asks for one.
        timeout: seconds to wait for a connection, and for the next bytes.
        attempts: how often a request is made, where errors may pass (no connection, statuses 5xx and 429, a cut-off
            answer).
        wait: seconds before the second attempt; doubles each time.
    """

    ca_bundle: Path | None = None
    certificate: Path | None = None
    timeout: float = 30.0
    attempts: int = 4
    wait: float = 1.0


class NoAnswer(ValueError):
    """The server didn't give what was asked for.

    Attributes:
        lasting: no other request will fare better: no connection, or no permission.
    """

    def __init__(self, message: str, lasting: bool) -> None:
        super().__init__(message)
        self.lasting = lasting


class _Bearer(AuthBase):
    """A token. As `auth` it isn't sent on to another host, nor replaced by what .netrc says."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Session(requests.Session):
    """A session whose certificates come first: requests lets environment variables win over them."""

    def merge_environment_settings(self, *arguments: Any) -> dict[str, Any]:
        settings: dict[str, Any] = super().merge_environment_settings(*arguments)
        return settings if self.verify is True else settings | {"verify": self.verify}


class Server:
    """One DICOMweb server.

    Attributes:
        name: its host and port, for messages.
        url: its address, without a slash at the end.
        client: asks it; through `ask`.
        session: the connection, with TLS and who asks.
    """

    def __init__(self, url: str, access: Access) -> None:
        """Check the address; nothing is asked yet.

        Raises:
            ValueError: an address, certificate or environment variable that can't be used.
        """
        self.name, self.url = _checked(url)
        self._access = access
        self.session = _Session()
        self.session.auth = credentials(os.environ)
        if self.session.auth and url.startswith("http:") and urlsplit(url).hostname not in _THIS_MACHINE:
            _warn(self.name)
        for option, path in (("verify", access.ca_bundle), ("cert", access.certificate)):
            if path is not None:
                if not path.is_file():
                    raise ValueError(f"{path}: the certificate file is missing")
                setattr(self.session, option, str(path))
        self.client = DICOMwebClient(self.url, session=self.session, timeout=access.timeout)
        self.client.set_http_retry_params(retry=False)  # `ask` tries again, also where a connection breaks

    def ask(self, request: Callable[[], _Answer]) -> _Answer:
        """Make a request, again where an error may pass.

        Raises:
            NoAnswer: it failed; names the server and what to do.
        """
        for attempt in range(self._access.attempts):
            if attempt:
                time.sleep(self._access.wait * 2 ** (attempt - 1))
            try:
                with _quiet():
                    return request()
            except (requests.RequestException, CutOff) as error:
                last = error
                if not _may_pass(error):
                    break
            except OSError:
                raise NoAnswer(f"{self.name}: TLS can't be set up; check --ca-bundle and --client-cert", True) from None
            except _MALFORMED:
                raise NoAnswer(f"{self.name}: {_NO_DICOMWEB}", True) from None
        raise self._told(last) from None

    def get(self, path: str, accept: str) -> requests.Response:
        """GET a resource as a stream; only inside `ask`.

        Raises:
            requests.RequestException: no connection, or a status of error.
        """
        answer = self.session.get(
            f"{self.url}/{path}", headers={"Accept": accept}, stream=True, timeout=self._access.timeout
        )
        answer.raise_for_status()
        return answer

    def _told(self, error: requests.RequestException | CutOff) -> NoAnswer:
        if isinstance(error, CutOff | requests.exceptions.ChunkedEncodingError):
            words = str(error) if isinstance(error, CutOff) else "the server's answer was cut off"
            return NoAnswer(f"{self.name}: {words}; try again, or see the server's log", False)
        if isinstance(error, requests.exceptions.SSLError):
            return NoAnswer(f"{self.name}: its TLS certificate isn't trusted; give its CA with --ca-bundle", True)
        if isinstance(error, requests.Timeout) or "Read timed out" in str(error):  # in mid-answer it has no class
            return NoAnswer(f"{self.name}: no answer within {self._access.timeout:g} s; try again later", True)
        if isinstance(error, requests.HTTPError) and error.response is not None:
            return _status(self.name, error.response.status_code)
        if isinstance(error, requests.exceptions.JSONDecodeError):
            return NoAnswer(f"{self.name}: {_NO_DICOMWEB}", True)
        return NoAnswer(
            f"{self.name}: no connection; check the address and the port, and whether the server runs", True
        )


def credentials(environment: Mapping[str, str]) -> AuthBase | None:
    """Who asks: a bearer token, or user and password, from environment variables and from nowhere else.

    Raises:
        ValueError: both are there, or one has the wrong form; never repeats a value.
    """
    token, login = environment.get(TOKEN, "").strip(), environment.get(LOGIN, "")
    if token and login:
        raise ValueError(f"{TOKEN} and {LOGIN} are both set; unset one")
    if token:
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise ValueError(f"{TOKEN} has characters that no token has; set it to the token alone")
        return _Bearer(token)
    if login:
        user, colon, password = login.partition(":")
        if not colon or not user:
            raise ValueError(f"{LOGIN} does not have the form USER:PASSWORD; set it in this form")
        return HTTPBasicAuth(user.encode(), password.encode())
    return None


@cache
def _warn(name: str) -> None:
    """Once a server."""
    _log.warning("%s: the token or password is sent without encryption; use https if you can", name)


def _checked(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(
            "--dicomweb: this is not the address of a DICOMweb server; give one like https://pacs.example/dicom-web"
        )
    if parts.username or parts.password:
        raise ValueError(f"--dicomweb: an address must not contain a password; set {LOGIN} or {TOKEN}")
    if parts.query or parts.fragment:
        raise ValueError("--dicomweb: an address must end with its path; remove the part from ? or # on")
    return (f"{host}:{port}" if port else host), url.rstrip("/")


def _may_pass(error: Exception) -> bool:
    if isinstance(error, requests.HTTPError):
        return error.response is not None and error.response.status_code in _AGAIN
    passing = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError, CutOff)
    return isinstance(error, passing) and not isinstance(error, requests.exceptions.SSLError)


def _status(name: str, status: int) -> NoAnswer:
    if status in _NOT_ALLOWED:
        return NoAnswer(f"{name}: not allowed (status {status}); set {TOKEN}, or {LOGIN} to USER:PASSWORD", True)
    if status == 404:
        return NoAnswer(f"{name}: not found (status 404); check the path of the address, and the UIDs", False)
    remedy = "try again later" if status in _AGAIN else "see the server's log"
    return NoAnswer(f"{name}: refused the request (status {status}); {remedy}", False)


@contextmanager
def _quiet() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _TALKERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
