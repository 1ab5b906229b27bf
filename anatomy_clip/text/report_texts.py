"""Reports to training texts: one sentence at random, or the whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from anatomy_clip.core.radiographs import RADIOGRAPHS, RadiographRecord
from anatomy_clip.core.refusals import Refused
from anatomy_clip.text.reports.sentences import split_sentences
from anatomy_clip.text.reports.words import described_by
from anatomy_clip.text.source import CAPTION, REPORT

AS_PUBLISHED = "as_published"
_CACHED_REPORTS = 100_000


class ReportTexts:
    """One sentence of findings and impression, each equally often (Zhang et al. 2022, ConVIRT), and the whole of both.

    Args:
        flip: "as_published": images are flipped though the sides in the words are then wrong, as the papers do; None: a
            flip is refused.
        taxonomy: given to all text sources; what reports say doesn't depend on it.

    Raises:
        Refused: `flip` is something else.
    """

    kind = RADIOGRAPHS
    kinds = (CAPTION, REPORT)

    def __init__(self, flip: str | None = None, taxonomy: object = None) -> None:
        if flip not in (None, AS_PUBLISHED):
            raise Refused(f"prompts.flip={flip}: this is unknown", f"give null or {AS_PUBLISHED}")
        self.minds_flips = flip is None

    def texts(
        self, record: RadiographRecord, shown: Mapping[str, Sequence[str]], rng: np.random.Generator
    ) -> dict[str, tuple[str, ...]]:
        """See `TextSource`; the data module refuses records whose reports have neither findings nor impression."""
        text = described_by(record.report)
        sentences = _sentences(text)
        return {CAPTION: (sentences[int(rng.integers(len(sentences)))],), REPORT: (text,)}

    def vocabulary(self, taxonomy: object, records: Iterable[RadiographRecord] = ()) -> list[str]:
        """The distinct sentences of the records."""
        reports = {described_by(record.report) for record in records}
        return sorted({sentence for text in reports for sentence in _sentences(text)})


@lru_cache(maxsize=_CACHED_REPORTS)
def _sentences(text: str) -> tuple[str, ...]:
    """The sentences of a report; the whole where none has words enough to count as one ("Normal.")."""
    return split_sentences(text) or (text,)
