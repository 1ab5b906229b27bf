"""Find the known name that is nearest to an unknown one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: object, known: Iterable[object], cutoff: float = 0.6) -> str:
    """A hint to end a message with: " (did you mean 'kidneys'?)"; empty where no known name is near.

    Args:
        name: what was given.
        known: what could have been given.
        cutoff: how alike they must be, 0 to 1.
    """
    near = difflib.get_close_matches(str(name), [str(each) for each in known], n=1, cutoff=cutoff)
    return f" (did you mean '{near[0]}'?)" if near else ""
