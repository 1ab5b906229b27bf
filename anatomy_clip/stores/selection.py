"""Which of a volume's slices go into a store, and which of a store's patients into a training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.manifest import Manifest

Item = TypeVar("Item")
_SHOWS = 0.01  # share of the pixels that must be brighter than the darkest


@dataclass(frozen=True)
class Selection:
    """Which slices are taken; one that takes all is false.

    Attributes:
        every: take every n-th slice, in the source's order.
        at_most: slices a volume, spread evenly over what is left by the other two; None = all.
        skip_empty: leave out slices in which fewer than 1 % of the pixels differ from the background.

    Raises:
        ValueError: a number is below 1.
    """

    every: int = 1
    at_most: int | None = None
    skip_empty: bool = False

    def __post_init__(self) -> None:
        for name in ("every", "at_most"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"selection.{name}={value}: give a whole number of at least 1")

    def __bool__(self) -> bool:
        return self != Selection()

    def candidates(self, items: Iterable[Item]) -> Iterator[Item]:
        """Every n-th item of a stream."""
        return islice(items, 0, None, self.every)

    def spread(self, items: Sequence[Item]) -> list[Item]:
        """At most as many items as wanted, evenly spread, the first and the last among them."""
        if self.at_most is None or len(items) <= self.at_most:
            return list(items)
        if self.at_most == 1:
            return [items[len(items) // 2]]
        return [items[n] for n in np.linspace(0, len(items) - 1, self.at_most).round().astype(int)]

    def keeps(self, image: NDArray[np.uint8]) -> bool:
        """Whether a grey image, (H, W), is wanted."""
        return not self.skip_empty or bool((image > image.min()).mean() >= _SHOWS)


def first_patients(records: Manifest[Any], count: int, seed: int) -> list[int]:
    """Rows of the slices of some patients, drawn by the hashes of their ids.

    The draw of fewer patients lies within that of more, and depends on nothing but the ids and the seed.

    Args:
        records: slices of any number of patients.
        count: patients wanted.
        seed: another seed draws others.

    Raises:
        ValueError: there are fewer patients, or none is wanted.
    """
    patients = records.patients()
    if not 1 <= count <= len(patients):
        raise ValueError(
            f"data.train_patients={count}: the training stores have {len(patients)} patients; give a number from 1 to "
            "that"
        )
    drawn = sorted(patients, key=lambda patient: sha256(repr((seed, *patient)).encode()).digest())
    wanted = set(drawn[:count])
    return [row for row, owner in enumerate(records.owners()) if owner in wanted]
