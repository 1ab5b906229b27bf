"""Magnetic resonance of a label plane: signal equations, coil field, Rician noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from anatomy_clip.core.terms import Protocol
from anatomy_clip.sources.phantom.ct import correlated_noise
from anatomy_clip.sources.phantom.planes import Plane
from anatomy_clip.sources.phantom.structures import STRUCTURES
from anatomy_clip.sources.phantom.tissues import TissueTable, label_tissues

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


def spin_echo(pd: ArrayLike, t1: ArrayLike, t2: ArrayLike, tr: float, te: float) -> F64:
    """Spin echo signal PD (1 - exp(-TR/T1)) exp(-TE/T2); times in ms (Bernstein, Handbook of MRI Pulse Sequences)."""
    signal = np.asarray(pd) * (1 - np.exp(-tr / np.asarray(t1))) * np.exp(-te / np.asarray(t2))
    return np.asarray(signal, dtype=np.float64)


def inversion_recovery(pd: ArrayLike, t1: ArrayLike, t2: ArrayLike, tr: float, te: float, ti: float) -> F64:
    """Magnitude of an inversion recovery spin echo: PD |1 - 2 exp(-TI/T1) + exp(-TR/T1)| exp(-TE/T2); times in ms."""
    t1 = np.asarray(t1)
    recovered = np.abs(1 - 2 * np.exp(-ti / t1) + np.exp(-tr / t1))
    signal = np.asarray(pd) * recovered * np.exp(-te / np.asarray(t2))
    return np.asarray(signal, dtype=np.float64)


def null_time(t1: float, tr: float) -> float:
    """Inversion time at which tissue of this T1 gives no signal, ms."""
    return float(t1 * (np.log(2) - np.log(1 + np.exp(-tr / t1))))


def diffusion(signal: ArrayLike, b: float, adc: ArrayLike) -> F64:
    """Signal after diffusion weighting: S exp(-b ADC); b in s/mm2, ADC in 1e-3 mm2/s."""
    return np.asarray(np.asarray(signal) * np.exp(-b * 1e-3 * np.asarray(adc)), dtype=np.float64)


@dataclass(frozen=True)
class MrScanner:
    """How the scanners of a cohort differ; ranges are (lowest, highest).

    Attributes:
        high_field_share: share of series at 3 T.
        noise: noise as a share of a bright tissue's signal.
        bias: strength of the coil's field.
        blur_px: blur of the measured matrix, pixels.
    """

    high_field_share: float = 0.5
    noise: tuple[float, float] = (0.008, 0.035)
    bias: tuple[float, float] = (0.1, 0.45)
    blur_px: tuple[float, float] = (0.2, 0.7)


@dataclass(frozen=True)
class MrSeries:
    """One MR series, drawn once and used for all its slices.

    Attributes:
        signal: (L,) signal by label; common bright tissues have about 1.
        noise: standard deviation of the noise in each of the two channels.
        bias: strength of the coil's field.
        coil: kind of coil: body, volume or spine.
        blur_px: blur, pixels.
        gain: from signal to stored values.
        texture: relative variation within a tissue.
    """

    signal: F32
    noise: float
    bias: float
    coil: str
    blur_px: float
    gain: float
    texture: float


def draw_properties(rng: np.random.Generator, high_field: bool, agent: bool) -> tuple[TissueTable, F64]:
    """A patient's tissue properties by label, and T1 (L,) ms at the field, shortened by a contrast agent if given."""
    table, count = label_tissues(), len(STRUCTURES)

    def vary(values: F32, share: float) -> F32:
        return np.asarray(values * np.clip(1 + share * rng.normal(size=count), 0.6, 1.6), dtype=np.float32)

    t1 = vary(table.t1_high if high_field else table.t1_low, 0.05).astype(np.float64)
    if agent:
        # Where CT contrast agent goes, gadolinium goes: the CT enhancement stands for the concentration.
        t1 = 1 / (1 / t1 + np.clip(table.hu_contrast - table.hu, 0, 160) / 160 / 350)
    varied = replace(table, t2=vary(table.t2, 0.08), pd=vary(table.pd, 0.04), adc=vary(table.adc, 0.07))
    return varied, t1


def weighted_signal(
    protocol: Protocol, table: TissueTable, t1: F64, timing: dict[str, float], suppress_fat: bool
) -> F64:
    """Signal (L,) of a protocol.

    Args:
        protocol: the weighting.
        table: properties by label.
        t1: (L,) ms.
        timing: tr, te, ti_factor (inversion time as a share of the null time) in ms, b in s/mm2.
        suppress_fat: whether fat is saturated first.
    """
    tr, te = timing["tr"], timing["te"]
    pd = table.pd * (1 - table.fat) if suppress_fat else table.pd
    if protocol is Protocol.FLAIR or protocol is Protocol.STIR:
        nulled = "csf" if protocol is Protocol.FLAIR else "fat"
        row = [s.tissue for s in STRUCTURES].index(nulled)
        ti = timing["ti_factor"] * null_time(float(t1[row]), tr)
        signal = inversion_recovery(pd, t1, table.t2, tr, te, ti)
    else:
        signal = spin_echo(pd, t1, table.t2, tr, te)
    if protocol is Protocol.DWI:
        return diffusion(signal, timing["b"], table.adc)
    if protocol is Protocol.ADC:
        # A map, not a picture: the coefficient wherever there is signal to fit it to.
        return np.where(signal > 0.02, table.adc.astype(np.float64), 0.0)
    return signal * table.flow


def draw_mr(
    rng: np.random.Generator, scanner: MrScanner, protocol: Protocol, ranges: dict[str, Any], coil: str
) -> MrSeries:
    """Draw a series' settings.

    Args:
        rng: the series' generator.
        scanner: the cohort's scanner.
        protocol: the weighting.
        ranges: (lowest, highest) of tr, te, ti_factor and b; shares of series with fat_suppression and agent.
        coil: body, volume or spine.
    """
    timing = {k: rng.uniform(*v) for k, v in ranges.items() if isinstance(v, list | tuple)}
    agent = bool(rng.uniform() < ranges.get("agent", 0.0))
    suppress = bool(rng.uniform() < ranges.get("fat_suppression", 0.0))
    table, t1 = draw_properties(rng, bool(rng.uniform() < scanner.high_field_share), agent)
    signal = weighted_signal(protocol, table, t1, timing, suppress)
    quick = protocol in (Protocol.DWI, Protocol.ADC)  # echo-planar: coarser and noisier
    return MrSeries(
        signal=(signal / _typical(signal)).astype(np.float32),
        noise=rng.uniform(*scanner.noise) * (1.6 if quick else 1.0),
        bias=0.0 if protocol is Protocol.ADC else rng.uniform(*scanner.bias),
        coil="body" if protocol is Protocol.ADC else coil,
        blur_px=rng.uniform(*scanner.blur_px) + (0.5 if quick else 0.0),
        gain=float(np.exp(rng.uniform(np.log(200), np.log(2000)))),
        texture=rng.uniform(0.02, 0.06),
    )


def _typical(signal: F64) -> float:
    """Mean signal of the two brightest of the common tissues: what a radiographer sets the noise against."""
    tissues = [s.tissue for s in STRUCTURES]
    common = sorted(float(signal[tissues.index(t)]) for t in ("fat", "muscle", "liver", "brain_white"))
    return max(sum(common[-2:]) / 2, 1e-6)


def acquire_mr(labels: NDArray[np.uint8], plane: Plane, series: MrSeries, rng: np.random.Generator) -> F32:
    """Measure a slice.

    Args:
        labels: (h, w) label ids over the plane's field of view, at least as fine as its pixels.
        plane: the pixel grid.
        series: the series' settings.
        rng: the slice's generator.

    Returns:
        (H, W) arbitrary units, not negative.
    """
    size = (plane.shape[1], plane.shape[0])
    signal = series.signal[labels]
    if (labels.shape[1], labels.shape[0]) != size:
        signal = cv2.resize(signal, size, interpolation=cv2.INTER_AREA)
    grain = correlated_noise(rng, plane.shape, max(0.5, 1.5 / plane.spacing_mm[0]))
    signal = signal * (1 + np.float32(series.texture) * grain)
    if series.blur_px > 0.25:
        signal = cv2.GaussianBlur(signal, (0, 0), series.blur_px)
    signal = signal * coil_field(plane.shape, series.bias, series.coil, rng)
    return rician(signal, series.noise, rng) * np.float32(series.gain)


def rician(signal: F32, sigma: float, rng: np.random.Generator) -> F32:
    """Magnitude of a complex signal with Gaussian noise in both channels (Gudbjartsson, Magn Reson Med 34, 910)."""
    real, imaginary = rng.standard_normal((2, *signal.shape), dtype=np.float32) * np.float32(sigma)
    return np.asarray(np.hypot(signal + real, imaginary), dtype=np.float32)


def coil_field(shape: tuple[int, int], strength: float, coil: str, rng: np.random.Generator) -> F32:
    """Smooth sensitivity of the coil: (H, W), about 1.

    Args:
        shape: (H, W).
        strength: size of the log field's coefficients.
        coil: body (smooth over the picture), volume (falls off from the middle) or spine (falls off from the back,
            which lies on the image's right).
        rng: the slice's generator.
    """
    v = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    u = np.linspace(-1, 1, shape[1], dtype=np.float32)[None, :]
    a, b, c, d, e = (strength * rng.uniform(-0.6, 0.6, 5)).astype(np.float32)
    log = a * u + b * v + c * u * u + d * u * v + e * v * v
    falls = {
        "volume": np.float32(-0.9 * strength) * (u * u + v * v),
        "spine": np.float32(1.6 * strength) * (u - 1),
    }
    return np.asarray(np.exp(log + falls.get(coil, np.float32(0))), dtype=np.float32)
