"""Who may talk to the server: this page alone, under a name of this machine; and the headers of every answer."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Collection
from http import HTTPStatus
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL = ("localhost", "127.0.0.1", "::1")
API = "/api/"
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Protect:
    """Middleware that refuses other names and other pages, adds the headers, and keeps faults to itself.

    Args:
        app: what answers.
        names: hosts by which the server may be addressed. A page elsewhere can let its own name point to this machine
            (DNS rebinding); its requests then carry that name.
        addresses: accept any numeric address too, as a server for other machines must; no such trick works with those.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], *, addresses: bool = False) -> None:
        self.app = app
        self.names = {name.lower() for name in names}
        self.addresses = addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        answer = self._refusal(scope)
        try:
            await (answer or self.app)(scope, receive, send_with_headers)
        except Exception as error:  # its message may quote a file
            print(f"internal fault: {_fault(error)}", file=sys.stderr)
            if not begun:
                sorry = _error(HTTPStatus.INTERNAL_SERVER_ERROR, "an unexpected fault; please report it")
                await sorry(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_known(host):
            return _error(
                HTTPStatus.MISDIRECTED_REQUEST, "this server does not have that name; use the address that it printed"
            )
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        foreign = origin is not None and origin != f"{scope['scheme']}://{host}"
        if foreign or (scope["path"].startswith(API) and site not in ("same-origin", "none")):
            return _error(
                HTTPStatus.FORBIDDEN, "the request came from another page; only the server's own page may send requests"
            )
        return None

    def _is_known(self, host: str) -> bool:
        name = host_name(host)
        if name in self.names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return self.addresses


def host_name(host: str) -> str:
    """The name or address in a Host header, without port and brackets."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
    return name.strip("[]").lower()


def _error(status: HTTPStatus, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status)


def _fault(error: Exception) -> str:
    """The kind of a fault and where it happened, without what it says."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    place = f" in {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__}{place}"
