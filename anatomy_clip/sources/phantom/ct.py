"""Computed tomography of a label plane: Hounsfield units with a scanner's faults."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.terms import Orientation
from anatomy_clip.sources.phantom.planes import Plane
from anatomy_clip.sources.phantom.structures import STRUCTURES
from anatomy_clip.sources.phantom.tissues import label_tissues

F32 = NDArray[np.float32]

AIR_HU = -1000.0
OUTSIDE_HU = -1024.0  # what scanners write outside of the reconstruction circle
METAL_HU = 3000.0
_TRUNK_MM = 280.0  # wider fields of view show the trunk, which may wear electrodes
_WATER_CM = 25.0  # thickness of the water phantom for which `noise_hu` holds
_HALF_CM = 26.0  # that much more water makes e times the noise (0.2 /cm, square root, partly undone by modulation)

_LUNG = np.array([s.tissue == "lung" for s in STRUCTURES])
_STOOL = np.array([s.tissue == "stool" for s in STRUCTURES])
_TEETH = np.array([s.tissue == "tooth" for s in STRUCTURES])
_FEMUR = {side: np.array([s.name == f"femur_{side}" for s in STRUCTURES]) for side in ("left", "right")}


@dataclass(frozen=True)
class CtScanner:
    """How the scanners of a cohort differ; ranges are (lowest, highest).

    Attributes:
        noise_hu: noise of a 25 cm water phantom at full dose, HU.
        dose: share of the full dose.
        blur_mm: standard deviation of the kernel's point spread, mm.
        grain_px: correlation of the noise: standard deviation of its blur, pixels.
        sharpen: strength of the sharp kernel's edge enhancement.
        contrast_share: share of series with contrast agent.
        circle_share: share of series whose reconstruction circle is seen.
        table_share: share of series with the table in the picture.
        metal_share: share of patients' series with a hip prosthesis.
    """

    noise_hu: tuple[float, float] = (3.0, 9.0)
    dose: tuple[float, float] = (0.3, 1.0)
    blur_mm: tuple[float, float] = (0.5, 1.1)
    grain_px: tuple[float, float] = (0.35, 0.9)
    sharpen: tuple[float, float] = (0.0, 0.7)
    contrast_share: float = 0.55
    circle_share: float = 0.25
    table_share: float = 0.8
    metal_share: float = 0.04


@dataclass(frozen=True)
class CtSeries:
    """One CT series, drawn once and used for all its slices.

    Attributes:
        hu: (L,) HU by label.
        texture: (L,) standard deviation within the tissue by label, HU.
        noise_hu: noise of a 25 cm water phantom, HU.
        blur_mm: standard deviation of the point spread, mm.
        grain_px: blur of the noise, pixels.
        sharpen: edge enhancement.
        table: height of the table top, its rise at the edge, half its width, depth of its second sheet (mm) and
            its HU; empty without table.
        circle: centre x, y and radius of the reconstruction circle, mm; empty where it isn't seen.
        metal: side of a hip prosthesis and the height from which the femur is metal, mm; "" for none.
        fillings: whether teeth have metal fillings.
        leads: number of electrodes on the skin.
    """

    hu: F32
    texture: F32
    noise_hu: float
    blur_mm: float
    grain_px: float
    sharpen: float
    table: tuple[float, ...] = ()
    circle: tuple[float, ...] = ()
    metal: tuple[str, float] = ("", 0.0)
    fillings: bool = False
    leads: int = 0


def draw_hu(rng: np.random.Generator, contrast: bool) -> F32:
    """A patient's HU by label: (L,); the tissue's mean and a draw of its spread for every structure."""
    table = label_tissues()
    bolus = np.float32(rng.uniform(0.6, 1.25))
    arterial = np.array([s.tissue in ("blood", "kidney_cortex") for s in STRUCTURES])
    bolus_of = np.where(arterial, bolus * np.float32(rng.uniform(0.8, 1.7)), bolus)
    mean = table.hu + (table.hu_contrast - table.hu) * bolus_of if contrast else table.hu
    # A tissue's share (same in all its structures) and a smaller one of the structure's own.
    tissue_draw = {s.tissue: rng.normal() for s in dict.fromkeys(STRUCTURES)}
    shared = np.array([tissue_draw[s.tissue] for s in STRUCTURES])
    own = rng.normal(size=len(STRUCTURES))
    return np.asarray(mean + table.hu_spread * (0.9 * shared + 0.4 * own), dtype=np.float32)


def draw_ct(
    rng: np.random.Generator, scanner: CtScanner, back_mm: float, circle: tuple[float, ...], hip_mm: float
) -> CtSeries:
    """Draw a series' settings.

    Args:
        rng: the series' generator.
        scanner: the cohort's scanner.
        back_mm: y of the patient's back, mm; the table lies beneath it.
        circle: centre x, y and radius of the reconstruction circle, mm.
        hip_mm: height of the hip joints, mm.
    """
    table = (
        back_mm - rng.uniform(2, 22),
        rng.uniform(0, 55),
        rng.uniform(180, 265),
        rng.uniform(18, 60),
        rng.uniform(-250, 300),
    )
    sharp = rng.uniform() < 0.3
    metal = (str(rng.choice(["left", "right"])), hip_mm - rng.uniform(40, 110))
    return CtSeries(
        hu=draw_hu(rng, bool(rng.uniform() < scanner.contrast_share)),
        texture=label_tissues().hu_texture * np.float32(rng.uniform(0.6, 1.4)),
        noise_hu=rng.uniform(*scanner.noise_hu) / float(np.sqrt(rng.uniform(*scanner.dose))),
        blur_mm=rng.uniform(*scanner.blur_mm) * (0.6 if sharp else 1.0),
        grain_px=rng.uniform(*scanner.grain_px) * (0.7 if sharp else 1.0),
        sharpen=rng.uniform(*scanner.sharpen) if sharp else 0.0,
        table=table if rng.uniform() < scanner.table_share else (),
        circle=circle if rng.uniform() < scanner.circle_share else (),
        metal=metal if rng.uniform() < scanner.metal_share else ("", 0.0),
        fillings=bool(rng.uniform() < 0.4),
        leads=int(rng.integers(1, 4)) if rng.uniform() < 0.2 else 0,
    )


def acquire_ct(labels: NDArray[np.uint8], plane: Plane, series: CtSeries, rng: np.random.Generator) -> F32:
    """Measure a slice.

    Args:
        labels: (h, w) label ids over the plane's field of view, at least as fine as its pixels.
        plane: the pixel grid.
        series: the series' settings.
        rng: the slice's generator.

    Returns:
        (H, W) HU, not windowed.
    """
    height, width = plane.shape
    size = (width, height)
    hu = _shrink(series.hu[labels], size)
    outside = _shrink((labels == 0).astype(np.float32), size)
    hu = hu + _texture(labels, series, size, plane, rng)
    metal = _metal(labels, plane, series, size)
    if metal is not None:
        hu = hu + (METAL_HU - hu) * metal
    if series.table:
        hu = _add_table(hu, outside, plane, series.table)
    wide = plane.shape[1] * plane.spacing_mm[1] > _TRUNK_MM
    if series.leads and wide and plane.orientation is Orientation.AXIAL:
        hu = _add_leads(hu, outside, series.leads, rng)
    hu = _kernel(hu, series, plane.spacing_mm[0])
    hu = hu + _noise(hu, plane, series, rng)
    if metal is not None:
        hu = hu + _star(metal, plane.spacing_mm[0], rng)
    if series.circle:
        x, y, radius = series.circle
        far = (plane.coordinate(0) - x) ** 2 + (plane.coordinate(1) - y) ** 2 > radius**2
        hu[far] = OUTSIDE_HU
    return np.clip(hu, OUTSIDE_HU, 3071).astype(np.float32)


def correlated_noise(rng: np.random.Generator, shape: tuple[int, int], sigma_px: float) -> F32:
    """White noise blurred by a Gaussian of `sigma_px` pixels and brought back to unit variance: (H, W)."""
    white = rng.standard_normal(shape, dtype=np.float32)
    if sigma_px < 0.2:
        return white
    kernel = cv2.getGaussianKernel(2 * int(np.ceil(3 * sigma_px)) + 1, sigma_px, cv2.CV_32F)
    blurred = cv2.sepFilter2D(white, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT)
    # The variance of a separable filter of white noise is the product of its kernels' sums of squares.
    return np.asarray(blurred / np.float32((kernel**2).sum()), dtype=np.float32)


def _shrink(image: F32, size: tuple[int, int]) -> F32:
    if (image.shape[1], image.shape[0]) == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def _texture(
    labels: NDArray[np.uint8], series: CtSeries, size: tuple[int, int], plane: Plane, rng: np.random.Generator
) -> F32:
    fine = correlated_noise(rng, plane.shape, 1.3 / plane.spacing_mm[0])
    texture = _shrink(series.texture[labels], size) * fine
    lung = _LUNG[labels]
    if lung.any():
        # Lung is air with bright vessels: only the highest peaks of a finer field become vessels.
        spots = correlated_noise(rng, plane.shape, max(0.45, 1.6 / plane.spacing_mm[0]))
        texture += _shrink(lung.astype(np.float32), size) * np.clip(spots - 1.35, 0, 1.2) * 480
    stool = _STOOL[labels]
    if stool.any():
        # Stool is mottled with gas.
        gas = correlated_noise(rng, plane.shape, max(0.6, 3.0 / plane.spacing_mm[0]))
        texture -= _shrink(stool.astype(np.float32), size) * np.clip(gas - 0.4, 0, 1.5) * 420
    return texture


def _metal(labels: NDArray[np.uint8], plane: Plane, series: CtSeries, size: tuple[int, int]) -> F32 | None:
    side, height = series.metal
    mask = np.zeros(plane.shape, dtype=np.float32)
    if side:
        above = plane.coordinate(2) > height
        mask = np.where(above, _shrink(_FEMUR[side][labels].astype(np.float32), size), 0).astype(np.float32)
    if series.fillings:
        teeth = _shrink(_TEETH[labels].astype(np.float32), size)
        # A fixed third of the mouth's width has fillings: by position, so that neighbours agree.
        mask = np.maximum(mask, teeth * (np.sin(plane.coordinate(0) * 0.35) > 0.6))
    return mask if mask.max() > 0.3 else None


def _star(metal: F32, pixel_mm: float, rng: np.random.Generator) -> F32:
    rows, cols = np.nonzero(metal > 0.3)
    v = np.arange(metal.shape[0], dtype=np.float32)[:, None] - np.float32(rows.mean())
    u = np.arange(metal.shape[1], dtype=np.float32)[None, :] - np.float32(cols.mean())
    angle, radius = np.arctan2(v, u), np.hypot(u, v) * np.float32(pixel_mm)
    rays = sum(np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in (2, 5, 8, 13, 18))
    strength = rng.uniform(30, 110) * min(1.0, np.sqrt(len(rows) * pixel_mm**2 / 300))
    return np.asarray(strength * rays * np.exp(-radius / 90), dtype=np.float32)


def _add_table(hu: F32, outside: F32, plane: Plane, table: tuple[float, ...]) -> F32:
    top, rise, half, depth, table_hu = table
    x, y = plane.coordinate(0), plane.coordinate(1)
    share = np.clip((half - np.abs(x)) / 4, 0, 1)
    out = hu
    for level, lift in ((top, rise), (top - depth, rise * 0.8)):
        surface = level + lift * (x / half) ** 2
        # A sheet of 3 mm: the share of the pixel that it fills.
        cover = np.clip((1.5 - np.abs(y - surface)) / plane.spacing_mm[0] + 0.5, 0, 1) * share
        cover = cover * outside
        out = np.asarray(out + (table_hu - out) * cover, dtype=np.float32)
    return out


def _add_leads(hu: F32, outside: F32, count: int, rng: np.random.Generator) -> F32:
    body = (outside < 0.5).astype(np.uint8)
    rim = cv2.dilate(body, np.ones((3, 3), np.uint8)) - body
    rim[rim.shape[0] // 2 :] = 0
    rows, cols = np.nonzero(rim)
    if len(rows):
        for pick in rng.integers(0, len(rows), count):
            cv2.circle(hu, (int(cols[pick]), int(rows[pick])), 1, float(rng.uniform(300, 1800)), -1)
    return hu


def _kernel(hu: F32, series: CtSeries, pixel_mm: float) -> F32:
    sigma = series.blur_mm / pixel_mm
    out = cv2.GaussianBlur(hu, (0, 0), sigma) if sigma > 0.25 else hu
    if series.sharpen > 0:
        out = out + np.float32(series.sharpen) * (out - cv2.GaussianBlur(out, (0, 0), 1.0))
    return np.asarray(out, dtype=np.float32)


def _noise(hu: F32, plane: Plane, series: CtSeries, rng: np.random.Generator) -> F32:
    water = np.clip(hu * 0.001 + 1, 0, 2.2)
    across = water.sum(axis=1) * (plane.spacing_mm[1] / 10)  # cm of water along each row
    cm = float(np.quantile(across, 0.9))
    sigma = series.noise_hu * float(np.exp((min(cm, 55) - _WATER_CM) / _HALF_CM))
    noise = correlated_noise(rng, plane.shape, series.grain_px) * np.float32(sigma)
    # Photon starvation: rows behind much bone (shoulders, hips) are streaked along the row.
    starved = np.clip((across - 36) / 14, 0, 1.5)[:, None] * np.float32(sigma * 0.9)
    if plane.orientation != Orientation.SAGITTAL and starved.max() > 0:
        white = rng.standard_normal(plane.shape, dtype=np.float32)
        noise += starved * cv2.blur(white, (25, 1)) * 5
    return np.asarray(noise, dtype=np.float32)
