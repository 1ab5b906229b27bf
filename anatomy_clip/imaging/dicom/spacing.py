"""The scale of a projection: distance of pixels at the detector, and how much larger the patient is shown there.

PS3.3 10.7.1: Imager Pixel Spacing is measured at the detector. Pixel Spacing is the same there, unless it is calibrated
(Calibration Type is there, or the two differ): then it holds at the patient.
"""

from __future__ import annotations

from dataclasses import dataclass

from anatomy_clip.core.refusals import Refused
from anatomy_clip.imaging.dicom.fields import Fields, named

MOST = 10.0  # a larger magnification is a mistake
_SAME = 0.001  # relative difference of two spacings that mean the same
Spacing = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """What a header says of a film's scale.

    Attributes:
        spacing_mm: distance between rows and between columns at the detector, mm; None: not known.
        magnification: of the patient at the detector; None: not known.
        notes: what is odd.
    """

    spacing_mm: Spacing | None
    magnification: float | None
    notes: tuple[str, ...]


def at_detector(fields: Fields) -> Scale:
    """Find a film's scale; a field that can't be is left out and noted."""
    notes: list[str] = []
    imager = _spacing(fields, "ImagerPixelSpacing", notes) or _spacing(fields, "NominalScannedPixelSpacing", notes)
    stated = _spacing(fields, "PixelSpacing", notes)
    calibrated = stated is not None and (
        bool(fields.text("PixelSpacingCalibrationType")) or (imager is not None and not _same(imager, stated))
    )
    factor = _magnification(fields, notes)
    if calibrated and imager and stated:
        ratio = imager[0] / stated[0]
        factor = ratio if 1 <= ratio <= MOST else factor
    if calibrated and not imager and stated:
        if factor is None:
            notes.append(
                f"{named('PixelSpacing')} is valid at the patient, so the spacing at the detector is not known"
            )
        imager = (stated[0] * factor, stated[1] * factor) if factor else None
    elif not imager:
        imager = stated
    return Scale(imager, factor, tuple(notes))


def _spacing(fields: Fields, keyword: str, notes: list[str]) -> Spacing | None:
    numbers = _numbers(fields, keyword, notes)
    if len(numbers) == 2 and min(numbers) > 0:
        return (numbers[0], numbers[1])
    if numbers:
        notes.append(f"{named(keyword)} is not two numbers above 0, so it was ignored")
    return None


def _magnification(fields: Fields, notes: list[str]) -> float | None:
    """As stated, or source to detector over source to patient."""
    for factor in (*_numbers(fields, "EstimatedRadiographicMagnificationFactor", notes)[:1], *_ratio(fields, notes)):
        if 1 <= factor <= MOST:
            return factor
    return None


def _ratio(fields: Fields, notes: list[str]) -> list[float]:
    detector = _numbers(fields, "DistanceSourceToDetector", notes)
    patient = _numbers(fields, "DistanceSourceToPatient", notes)
    return [detector[0] / patient[0]] if detector and patient and patient[0] > 0 else []


def _numbers(fields: Fields, keyword: str, notes: list[str]) -> tuple[float, ...]:
    try:
        return fields.numbers(keyword)
    except Refused:
        notes.append(f"{named(keyword)} does not contain plain numbers, so it was ignored")
        return ()


def _same(a: Spacing, b: Spacing) -> bool:
    return all(abs(x - y) <= _SAME * x for x, y in zip(a, b, strict=True))
