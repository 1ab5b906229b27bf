"""The subcommand `serve`: a web page on this machine that describes what is dragged into it."""

from __future__ import annotations

import argparse
import errno
import ipaddress
import os
import signal
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from anatomy_clip import __version__
from anatomy_clip.describe.bundle.folder import Bundle, read_bundle

_EXTRA = ("starlette", "uvicorn")
_GRACE_SECONDS = 3  # for answers under way when the server ends


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C; returns the exit status.

    Raises:
        ValueError: the extra isn't installed, the bundle can't be used, or host or port can't be had.
    """
    for name in _EXTRA:
        if find_spec(name) is None:
            raise ValueError(f"the web page needs {name}; install it with pip install 'anatomy_clip[serve]'")
    from anatomy_clip.describe.web.protect import LOCAL
    from anatomy_clip.describe.web.studies import UploadLimits
    from anatomy_clip.describe.web.temporary import temporary_folder

    limits = UploadLimits(arguments.max_upload, arguments.max_files)
    bundle = read_bundle(arguments.bundle)
    with _listen(arguments.host, arguments.port) as opened:
        host, port = opened.getsockname()[:2]
        local = arguments.host in LOCAL or _is_loopback(host)
        names = {*LOCAL} if local else {*LOCAL, arguments.host, socket.gethostname()}
        shown = f"[{host}]" if ":" in host else host
        print(f"http://{shown}:{port}/  (press Ctrl-C to stop)", flush=True)
        if not local:
            print(
                f"warning: everybody who can reach {arguments.host} can use this page, and data sent to it are not "
                "encrypted; leave out --host to allow only this machine",
                file=sys.stderr,
            )
        with temporary_folder() as folder:
            _serve(opened, bundle, limits, folder, names, addresses=not local)
    print("stopped")
    return 0


def about(bundle: Bundle, limits: Any) -> dict[str, Any]:
    """What the page says of the model and the limits."""
    return {
        "model": bundle.name,
        "digest": bundle.digest[:12],
        "version": __version__,
        "organs": bundle.taxonomy.organs,
        "stations": bundle.taxonomy.stations,
        "max_megabytes": limits.megabytes,
        "max_files": limits.files,
    }


def _serve(
    opened: socket.socket, bundle: Bundle, limits: Any, folder: Path, names: set[str], *, addresses: bool
) -> None:
    import uvicorn

    from anatomy_clip.describe.web.app import make_app
    from anatomy_clip.describe.web.engine import Engine
    from anatomy_clip.describe.web.studies import Studies

    engine = Engine(bundle.folder)
    app = make_app(Studies(folder, engine, limits), about(bundle, limits), names, addresses=addresses)
    config = uvicorn.Config(
        app,
        log_config=None,  # addresses and names would be in the log
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    if hasattr(signal, "SIGHUP"):  # the terminal was closed: end in order, so that temporary files go
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        uvicorn.Server(config).run(sockets=[opened])
    except KeyboardInterrupt:
        pass
    finally:
        engine.close()


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ValueError(f"--port {port}: give a port from 0 (any free port) to 65535")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ValueError(
            f"--host {host}: is not an address of this machine; leave out --host to use 127.0.0.1"
        ) from error
    opened = socket.socket(family)
    try:
        if os.name == "posix":
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen()
    except OSError as error:
        opened.close()
        what = {
            errno.EADDRINUSE: f"port {port} is used by another program; give another with --port (0: any free port)",
            errno.EACCES: f"port {port} is reserved for the system; give a port above 1023 with --port",
        }.get(
            error.errno or 0,
            f"{host} : the server can't listen on this address ({error.strerror}); leave out --host to use 127.0.0.1",
        )
        raise ValueError(what) from error
    return opened


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
