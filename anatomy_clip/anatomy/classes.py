"""Exclusive classes of radiographs, such as COVIDx's three: what a film shows and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.anatomy.findings import UNKNOWN
from anatomy_clip.core.radiographs import RADIOGRAPHS, RadiographRecord
from anatomy_clip.core.refusals import Refused
from anatomy_clip.core.terms import State


class ClassSet:
    """A fixed order of classes; a film that shows none of them, or more than one, has no class.

    Attributes:
        name: name of the set.
        classes: findings, "no_finding" too, in the order of the label vectors.
    """

    kind = RADIOGRAPHS

    def __init__(self, classes: Sequence[str], name: str = "classes") -> None:
        """Check the names.

        Raises:
            Refused: there are fewer than two classes, or one stands twice.
        """
        self.name = name
        self.classes = tuple(classes)
        if len(set(self.classes)) < max(2, len(self.classes)):
            raise Refused(
                "taxonomy.classes: it has fewer than two classes, or the same class twice", "list each class once"
            )

    def to_dict(self) -> dict[str, Any]:
        """The whole set as plain values, for checkpoints."""
        return {"name": self.name, "classes": list(self.classes)}

    def vector(self, record: RadiographRecord) -> NDArray[np.int8]:
        """Label one film: (C,) 1 of its class and 0 of the others, or all -1, see `class_of`."""
        shown = class_of(record, self.classes)
        vector = np.full(len(self.classes), UNKNOWN if shown == UNKNOWN else 0, np.int8)
        if shown != UNKNOWN:
            vector[shown] = 1
        return vector


def class_of(record: RadiographRecord, classes: Sequence[str]) -> int:
    """Which class a film shows; -1 where it shows none, or has another too (even one that isn't seen on it)."""
    known = [record.findings[name] if name in record.findings else None for name in classes]
    shown = [n for n, one in enumerate(known) if one is not None and one.shown]
    there = sum(one is not None and one.state is not State.NEGATIVE for one in known)
    return shown[0] if len(shown) == 1 and there == 1 else UNKNOWN


def class_numbers(labels: NDArray[np.int8]) -> NDArray[np.int8]:
    """The class of each film from label vectors, (N, C) -> (N,); -1 where it has none."""
    shown = labels == 1
    return np.where(shown.any(axis=1), shown.argmax(axis=1), UNKNOWN).astype(np.int8)
