"""Whether the numbers of a CT series can be HU: a wrong rescale changes what the model is shown, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_AIR, _FAT, _BONE = -500.0, -200.0, 300.0  # HU: air and most of the lungs lie below, fat above, spongy bone about there
_STEP = 4  # every so many rows and columns are looked at


@dataclass(frozen=True)
class Densities:
    """Pixels of CT slices, counted.

    Attributes:
        air: below -500 HU.
        soft: -200 to 300 HU: fat, muscle, organs, blood.
        odd: in between, which is edges and partial volumes, and above, which is bone and metal.
    """

    air: int = 0
    soft: int = 0
    odd: int = 0

    def __add__(self, other: Densities) -> Densities:
        return Densities(self.air + other.air, self.soft + other.soft, self.odd + other.odd)

    def note(self) -> str:
        """What a user should know, or "": every body has more soft tissue than edges and bone, and air around it."""
        if self.soft > (self.odd if self.air else 2 * self.odd) or not (self.air or self.odd):
            return ""
        counted = self.air + self.soft + self.odd
        soft, odd, air = (f"{100 * n / counted:.0f} %" for n in (self.soft, self.odd, self.air))
        return (
            f"{soft} of its pixels hold the HU of soft tissue (-200 to 300), {odd} those of edges and bone, {air} "
            "those of air, which is no body: are Rescale Slope and Rescale Intercept right?"
        )


def densities(hu: NDArray[np.float32]) -> Densities:
    """Count the pixels of one slice, (H, W) HU; one in sixteen is looked at."""
    some = hu[::_STEP, ::_STEP]
    air = int((some < _AIR).sum())
    soft = int(((some >= _FAT) & (some <= _BONE)).sum())
    return Densities(air, soft, some.size - air - soft)
