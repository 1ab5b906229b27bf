"""Records to captions: templates (PMC-M, PMC-MS), language augmentation (PMC-MSA), or the source's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import cast

import numpy as np

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core import terms
from anatomy_clip.core.records import SLICES, SliceRecord
from anatomy_clip.text.source import CAPTION
from anatomy_clip.text.templates import SLOTS, Wording, check_wording, fill_first, make_slots, slots_of


class PromptSampler:
    """Captions from templates, with the language augmentation of PMC-MSA (`some_*` are our additions).

    All probabilities are 0-1. At 0 each the caption is the first template that the slice can fill, with the
    organs in the taxonomy's order.

    Args:
        templates: the caption's templates, from the fullest to the barest.
        wordings: other ways to say it, each such a list of templates.
        other_wording: probability of one of `wordings` in place of `templates`, each equally often.
        entities: one phrase a slot, for captions whose entities are shuffled.
        shuffle_entities: probability of the phrases in random order, in place of a sentence.
        missing_station: probability that the station is left out, of a slice with an organ and a station.
        missing_organs: probability that the organs are left out, of such a slice; never both.
        some_stations: probability that only some of several stations are named, with the organs that belong there;
            how many is drawn evenly.
        some_organs: probability that only some of several organs are named; how many is drawn evenly.
        largest_organs: name those then that fill most of the slice, in place of any; without areas, any.
        shuffle_organs: probability that the organs are named in random order.
        captions_per_image: captions that an image is shown with at once, each with its own draws.
        taxonomy: which organs belong to which station, and which structures are theirs; only `some_stations` and
            `largest_organs` need it.

    Raises:
        ValueError: a template with an unknown slot, a wording that needs an organ or a station, a probability
            outside 0-1, or one with nothing to draw from, or less than one caption an image.
    """

    kind = SLICES
    kinds = (CAPTION,)
    minds_flips = False

    def __init__(
        self,
        templates: Sequence[str],
        *,
        wordings: Sequence[Sequence[str]] = (),
        other_wording: float = 0.0,
        entities: Sequence[str] = (),
        shuffle_entities: float = 0.0,
        missing_station: float = 0.0,
        missing_organs: float = 0.0,
        some_stations: float = 0.0,
        some_organs: float = 0.0,
        largest_organs: bool = False,
        shuffle_organs: float = 0.0,
        captions_per_image: int = 1,
        taxonomy: Taxonomy | None = None,
    ) -> None:
        self.templates: Wording = tuple(templates)
        self.wordings: tuple[Wording, ...] = tuple(tuple(wording) for wording in wordings)
        self.entities: tuple[str, ...] = tuple(entities)
        self.other_wording = _chance("other_wording", other_wording, bool(self.wordings), "wordings")
        self.shuffle_entities = _chance("shuffle_entities", shuffle_entities, bool(self.entities), "entities")
        self.missing_station = _chance("missing_station", missing_station)
        self.missing_organs = _chance("missing_organs", missing_organs)
        _chance("missing_station + missing_organs", self.missing_station + self.missing_organs)
        self.some_stations = _chance("some_stations", some_stations, taxonomy is not None, "taxonomy")
        if largest_organs and taxonomy is None:
            raise ValueError("prompts: largest_organs is true, but taxonomy is empty")
        self.largest_organs = largest_organs
        self._taxonomy = taxonomy
        self.some_organs = _chance("some_organs", some_organs)
        self.shuffle_organs = _chance("shuffle_organs", shuffle_organs)
        if captions_per_image < 1:
            raise ValueError(f"prompts.captions_per_image is {captions_per_image}; it must be 1 or more")
        self.captions_per_image = captions_per_image
        for wording in (self.templates, *self.wordings):
            check_wording(wording)
        if self.entities and sorted(slot for e in self.entities for slot in slots_of(e)) != sorted(SLOTS):
            raise ValueError(f"entities {list(self.entities)}: give one phrase for each of {', '.join(SLOTS)}")

    def texts(
        self, record: SliceRecord, shown: Mapping[str, Sequence[str]], rng: np.random.Generator
    ) -> dict[str, tuple[str, ...]]:
        """As many captions as are wanted, each with its own draws; see `TextSource`."""
        draws = range(self.captions_per_image)
        return {"caption": tuple(self.caption(record, shown["organ"], shown["station"], rng) for _ in draws)}

    def caption(
        self, record: SliceRecord, organs: Sequence[str], stations: Sequence[str], rng: np.random.Generator
    ) -> str:
        """Caption one slice that shows these organs and stations; every draw comes from `rng`."""
        organs, stations = self._choose_stations(organs, stations, rng)
        if organs and stations:
            draw = rng.random()
            if draw < self.missing_station:
                stations = ()
            elif draw < self.missing_station + self.missing_organs:
                organs = ()
        organs = self._vary_organs(record, organs, rng)
        words = terms.modality_words(record.modality, record.protocol)
        slots = make_slots(record.orientation.value, words, organs, stations)
        if rng.random() < self.shuffle_entities:
            phrases = [entity.format_map(slots) for entity in self.entities if slots_of(entity) <= set(slots)]
            return ", ".join(phrases[i] for i in rng.permutation(len(phrases)))
        if rng.random() < self.other_wording:
            return fill_first(self.wordings[int(rng.integers(len(self.wordings)))], slots)
        return fill_first(self.templates, slots)

    def _choose_stations(
        self, organs: Sequence[str], stations: Sequence[str], rng: np.random.Generator
    ) -> tuple[Sequence[str], Sequence[str]]:
        if len(stations) < 2 or rng.random() >= self.some_stations:
            return organs, stations
        kept = _some(stations, rng)
        homes = cast(Taxonomy, self._taxonomy).organ_stations
        return [organ for organ in organs if any(home in kept for home in homes[organ])], kept

    def _vary_organs(self, record: SliceRecord, organs: Sequence[str], rng: np.random.Generator) -> Sequence[str]:
        if len(organs) < 2:
            return organs
        if rng.random() < self.some_organs:
            organs = self._largest(record, organs, rng) if self.largest_organs else _some(organs, rng)
        if rng.random() < self.shuffle_organs:
            organs = [organs[i] for i in rng.permutation(len(organs))]
        return organs

    def _largest(self, record: SliceRecord, organs: Sequence[str], rng: np.random.Generator) -> Sequence[str]:
        if record.organs is not None:  # stated, not found by areas
            return _some(organs, rng)
        area = cast(Taxonomy, self._taxonomy).organ_areas(organs, record.structures)
        kept = sorted(organs, key=area.__getitem__, reverse=True)[: int(rng.integers(1, len(organs)))]
        return [organ for organ in organs if organ in kept]

    def vocabulary(self, taxonomy: Taxonomy, records: Iterable[SliceRecord] = ()) -> list[str]:
        """Every template with all organs and all stations, in each orientation, modality and protocol.

        The order of words or phrases does not change the number of tokens, so no shuffled caption is longer.
        """
        sentences = {template for wording in (self.templates, *self.wordings) for template in wording}
        sentences |= {", ".join(self.entities)} if self.entities else set()
        words = {terms.modality_words(terms.Modality.MR, protocol) for protocol in terms.Protocol}
        words.add(terms.modality_words(terms.Modality.CT, terms.Protocol.NONE))
        return [
            sentence.format_map(make_slots(orientation.value, modality, taxonomy.organs, taxonomy.stations))
            for sentence, orientation, modality in product(sorted(sentences), terms.Orientation, sorted(words))
        ]


class OwnCaption:
    """The caption that the source gave, unchanged (ROCO, figure-like pairs).

    Args:
        taxonomy: given to all that make captions; one that was written by hand has no use for it.
    """

    kind = SLICES
    kinds = (CAPTION,)
    minds_flips = False

    def __init__(self, taxonomy: Taxonomy | None = None) -> None:
        pass

    def texts(
        self, record: SliceRecord, shown: Mapping[str, Sequence[str]], rng: np.random.Generator
    ) -> dict[str, tuple[str, ...]]:
        """The record's own caption.

        Raises:
            ValueError: the record has none.
        """
        if not record.caption:
            where = f"{record.source}, patient {record.patient}, series {record.series}, slice {record.index}"
            raise ValueError(
                f"{where}: it has no caption of its own; for these data, choose prompts that are made from templates"
            )
        return {"caption": (record.caption,)}

    def vocabulary(self, taxonomy: Taxonomy, records: Iterable[SliceRecord] = ()) -> list[str]:
        """The distinct captions of the records."""
        return sorted({record.caption for record in records})


def _some(names: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Fewer than all of several names, at least one, in their order; how many is drawn evenly."""
    chosen = rng.choice(len(names), size=int(rng.integers(1, len(names))), replace=False)
    return [names[i] for i in sorted(chosen.tolist())]


def _chance(name: str, value: float, filled: bool = True, source: str = "") -> float:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"prompts: {name} is {value}; a probability must be from 0 to 1")
    if value > 0 and not filled:
        raise ValueError(f"prompts: {name} is {value}, but {source} is empty")
    return float(value)
