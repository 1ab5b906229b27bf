"""What the page's server and the process that describes say to each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Progress = Callable[[int, int], None]  # slices done, slices found so far
Pictures = NDArray[np.uint8]  # (N, side, side)
FILES, SCRATCH = "files", "scratch"  # below the folder of a study


@dataclass(frozen=True)
class Described:
    """What the page needs of a description.

    Attributes:
        plain: the JSON document, `Description.plain()`.
        pictures: of each series, (N, side, side) uint8, as the model is shown it.
        burned_in: whether text is burned into a series' pictures, so that they may name the patient.
    """

    plain: dict[str, Any]
    pictures: tuple[Pictures, ...] = field(repr=False)
    burned_in: tuple[bool, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """One slice beside several captions.

    Attributes:
        cosines: of the slice with each caption.
        shares: their softmax at the temperature that the model was trained with; they add up to 1.
    """

    cosines: tuple[float, ...]
    shares: tuple[float, ...]
