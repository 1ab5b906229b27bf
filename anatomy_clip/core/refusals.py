"""Why a file can't be used, and what to do about it: said once, without a word of the patient's."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

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


class guarded(AbstractContextManager[None]):
    """Turn whatever a damaged file raises into `Refused`, and keep pydicom from quoting header values in warnings.

    Catches BaseException, since decoders written in Rust or C raise what is no Exception. Ctrl-C and exit pass. A file
    goes through a hundred of these: one inside another leaves pydicom's settings alone.

    Args:
        stage: what was being done, as a sentence about the file: "its header can't be read".
        remedy: what to do about it.
        told: repeat the error's own words. Only where they can't hold a value of the header.

    Raises:
        Refused: in place of any other error.
    """

    def __init__(self, stage: str, remedy: str = FETCH_AGAIN, told: bool = False) -> None:
        self.stage, self.remedy, self.told = stage, remedy, told
        self._silence: AbstractContextManager[None] | None = None

    def __enter__(self) -> None:
        from pydicom import config  # half a second: who only names `Rejected` needn't pay it

        # values that break the standard can be names; we check what we use
        if config.settings.reading_validation_mode != config.IGNORE:
            self._silence = config.disable_value_validation()
            self._silence.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._silence is not None:
            self._silence.__exit__(None, None, None)
        if error is None or isinstance(error, Refused | KeyboardInterrupt | SystemExit | GeneratorExit):
            return
        words = f": {' '.join(str(error).split())[:200]}" if self.told and str(error) else ""
        raise Refused(f"{self.stage} ({type(error).__name__}{words})", self.remedy) from None
