"""A downloader for pooch that goes on where an interrupted download stopped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

TRIES = 3
TIMEOUT_S = 60
_CHUNK = 1 << 16  # lost when the connection breaks within it


class Resuming:
    """Downloads over HTTP into a file that stays when the connection breaks; the next call goes on from its end.

    It goes on only if the server still has the same file (its ETag or date, kept beside the part); else it starts anew.

    Args:
        part: the unfinished file.
        tries: connections that may break, one after the other.
    """

    def __init__(self, part: Path, tries: int = TRIES) -> None:
        self.part = part
        self.tries = tries
        self._mark = part.with_name(f"{part.name}.mark")

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        """Download a whole file; pooch calls this and then checks the hash.

        Raises:
            requests.RequestException: the server can't be reached, has no such file, or each connection broke.
        """
        import requests

        for left in reversed(range(self.tries)):
            try:
                self._go_on(url)
                break
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                if not left:
                    raise
        self.part.replace(output_file)
        self._mark.unlink(missing_ok=True)

    def _go_on(self, url: str) -> None:
        import requests

        have = self.part.stat().st_size if self.part.is_file() and self._mark.is_file() else 0
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": self._mark.read_text()}
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
            if response.status_code == 416:  # the part is as long as the file, or longer: no way to tell
                self.part.unlink()
                raise requests.ConnectionError(f"{url}: the unfinished file does not match; the download starts again")
            response.raise_for_status()
            goes_on = response.status_code == 206
            total = _total(response.headers, goes_on)
            if not goes_on:
                self._remember(response.headers)
            with self.part.open("ab" if goes_on else "wb") as out:
                for chunk in response.iter_content(_CHUNK):
                    out.write(chunk)
        if total is not None and self.part.stat().st_size != total:
            raise requests.ConnectionError(f"{url}: the connection ended early")

    def _remember(self, headers: Any) -> None:
        tag = headers.get("ETag", "")
        mark = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")
        self._mark.write_text(mark) if mark else self._mark.unlink(missing_ok=True)


def _total(headers: Any, partial: bool) -> int | None:
    """Bytes of the whole file, if the server says so."""
    found = re.search(r"/(\d+)$", headers.get("Content-Range", "")) if partial else None
    if partial:
        return int(found.group(1)) if found else None
    return int(headers["Content-Length"]) if "Content-Length" in headers else None
