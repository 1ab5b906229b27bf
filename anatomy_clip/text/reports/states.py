"""What a labeller says of a finding: its state, and its side."""

from __future__ import annotations

from typing import NamedTuple

from anatomy_clip.core.terms import Side, State


class Label(NamedTuple):
    """A finding's state, and the side that the text gives it, if any."""

    state: State = State.UNMENTIONED
    side: Side | None = None


def merge_sides(sides: list[Side | None]) -> Side | None:
    """The side of several: left and right are both; None among them adds nothing."""
    named = {side for side in sides if side is not None}
    return None if not named else named.pop() if len(named) == 1 else Side.BOTH
