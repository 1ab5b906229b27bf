"""The masks of joined stores, at the size at which a model takes the images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anatomy_clip.data.warp import Mask, move_mask, window
from anatomy_clip.stores.store import Store


class JoinedMasks:
    """The masks of several stores, one store after the other, read when they are asked for.

    Args:
        stores: the stores.
        size: side of the masks that are given out, pixels.
    """

    def __init__(self, stores: Sequence[Store], size: int) -> None:
        self.stores = tuple(stores)
        self.size = size
        self._starts = np.cumsum([0, *(len(store.images) for store in stores)])

    def __getitem__(self, row: int, /) -> dict[str, Mask]:
        """Name -> (size, size) mask, of those that were drawn for the image of a row."""
        place = int(np.searchsorted(self._starts, row, side="right")) - 1
        store = self.stores[place]
        side = store.images.shape[1]
        motion = window(0, 0, side, side, self.size)
        drawn = store.masks(row - int(self._starts[place]))
        return {name: mask if side == self.size else move_mask(mask, motion, self.size) for name, mask in drawn.items()}
