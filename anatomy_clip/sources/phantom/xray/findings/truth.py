"""What is true of a film: its findings, how well they are seen, and their boxes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import cv2
import numpy as np

from anatomy_clip.core.radiographs import Box, Finding
from anatomy_clip.core.terms import State, Visibility
from anatomy_clip.sources.phantom.xray.findings.effects import Mask
from anatomy_clip.sources.phantom.xray.findings.plan import NO_FINDING, part_findings
from anatomy_clip.sources.phantom.xray.findings.planting import Scene
from anatomy_clip.sources.phantom.xray.geometry import F32

_CLEAR, _SUBTLE = 2.0, 1.3  # contrast to noise from which a finding is clear, or seen at all
_AIR = 8.0  # grey up to which there is no patient
_ROUNDING = 1 / 12  # variance of whole grey values
_NEAR_SHARE = 0.08  # of the film: what is nearby
_CHANNELS_PX = (1.0, 2.0, 4.0, 8.0)
_LEAST_PX = 2  # fewer pixels aren't seen


def contrast_to_noise(with_it: F32, without: F32, mask: Mask, noise: F32) -> float:
    """How well a finding stands out, as an observer with channels for detail of several sizes sees it.

    A channel of width w keeps what changes over such lengths, B(x) = G(x, w / 2) - G(x, 2 w), a difference of Gaussians
    (Abbey and Barrett, J Opt Soc Am A 18 (2001) 473). Its contrast is the 90th percentile of |B(with - without)| in the
    mask. Its noise is n^2 = s^2 + q^2: s is anatomical noise, the median of |B(without)| / 0.6745 in the patient
    nearby, and q the standard deviation of B(noise) there. The result is the root of the sum of (contrast / n)^2 over
    the channels.

    Args:
        with_it: (H, W) grey values of the film with the finding, free of quantum noise.
        without: (H, W) the same without the finding.
        mask: (H, W) where it is, in the lit field.
        noise: (H, W) what the quanta change of the grey values.
    """
    if mask.sum() < _LEAST_PX:
        return 0.0
    reach = 2 * round(_NEAR_SHARE * max(mask.shape)) + 1
    near = (cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0) & (without > _AIR)
    near = near if near.any() else mask
    total = 0.0
    for width in _CHANNELS_PX:
        contrast = np.percentile(np.abs(_band(with_it - without, width)[mask]), 90)
        anatomy = np.median(np.abs(_band(without, width)[near])) / 0.6745
        total += float(contrast**2 / (anatomy**2 + _band(noise, width)[near].var() + _ROUNDING))
    return float(np.sqrt(total))


def _band(image: F32, width: float) -> F32:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), width / 2) - cv2.GaussianBlur(image, (0, 0), 2 * width))


def visibility(ratio: float) -> Visibility:
    """What a contrast to noise means for a reader; thresholds chosen by looking at films."""
    if ratio >= _CLEAR:
        return Visibility.CLEAR
    return Visibility.SUBTLE if ratio >= _SUBTLE else Visibility.INVISIBLE


def box_of(name: str, part: Mask) -> tuple[Box, ...]:
    """The rectangle about a mask (H, W), alone; none about an empty one."""
    rows, columns = (np.nonzero(part.any(axis=axis))[0] for axis in (1, 0))
    if not len(rows):
        return ()
    left, top = float(columns[0]), float(rows[0])
    return (Box(name, left, top, float(columns[-1] + 1 - left), float(rows[-1] + 1 - top)),)


def planted_truth(
    scene: Scene, picture: Callable[[F32], F32], film: F32, lit: Mask
) -> tuple[dict[str, Finding], tuple[Box, ...]]:
    """Findings that were planted, and the boxes of those that are seen.

    Args:
        scene: the rays and what is planted.
        picture: from paths (2, H, W) in cm to grey values (H, W) free of quantum noise.
        film: (H, W) grey values with quantum noise.
        lit: (H, W) the lit field.
    """
    findings: dict[str, Finding] = {}
    boxes: tuple[Box, ...] = ()
    whole = picture(scene.material_paths()) if scene.effects else film
    for effect in scene.effects:
        without = picture(scene.material_paths(without=effect.name))
        seen = visibility(contrast_to_noise(whole, without, effect.mask & lit, film - whole))
        findings[effect.name] = Finding(State.POSITIVE, effect.side, effect.zone, effect.severity, effect.measure, seen)
        if seen is not Visibility.INVISIBLE:
            boxes += tuple(box for part in effect.parts for box in box_of(effect.name, part & lit))
    return findings, boxes


def all_findings(part: str, found: Mapping[str, Finding], unknown: Collection[str]) -> dict[str, Finding]:
    """Every finding of a part in the table's order; those that aren't there are negative.

    "no_finding" is positive where none is seen; as with CheXpert's "No Finding", devices don't count.

    Args:
        part: as "chest".
        found: what is known.
        unknown: findings that the film can't tell; they are left out.
    """
    names = [name for name in part_findings(part) if name not in unknown]
    out = {name: found.get(name, Finding(State.NEGATIVE)) for name in names}
    seen = any(one.shown for name, one in out.items() if name != "support_devices")
    return out | {NO_FINDING: Finding(State.NEGATIVE if seen else State.POSITIVE)}
