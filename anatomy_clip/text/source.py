"""The contract of what makes training texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from anatomy_clip.core.kinds import Kind

CAPTION, REPORT = "caption", "report"  # kinds of text; a caption is never cut


class TextSource(Protocol):
    """Whatever makes the texts of a training sample; built with the taxonomy.

    Attributes:
        kind: of the records that it makes texts of.
        kinds: of text that it makes.
        minds_flips: whether its words name sides, which a flip of the image would make wrong.
    """

    kind: Kind[Any]
    kinds: tuple[str, ...]
    minds_flips: bool

    def texts(
        self, record: Any, shown: Mapping[str, Sequence[str]], rng: np.random.Generator
    ) -> dict[str, tuple[str, ...]]:
        """Make the texts of one sample: kind of text ("caption") -> as many as the sample meets at once.

        Args:
            record: the sample.
            shown: label space -> names of the labels that it shows; none where they are unknown: a text may not say
                that there are none.
            rng: the sample's generator; every draw comes from it.
        """
        ...

    def vocabulary(self, taxonomy: Any, records: Iterable[Any] = ()) -> list[str]:
        """Texts that have every word, and the length of the longest text, that a record can get."""
        ...
