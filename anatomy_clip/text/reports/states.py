"""What a labeller says of a finding: its state, and its side."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """Whether a text states a finding; where its sentences differ the earlier one wins, as in CheXpert's labeller."""

    POSITIVE = "positive"
    UNCERTAIN = "uncertain"
    NEGATIVE = "negative"
    UNMENTIONED = "unmentioned"


class Side(StrEnum):
    """The patient's side."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"


class Label(NamedTuple):
    """A finding's state, and the side that the text gives it, if any."""

    state: State = State.UNMENTIONED
    side: Side | None = None


def merge_sides(sides: list[Side | None]) -> Side | None:
    """The side of several: left and right are both; None among them adds nothing."""
    named = {side for side in sides if side is not None}
    return None if not named else named.pop() if len(named) == 1 else Side.BOTH
