"""Whether the numbers of a CT can be HU: a wrong rescale changes what the model is shown, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# HU: nothing in a body lies below -1100, noise included; air and most of the lungs lie below -500, fat between -200 and
# -50, spongy bone about 300.
_NOTHING, _AIR, _FAT, _WATER, _BONE = -1100.0, -500.0, -200.0, -50.0, 300.0
_SAMPLES = 64  # about so many rows and columns are looked at, one in four at the least
_FEW = 0.001  # of the pixels: less can be noise, or what a resampling leaves at edges
# Soft tissue is more than so many times all else but air. A thin hand in air is mostly edges and bones; without air
# there are no such edges.
_BESIDE_AIR, _WITHOUT_AIR = 0.25, 2.0
_DOUBT = "its values may not be HU: are Rescale Slope and Rescale Intercept (NIfTI: scl_slope, scl_inter) right?"


@dataclass(frozen=True)
class Densities:
    """Pixels of CT slices, counted.

    Attributes:
        air: below -500 HU.
        fat: -200 to -50 HU.
        water: -50 to 300 HU: muscle, organs, blood.
        odd: in between, which is edges and partial volumes, above, which is bone and metal, and below all HU.
    """

    air: int = 0
    fat: int = 0
    water: int = 0
    odd: int = 0

    def __add__(self, other: Densities) -> Densities:
        return Densities(self.air + other.air, self.fat + other.fat, self.water + other.water, self.odd + other.odd)

    def note(self) -> str:
        """What a user should know, or "": a body has soft tissue, and air around it or at least fat in it.

        How much of the picture the body fills makes no difference.
        """
        counted, soft = self.air + self.fat + self.water + self.odd, self.fat + self.water
        if not counted:
            return ""
        if self.air + self.fat <= _FEW * counted:
            return f"almost no pixel has the HU of air or fat (below {_WATER:g}), so {_DOUBT}"
        if soft > self.odd * (_BESIDE_AIR if self.air > _FEW * counted else _WITHOUT_AIR):
            return ""
        said, odd, air = (f"{100 * n / counted:.0f} %" for n in (soft, self.odd, self.air))
        return (
            f"{said} of its pixels have the HU of soft tissue ({_FAT:g} to {_BONE:g}), {odd} those of edges and bone, "
            f"{air} those of air, so {_DOUBT}"
        )


def densities(hu: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> Densities:
    """Count the pixels of one slice; of a large one, some rows and columns are looked at.

    Args:
        hu: (H, W) HU.
        mask: (H, W) which pixels count; None: all but padding, which is the least value where no HU is so low.
    """
    step = min(4, max(1, min(hu.shape) // _SAMPLES))
    some = hu[::step, ::step]
    kept = mask[::step, ::step] if mask is not None else (some >= _NOTHING) | (some > some.min(initial=np.inf))
    some = some[kept]
    air = int(((some >= _NOTHING) & (some < _AIR)).sum())
    fat = int(((some >= _FAT) & (some < _WATER)).sum())
    water = int(((some >= _WATER) & (some <= _BONE)).sum())
    return Densities(air, fat, water, some.size - air - fat - water)


def density_note(hu: NDArray[np.floating], mask: NDArray[np.bool_] | None = None) -> str:
    """Say why the values of a CT can't be HU, or "".

    Args:
        hu: (N, H, W) slices, HU.
        mask: (N, H, W) which pixels count; None: all but padding.
    """
    masks = [None] * len(hu) if mask is None else list(mask)
    return sum((densities(one, kept) for one, kept in zip(hu, masks, strict=True)), Densities()).note()
