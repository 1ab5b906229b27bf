"""The one part of a multipart answer (WADO-RS sends an instance so), as a stream: never a whole answer in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from email.message import Message

MAX_HEAD = 2**16  # bytes before a part's content


class CutOff(ValueError):
    """An answer ended before its content did, or isn't of the promised form."""


def content(kind: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of an answer that holds one file.

    Args:
        kind: Content-Type of the answer: multipart/related, or that of the file itself as some servers send it.
        chunks: its body.

    Raises:
        CutOff: the closing line is missing, or there is no part.
    """
    message = Message()
    message["Content-Type"] = kind
    if message.get_content_maintype() != "multipart":
        return iter(chunks)
    boundary = message.get_boundary()
    if boundary is None:
        raise CutOff("the server's answer has no boundary between its parts")
    return _part(iter(chunks), boundary.encode("latin-1", "replace"))


def _part(chunks: Iterator[bytes], boundary: bytes) -> Iterator[bytes]:
    held = _after_head(chunks, boundary)
    closing = b"\r\n--" + boundary
    while (end := held.find(closing)) < 0:
        free = max(0, len(held) - len(closing) + 1)  # what can't be the beginning of the closing line
        yield held[:free]
        more = next(chunks, None)
        if more is None:
            raise CutOff("the server's answer was cut off")
        held = held[free:] + more
    yield held[:end]


def _after_head(chunks: Iterator[bytes], boundary: bytes) -> bytes:
    """What has been read after the first part's header lines."""
    held = b""
    while True:
        begin = held.find(b"--" + boundary)
        head = held.find(b"\r\n\r\n", begin) if begin >= 0 else -1
        if head >= 0:
            return held[head + 4 :]
        more = next(chunks, None)
        if more is None or len(held) > MAX_HEAD:
            raise CutOff("the server's answer contains no file, or was cut off")
        held += more
