"""The heart's size on a film, measured."""

from __future__ import annotations

import numpy as np

from anatomy_clip.core.radiographs import Finding
from anatomy_clip.core.terms import Projection, State, Visibility
from anatomy_clip.sources.phantom.xray.findings.effects import Mask

# Ratio above which a heart is enlarged: half the chest on a PA film (Danzer, Am J Med Sci 157 (1919) 513). An AP film
# is taken from nearby with the heart away from the detector, which widens the heart more than the ribs: by a median
# factor of 1.04 in 24 of these bodies. Its limit is as much higher, so that most hearts are called the same in both.
_LIMITS = {Projection.PA: 0.50, Projection.AP: 0.52}
_STEP = 0.05  # of the ratio, from mild to moderate to severe
_BORDERLINE = 0.02  # above the limit: subtle


def cardiothoracic_ratio(heart: Mask, lungs: Mask) -> float:
    """Greatest width of the heart over greatest inner width of the chest; 0 where one of them isn't on the film.

    Args:
        heart: (H, W) its outline: the distance from its rightmost to its leftmost point counts.
        lungs: (H, W) both lungs: the distance between their outer borders, at the height where it is greatest.
    """
    columns = np.nonzero(heart.any(axis=0))[0]
    rows = [np.nonzero(row)[0] for row in lungs if row.any()]
    if not len(columns) or not rows:
        return 0.0
    return float((columns[-1] + 1 - columns[0]) / max(row[-1] + 1 - row[0] for row in rows))


def cardiomegaly(heart: Mask, lungs: Mask, projection: str) -> Finding | None:
    """Whether the heart is too large; None where the projection or the film can't tell.

    Args:
        heart: (H, W) its outline on the film.
        lungs: (H, W) both lungs.
        projection: "PA", "AP" or "lateral".
    """
    limit = _LIMITS.get(Projection(projection))
    ratio = cardiothoracic_ratio(heart, lungs)
    if limit is None or ratio == 0:
        return None
    if ratio <= limit:
        return Finding(State.NEGATIVE, measure=ratio)
    severity = ("mild", "moderate", "severe")[min(2, int((ratio - limit) / _STEP))]
    seen = Visibility.SUBTLE if ratio < limit + _BORDERLINE else Visibility.CLEAR
    return Finding(State.POSITIVE, severity=severity, measure=ratio, visibility=seen)
