"""Whatever pydicom and the decoders raise over a damaged file, as a refusal."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType

from pydicom import config

from anatomy_clip.core.refusals import FETCH_AGAIN, Refused


class refusing(AbstractContextManager[None]):
    """Turn whatever a damaged file raises into `Refused`, and keep pydicom from quoting header values in warnings.

    Catches BaseException, since decoders written in Rust or C raise what is no Exception. Ctrl-C and exit pass. A file
    goes through a hundred of these: one inside another leaves pydicom's settings alone.

    Args:
        reason: what is wrong then, as a sentence about the file: "its header can't be read".
        remedy: what to do about it.
        told: repeat the error's own words. Only where they can't hold a value of the header.

    Raises:
        Refused: in place of any other error.
    """

    def __init__(self, reason: str, remedy: str = FETCH_AGAIN, told: bool = False) -> None:
        self.reason, self.remedy, self.told = reason, remedy, told
        self._silence: AbstractContextManager[None] | None = None

    def __enter__(self) -> None:
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
        raise Refused(f"{self.reason} ({type(error).__name__}{words})", self.remedy) from None
