"""Put the recorded table into the README, between two markers."""

from __future__ import annotations

from pathlib import Path

from anatomy_clip.core.files import write_text

BEGIN, END = "<!-- table3:begin -->", "<!-- table3:end -->"


def insert_block(text: str, block: str) -> str:
    """Replace what stands between the markers.

    Args:
        text: the README.
        block: Markdown to put there.

    Returns:
        The README with the block; everything outside the markers is as it was.

    Raises:
        ValueError: the markers are missing, double or in the wrong order.
    """
    start, stop = _bounds(text)
    return f"{text[:start]}\n{block.strip()}\n{text[stop:]}"


def refresh(readme: Path, block: str) -> bool:
    """Put the block into the README, atomically; tell whether it changed.

    Raises:
        ValueError: the file is missing or its markers are.
    """
    if not readme.is_file():
        raise ValueError(f"{readme.name} is missing; write it with the lines {BEGIN} and {END}")
    text = readme.read_text(encoding="utf-8")
    new = insert_block(text, block)
    if new != text:
        write_text(readme, new)
    return new != text


def _bounds(text: str) -> tuple[int, int]:
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"README.md needs the line {BEGIN} once and, after it, {END} once")
    return text.index(BEGIN) + len(BEGIN), text.index(END)
