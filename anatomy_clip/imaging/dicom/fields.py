"""Header fields of one frame, checked as they are read."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from math import isfinite
from typing import Any

from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from anatomy_clip.core.refusals import Refused
from anatomy_clip.imaging.dicom.refusing import refusing

# Where a multi-frame file keeps a frame's fields (functional group macros, PS3.3 C.7.6.16 and C.8.13).
MACROS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
    "RepetitionTime": "MRTimingAndRelatedParametersSequence",
    "FlipAngle": "MRTimingAndRelatedParametersSequence",
    "EffectiveEchoTime": "MREchoSequence",
    "InversionRecovery": "MRModifierSequence",
    "InversionTimes": "MRModifierSequence",
    "Spoiling": "MRModifierSequence",
    "DiffusionBValue": "MRDiffusionSequence",
    "AcquisitionContrast": "MRImageFrameTypeSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "AnatomicRegionSequence": "FrameAnatomySequence",
    "NominalCardiacTriggerDelayTime": "CardiacSynchronizationSequence",
}
_FRAME_TYPES = ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence")
SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"


@cache
def named(keyword: str) -> str:
    """A field as people look it up: "Echo Time (0018,0081)"."""
    return f"{dictionary_description(keyword)} {Tag(tag_for_keyword(keyword) or 0)}"


class Fields:
    """Fields of one frame: its own functional groups first, then the shared ones, then the file's."""

    def __init__(self, dataset: Dataset, number: int = 1) -> None:
        """Look at a frame.

        Args:
            dataset: the file's data set.
            number: the frame, from 1.
        """
        self._dataset = dataset
        with refusing("its functional groups are damaged"):
            frames, shared = dataset.get(PER_FRAME), dataset.get(SHARED)
            groups = [frames[number - 1]] if frames else []
            self._groups: list[Dataset] = groups + ([shared[0]] if shared else [])

    def get(self, keyword: str) -> Any:
        """The value of a field, or None where it is absent or empty.

        Raises:
            Refused: the value doesn't fit its VR.
        """
        with refusing(f"{named(keyword)} has a value that does not fit its VR", "correct the field"):
            for group in self._groups:
                macro = group.get(MACROS.get(keyword, ""))
                if macro and not _empty(macro[0].get(keyword)):
                    return macro[0].get(keyword)
            value = self._dataset.get(keyword)
            return None if _empty(value) else value

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """All numbers of a field; empty where it is absent.

        Raises:
            Refused: a value is no finite number.
        """
        value = self.get(keyword)
        with refusing(f"{named(keyword)} does not contain plain numbers", "correct the field"):
            values = tuple(float(item) for item in _several(value))
            if not all(map(isfinite, values)):
                raise ValueError
            return values

    def number(self, keyword: str) -> float | None:
        """The first number of a field, or None where it is absent."""
        values = self.numbers(keyword)
        return values[0] if values else None

    def whole(self, keyword: str) -> int:
        """A whole number that must be there.

        Raises:
            Refused: it is absent, several, or no whole number.
        """
        value = self.get(keyword)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Refused(
                f"{named(keyword)} is {'missing' if value is None else 'not a whole number'}", "correct the field"
            )
        return int(value)

    def texts(self, keyword: str) -> tuple[str, ...]:
        """All values of a field as upper-case words; empty where it is absent."""
        return _words(self.get(keyword))

    def text(self, keyword: str) -> str:
        """A field as one string, as it stands; empty where it is absent."""
        value = self.get(keyword)
        return "" if value is None else str(value).strip()

    def private(self, tag: tuple[int, int]) -> str:
        """A private field as text: its first value, or "" where it is absent."""
        with refusing(
            f"private field ({tag[0]:04X},{tag[1]:04X}) has a value that does not fit its VR", "correct the field"
        ):
            element = self._dataset.get(tag)
            value = next(iter(_several(element.value)), "") if element is not None else ""
            return (value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)).strip(" \0")

    def frame_type(self) -> tuple[str, ...]:
        """Frame Type of a multi-frame file's frame, else Image Type."""
        return self.of_frame("FrameType") or self.texts("ImageType")

    def of_frame(self, keyword: str) -> tuple[str, ...]:
        """Upper-case words of a field that CT and MR frames keep in sequences of different names, else the file's.

        Raises:
            Refused: the value doesn't fit its VR.
        """
        with refusing(f"{named(keyword)} has a value that does not fit its VR", "correct the field"):
            for group in self._groups:
                for sequence in _FRAME_TYPES:
                    macro = group.get(sequence)
                    if macro and not _empty(macro[0].get(keyword)):
                        return _words(macro[0].get(keyword))
        return self.texts(keyword)


def _several(value: Any) -> Iterable[Any]:
    if value is None:
        return ()
    return value if isinstance(value, MultiValue | list | tuple) else (value,)


def _words(value: Any) -> tuple[str, ...]:
    return tuple(str(item).strip().upper() for item in _several(value) if str(item).strip())


def _empty(value: Any) -> bool:
    return value is None or (hasattr(value, "__len__") and len(value) == 0)
