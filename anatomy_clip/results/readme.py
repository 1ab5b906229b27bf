"""Put a suite's recorded table into the README, between two markers that name the suite."""

from __future__ import annotations

from pathlib import Path

from anatomy_clip.core.files import write_text


def markers(suite: str) -> tuple[str, str]:
    """The lines before and behind a suite's table."""
    return f"<!-- {suite}:begin -->", f"<!-- {suite}:end -->"


def insert_block(text: str, suite: str, block: str) -> str:
    """Replace what stands between the markers of a suite.

    Args:
        text: the README.
        suite: the suite's name.
        block: Markdown to put there.

    Returns:
        The README with the block; everything outside the markers is as it was.

    Raises:
        ValueError: the markers are missing, double or in the wrong order.
    """
    start, stop = _bounds(text, suite)
    return f"{text[:start]}\n{block.strip()}\n{text[stop:]}"


def refresh(readme: Path, suite: str, block: str) -> bool:
    """Put the block into the README, atomically; tell whether it changed.

    Raises:
        ValueError: the file is missing or its markers are.
    """
    if not readme.is_file():
        raise ValueError(f"{readme.name} is missing; write it with the lines {' and '.join(markers(suite))}")
    text = readme.read_text(encoding="utf-8")
    new = insert_block(text, suite, block)
    if new != text:
        write_text(readme, new)
    return new != text


def _bounds(text: str, suite: str) -> tuple[int, int]:
    begin, end = markers(suite)
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"README.md needs the line {begin} once and, after it, {end} once")
    return text.index(begin) + len(begin), text.index(end)
