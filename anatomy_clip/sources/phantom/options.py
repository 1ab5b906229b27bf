"""Mappings of a config to the dataclasses that they describe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from anatomy_clip.core.names import did_you_mean

T = TypeVar("T")


def from_options(kind: type[T], options: Mapping[str, Any], where: str) -> T:
    """Make a dataclass of a mapping; lists become tuples.

    Args:
        kind: the dataclass.
        options: field -> value.
        where: what the options are of, for a message.

    Raises:
        ValueError: a field is unknown.
    """
    known = sorted(f.name for f in fields(kind))  # type: ignore[arg-type]
    if unknown := sorted(set(options) - set(known)):
        hint = did_you_mean(unknown[0], known)
        raise ValueError(f"{where} has the unknown field(s) {', '.join(unknown)}; known: {', '.join(known)}{hint}")
    listed = {k: isinstance(v, Sequence) and not isinstance(v, str) for k, v in options.items()}
    return kind(**{k: tuple(v) if listed[k] else v for k, v in options.items()})
