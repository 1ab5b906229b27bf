"""Refusals: why an input can't be used and what to do about it, without any patient data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FETCH_AGAIN = "fetch the file again"


@dataclass(frozen=True)
class Refusal:
    """An input that was set aside: a file, one frame of it, a volume, a task.

    Attributes:
        reason: what is wrong with it; names the header field, never a patient, date or identifier.
        remedy: what to do about it.
        where: path or name of the input; empty where whoever asked knows it.
    """

    reason: str
    remedy: str = ""
    where: str = ""

    @property
    def message(self) -> str:
        """Reason and remedy."""
        return f"{self.reason}; {self.remedy}" if self.remedy else self.reason

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


@dataclass(frozen=True)
class Doubt:
    """What a user should know of an input that was taken all the same: its header or its values may be wrong.

    Attributes:
        reason: what is odd; names the header field, never a patient, date or identifier.
        where: path or name of the input.
    """

    reason: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}" if self.where else self.reason


class Refused(ValueError):
    """Raised where an input can't be used.

    Attributes:
        refusal: which, why, and what to do.
    """

    def __init__(self, reason: str, remedy: str = "", where: str | Path = "") -> None:
        self.refusal = Refusal(reason, remedy, str(where))
        super().__init__(str(self.refusal))

    def at(self, where: str | Path) -> Refused:
        """The same, with the input's path or name."""
        return Refused(self.refusal.reason, self.refusal.remedy, where)
