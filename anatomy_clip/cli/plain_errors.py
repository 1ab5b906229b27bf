"""Errors of the user end a program with one line, not with a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

WRONG = 2  # exit status


@contextmanager
def plain_errors() -> Iterator[None]:
    """End the program with the message of a `ValueError` and status 2."""
    try:
        yield
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(WRONG) from error
