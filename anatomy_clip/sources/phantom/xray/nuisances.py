"""What differs between films and says nothing of the patient; each is drawn by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from anatomy_clip.sources.phantom.xray.detector import Detector, Margins
from anatomy_clip.sources.phantom.xray.views import View

Range = tuple[float, float]

_TURN_DEG = (1.5, 2.0)  # standard deviations of tilt and rotation; five degrees at most
_MAX_TURN_DEG = 5.0


@dataclass(frozen=True)
class Site:
    """How a hospital takes and shows its films; design values. Ranges are the lowest and the highest.

    Attributes:
        quanta_mm2: photons a square millimetre of detector in the open beam; their logarithm is drawn.
        scatter: factor on the view's share of scattered photons.
        blur_px: standard deviation of the detector's blur, pixels.
        gamma: exponent of the display.
        flatten: factor on the share of slow changes that a view's display takes away.
        detail: gain of faint changes over a few millimetres.
        spectra: view's spectrum -> the spectrum that is used here; what isn't named stays.
        marker_share: share of films with a marker.
        shutter_share: chance of each shutter to show.
        field_scale: factor on the view's field.
    """

    quanta_mm2: Range = (8e3, 8e4)
    scatter: Range = (1.0, 1.0)
    blur_px: Range = (0.5, 0.7)
    gamma: Range = (0.75, 1.2)
    flatten: Range = (1.0, 1.0)
    detail: Range = (0.9, 1.3)
    spectra: Mapping[str, str] = field(default_factory=dict)
    marker_share: float = 0.7
    shutter_share: float = 0.45
    field_scale: Range = (0.93, 1.07)


@dataclass(frozen=True)
class Nuisances:
    """How one film was taken.

    Attributes:
        quanta_mm2: exposure: photons a square millimetre of detector in the open beam.
        scatter: scattered photons as a share of the primary ones.
        gamma: exponent of the display.
        turn_deg: how wrong the patient stands: tilt and rotation, degrees.
        field_scale: factor on the view's field.
        margins: shutters from top, right, bottom and left, as shares of the image.
        marker: "L", "R" or "" (none); it stands on that side of the patient.
        marker_at: where the marker lies within its corner, (down, inwards), as shares of the image.
        marker_mirrored: whether it lies face down.
        bubble_mm: how far the fluid level in the stomach of an upright patient lies above the fundus' centre, mm.
        spectrum: name of the tube's spectrum; empty: the view's own.
        blur_px: standard deviation of the detector's blur, pixels.
        flatten: factor on the share of slow changes that the view's display takes away.
        detail: gain of faint changes over a few millimetres.
    """

    quanta_mm2: float
    scatter: float
    gamma: float
    turn_deg: tuple[float, float]
    field_scale: float
    margins: Margins
    marker: str
    marker_at: tuple[float, float]
    marker_mirrored: bool
    bubble_mm: float
    spectrum: str = ""
    blur_px: float = 0.6
    flatten: float = 1.0
    detail: float = 1.1

    def detector(self, view: View) -> Detector:
        """The detector and display of this film."""
        return Detector(
            scatter=self.scatter,
            quanta_mm2=self.quanta_mm2,
            blur_px=self.blur_px,
            flatten=min(1.0, self.flatten * view.flatten),
            detail=self.detail,
            gamma=self.gamma,
            knee_at=view.knee_at,
            rim=view.rim,
        )


def draw_nuisances(view: View, side: str, rng: np.random.Generator, site: Site = Site()) -> Nuisances:
    """Draw how a film of a view is taken; always the same number of draws.

    Args:
        view: which projection; gives the range of scatter.
        side: of a limb, which its marker states; a view without a side has "L" or "R".
        rng: generator.
        site: where it is taken.
    """
    turn = np.clip(rng.normal(0, _TURN_DEG), -_MAX_TURN_DEG, _MAX_TURN_DEG)
    margins = np.where(rng.uniform(size=4) < site.shutter_share, rng.uniform(0, 0.06, 4), 0)
    letter = str(rng.choice(["L", "R"]))
    marked = rng.uniform() < site.marker_share
    return Nuisances(
        quanta_mm2=float(np.exp(rng.uniform(*np.log(site.quanta_mm2)))),
        scatter=float(rng.uniform(*view.scatter) * rng.uniform(*site.scatter)),
        gamma=float(rng.uniform(*site.gamma)),
        turn_deg=(float(turn[0]), float(turn[1])),
        field_scale=float(rng.uniform(*site.field_scale)),
        margins=(float(margins[0]), float(margins[1]), float(margins[2]), float(margins[3])),
        marker=(side[:1].upper() or letter) if marked else "",
        marker_at=(float(rng.uniform(0.03, 0.12)), float(rng.uniform(0.03, 0.08))),
        marker_mirrored=bool(rng.uniform() < 0.06),
        bubble_mm=float(rng.uniform(-8, 14)),
        spectrum=site.spectra.get(view.spectrum, ""),
        blur_px=float(rng.uniform(*site.blur_px)),
        flatten=float(rng.uniform(*site.flatten)),
        detail=float(rng.uniform(*site.detail)),
    )


def draw_marker(image: NDArray[np.uint8], drawn: Nuisances, on_left: bool) -> NDArray[np.uint8]:
    """The picture with its lead letter in an upper corner: the left one, or else the right one."""
    if not drawn.marker:
        return image
    h, w = image.shape
    scale, big = 0.0034 * h, 4
    letter = np.zeros((big * h // 5, big * w // 5), np.uint8)
    (wide, tall), _ = cv2.getTextSize(drawn.marker, cv2.FONT_HERSHEY_SIMPLEX, scale * big, 1)
    thick = max(1, round(0.02 * h * big / 1.6))
    pad = thick
    cv2.putText(letter, drawn.marker, (pad, tall + pad), cv2.FONT_HERSHEY_SIMPLEX, scale * big, 255, thick, cv2.LINE_AA)
    letter = letter[: tall + 2 * pad, : wide + 2 * pad]
    if drawn.marker_mirrored:
        letter = np.ascontiguousarray(letter[:, ::-1])
    stamp = cv2.resize(letter, None, fx=1 / big, fy=1 / big, interpolation=cv2.INTER_AREA)
    top = round((drawn.margins[0] + drawn.marker_at[0]) * h)
    edge = drawn.margins[3] if on_left else drawn.margins[1]
    inwards = round((edge + drawn.marker_at[1]) * w)
    left = inwards if on_left else w - inwards - stamp.shape[1]
    out = image.copy()
    area = out[top : top + stamp.shape[0], left : left + stamp.shape[1]]
    np.maximum(area, stamp, out=area)
    return out
