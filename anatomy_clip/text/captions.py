"""Complete captions: what they say, and which ones training slices give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from anatomy_clip.anatomy.labels import organs_in, stations_in
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import modality_words
from anatomy_clip.text.templates import Wording, fill_first, make_slots

WAYS = ("seen", "grown")  # to a slice's caption: the best of those that training slices give; what a beam ends with
SLOTS = ("modality", "orientation", "station", "organ_f1", "organ_exact", "all")  # of a caption's verdict
MOST = 5000  # captions kept; many more take minutes to embed without a GPU


@dataclass(frozen=True)
class Caption:
    """A caption and what it says.

    Attributes:
        text: the sentence.
        modality: "CT", "MR T2" and so on.
        orientation: "axial", "coronal" or "sagittal".
        organs, stations: names, in the taxonomy's order; empty where the sentence names none.
    """

    text: str
    modality: str
    orientation: str
    organs: tuple[str, ...]
    stations: tuple[str, ...]


def make_caption(
    modality: str, orientation: str, organs: Sequence[str], stations: Sequence[str], wording: Wording
) -> Caption:
    """Write the caption that says these things."""
    text = fill_first(wording, make_slots(orientation, modality, organs, stations))
    return Caption(text, modality, orientation, tuple(organs), tuple(stations))


def caption_of(record: SliceRecord, organs: Sequence[str], stations: Sequence[str], wording: Wording) -> Caption:
    """Write the caption of a slice that shows these organs and stations."""
    modality = modality_words(record.modality, record.protocol)
    return make_caption(modality, record.orientation.value, organs, stations, wording)


def plausible_captions(
    records: Iterable[SliceRecord], taxonomy: Taxonomy, wording: Wording, most: int = MOST
) -> tuple[Caption, ...]:
    """All distinct captions that slices give, commonest first; of what is unknown they say nothing.

    Args:
        records: the training slices.
        taxonomy: makes organs and stations of them.
        wording: the caption's templates, without any augmentation.
        most: captions kept; rarer ones are left out. Equally common ones are kept in alphabetical order.
    """
    counts = Counter(
        caption_of(record, organs_in(record, taxonomy) or (), stations_in(record, taxonomy) or (), wording)
        for record in records
    )
    return tuple(sorted(counts, key=lambda caption: (-counts[caption], caption.text))[:most])
