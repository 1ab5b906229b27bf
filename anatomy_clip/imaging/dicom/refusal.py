"""Why a file can't be used, and what to do about it: said once, without a word of the patient's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FETCH_AGAIN = "fetch the file again"


@dataclass(frozen=True)
class Rejected:
    """A file, or one frame of it, that was set aside.

    Attributes:
        path: the file.
        reason: what is wrong with it; names the header field, never a patient, date or identifier.
        remedy: what to do about it.
    """

    path: Path
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}; {self.remedy}"


class Refused(ValueError):
    """Something in a file that can't be used.

    Attributes:
        reason: what is wrong.
        remedy: what to do about it.
    """

    def __init__(self, reason: str, remedy: str, path: Path | None = None) -> None:
        super().__init__(f"{reason}; {remedy}" if path is None else f"{path}: {reason}; {remedy}")
        self.reason, self.remedy, self.path = reason, remedy, path

    def of(self, path: Path) -> Refused:
        """The same, with the file's name in the message."""
        return Refused(self.reason, self.remedy, path)


@contextmanager
def guarded(stage: str, remedy: str = FETCH_AGAIN, told: bool = False) -> Iterator[None]:
    """Turn whatever a damaged file raises into `Refused`, and keep pydicom from quoting header values in warnings.

    Catches BaseException, since decoders written in Rust or C raise what is no Exception. Ctrl-C and exit pass.

    Args:
        stage: what was being done, as a sentence about the file: "its header can't be read".
        remedy: what to do about it.
        told: repeat the error's own words. Only where they can't hold a value of the header.

    Raises:
        Refused: in place of any other error.
    """
    from pydicom.config import disable_value_validation  # half a second: who only names `Rejected` needn't pay it

    try:
        with disable_value_validation():  # values that break the standard can be names; we check what we use
            yield
    except (Refused, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        words = f": {' '.join(str(error).split())[:200]}" if told and str(error) else ""
        raise Refused(f"{stage} ({type(error).__name__}{words})", remedy) from None
