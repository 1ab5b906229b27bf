"""From a slice to the model's input, by the very steps that training took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.data.warp import resize
from anatomy_clip.imaging.intensity import Display, Grey, percentile_scale, to_square
from anatomy_clip.imaging.slices import Slice


@dataclass(frozen=True)
class Preprocessing:
    """How slices became the pictures that the model was trained on.

    Attributes:
        display: CT window, HU, and percentiles of MR.
        side: side of the grey squares that slices become first, as in the slice stores, pixels.
        image_size: side of the model's input, pixels.
    """

    display: Display
    side: int
    image_size: int

    def square(self, image: Slice) -> Grey:
        """Make a slice a grey square, (side, side)."""
        return self.display.square(image, self.side)

    def picture(self, pixels: NDArray[Any]) -> Grey:
        """Make a plain picture, (H, W) of any numbers, a grey square; what isn't uint8 is scaled by percentiles."""
        if pixels.dtype != np.uint8:
            pixels = percentile_scale(pixels.astype(np.float32), self.display.low, self.display.high)
        return to_square(pixels, (1.0, 1.0), self.side)

    def input(self, squares: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring squares, (N, side, side), to the model's input, (N, image_size, image_size)."""
        return np.stack([resize(square, self.image_size) for square in squares])

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Preprocessing:
        """Rebuild from what `to_dict` gave.

        Raises:
            ValueError: a value is missing or of the wrong kind.
        """
        try:
            return cls(Display(**data["display"]), int(data["side"]), int(data["image_size"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"preprocessing: {type(error).__name__}: {error}; export the bundle again") from error
