"""From the photons that pass to a picture: scatter, quanta, blur, and the display of a digital radiograph."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
Margins = tuple[float, float, float, float]

_SCATTER_SHARE = 1 / 6  # of the field: how far scattered photons stray
_SLOW_SHARE = 1 / 8
_FINE_SHARES = (1 / 140, 1 / 40)  # of the field, between which changes are detail; finer ones are noise
_FAINT = 0.15  # density beyond which detail gains less
_THIN = 2.0  # percentile of what was examined that becomes `_BASE`
_BASE = 0.2  # grey: what is thin isn't as black as air
_KNEE = 0.72  # grey from which on the display's curve flattens, so that bone over soft tissue isn't clipped
_WHITE = 0.94  # grey that the densest comes near to
_RIM = 0.8  # density from which on nothing is darker than `_BASE`
_AIR = 0.9  # what passes more than this share of the open beam isn't patient


@dataclass(frozen=True)
class Detector:
    """How the signal is made and shown; design values, none from a paper.

    Attributes:
        scatter: scattered photons as a share of the primary ones.
        quanta_mm2: photons a square millimetre of detector in the open beam.
        blur_px: standard deviation of the detector's blur, pixels.
        flatten: share of slow changes (over an eighth of the field) that the display takes away.
        detail: gain of changes over a few millimetres, where they are faint.
        gamma: exponent of the display: below 1 brighter.
        knee_at: percentile of what was examined that becomes `_KNEE`.
        rim: width of the patient's rim that has no say in the picture's brightness, as a share of the field.
    """

    scatter: float
    quanta_mm2: float
    blur_px: float = 0.6
    flatten: float = 0.6
    detail: float = 1.1
    gamma: float = 1.0
    knee_at: float = 85.0
    rim: float = 0.0


def collimation(shape: tuple[int, int], margins: Margins) -> F32:
    """Share (H, W) of the open beam: 1 in the field, 0 behind the shutters.

    Args:
        shape: (H, W).
        margins: how far the shutters reach in from top, right, bottom and left, as shares of the image.
    """
    (h, w), (top, right, bottom, left) = shape, margins
    v, u = np.arange(h)[:, None] + 0.5, np.arange(w)[None, :] + 0.5
    inside = np.minimum(np.minimum(v - top * h, h - bottom * h - v), np.minimum(u - left * w, w - right * w - u))
    return np.asarray(np.clip(inside + 0.5, 0, 1), dtype=np.float32)


def expose(primary: F32, detector: Detector, field: F32, pixel_mm: float, rng: np.random.Generator) -> F32:
    """Detected signal (H, W), as a share of the open beam's.

    Scattered photons are as many as the ratio says of what passes nearby: of the geometric mean within the patient.

    Args:
        primary: (H, W) share of the photons that pass unscattered.
        detector: its properties.
        field: (H, W) share of the open beam (`collimation`).
        pixel_mm: pixel step, mm.
        rng: for the quanta.
    """
    density = -np.log(np.maximum(primary, np.float32(1e-6)))
    nearby = np.exp(-_slow(density, (field > 0.5) & (primary < _AIR), _SCATTER_SHARE * max(primary.shape)))
    signal = field * (primary + np.float32(detector.scatter) * nearby * (primary < _AIR))
    quanta = detector.quanta_mm2 * pixel_mm**2
    counts = rng.poisson(signal.astype(np.float64) * quanta) / quanta
    return np.asarray(_blur(counts.astype(np.float32), detector.blur_px), dtype=np.float32)


def display(signal: F32, detector: Detector, field: F32) -> NDArray[np.uint8]:
    """A picture (H, W) in which dense tissue is bright, as radiographs are read; outside of the field it is black.

    Args:
        signal: (H, W) share of the open beam.
        detector: the display's properties.
        field: (H, W) share of the open beam (`collimation`).
    """
    lit = field > 0.5
    density = -np.log(np.clip(signal / np.maximum(_blur(field, detector.blur_px), 0.1), 1e-5, 1.0))
    patient = lit & (density > -np.log(_AIR))
    examined = _examined(patient, detector.rim)
    slow = _slow(density, patient, max(density.shape) * _SLOW_SHARE)
    shown = np.where(patient, density - np.float32(detector.flatten) * (slow - slow[examined].mean()), density)
    fine_px = [max(density.shape) * share for share in _FINE_SHARES]
    fine = _blur(shown, fine_px[0]) - _blur(shown, fine_px[1])
    shown += np.float32(detector.detail) * fine / (1 + np.abs(fine) / np.float32(_FAINT))
    low, high = np.percentile(shown[examined], (_THIN, detector.knee_at))
    linear = _BASE + (_KNEE - _BASE) * (shown - low) / max(float(high - low), 1e-3)
    # air is black, however thin the patient is elsewhere, and the skin fades into it
    least = _BASE * np.minimum(density / _RIM, 1)
    linear = np.where(patient, np.maximum(linear, least), least)
    grey = _curve(linear) ** np.float32(detector.gamma)
    return np.asarray(np.round(255 * grey * field), dtype=np.uint8)


def _curve(linear: F32) -> F32:
    """Grey within [0, 1]: straight up to the knee, then ever flatter towards white."""
    rest = _WHITE - _KNEE
    above = _KNEE + rest * (1 - np.exp(-np.maximum(linear - _KNEE, 0) / rest))
    return np.asarray(np.where(linear < _KNEE, np.maximum(linear, 0), above), dtype=np.float32)


def _examined(patient: NDArray[np.bool_], rim: float) -> NDArray[np.bool_]:
    """The part (H, W) that decides the picture's brightness: the patient in the middle, without the rim; else all."""
    h, w = patient.shape
    middle = np.zeros_like(patient)
    middle[round(h * 0.12) : round(h * 0.88), round(w * 0.2) : round(w * 0.8)] = True
    reach = 2 * round(rim * max(h, w)) + 1
    inner = cv2.erode(patient.astype(np.uint8), np.ones((reach, reach), np.uint8), borderValue=1) > 0
    for part in (inner & middle, patient & middle, patient):
        if part.any():
            return part
    return np.ones_like(patient)


def _slow(density: F32, patient: NDArray[np.bool_], sigma: float) -> F32:
    """Slow changes of the density within the patient, so that the air around doesn't count."""
    weight = patient.astype(np.float32)
    return np.asarray(_blur(density * weight, sigma) / (_blur(weight, sigma) + np.float32(1e-3)), dtype=np.float32)


def _blur(image: F32, sigma: float) -> F32:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.float32) if sigma > 0 else image
