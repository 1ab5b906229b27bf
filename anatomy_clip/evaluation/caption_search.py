"""The best caption of an image: among given ones, or grown organ by organ by a beam."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.terms import Orientation
from anatomy_clip.text.captions import Caption, make_caption
from anatomy_clip.text.grid import MODALITIES
from anatomy_clip.text.templates import Wording

Embed = Callable[[Sequence[str]], Tensor]  # C texts -> (C, D) unit norm, or other rows
Compare = Callable[[Tensor, Tensor], NDArray[np.float64]]  # B images, C texts as embedded -> (B, C)


class Found(NamedTuple):
    """A caption and how well it fits the image."""

    caption: Caption
    score: float


class CaptionBank:
    """Captions with their embeddings, each embedded once.

    Args:
        embed: makes the embeddings.
        compare: scores images and captions.
        most: captions held; further ones are refused, and counted.

    Attributes:
        captions: those held.
        refused: distinct captions that found no room.
    """

    def __init__(self, embed: Embed, compare: Compare, most: int) -> None:
        self.captions: list[Caption] = []
        self.refused: set[Caption] = set()
        self._embed, self._compare, self._most = embed, compare, most
        self._place: dict[Caption, int] = {}
        self._embeddings = embed([])

    def places(self, captions: Sequence[Caption]) -> list[int]:
        """Where captions stand, new ones embedded in one go; those without room are left out."""
        new = [caption for caption in dict.fromkeys(captions) if caption not in self._place]
        room = self._most - len(self.captions)
        self.refused.update(new[room:])
        if new[:room]:
            for caption in new[:room]:
                self._place[caption] = len(self.captions)
                self.captions.append(caption)
            self._embeddings = torch.cat([self._embeddings, self._embed([caption.text for caption in new[:room]])])
        return [self._place[caption] for caption in captions if caption in self._place]

    def scores(self, images: Tensor, places: Sequence[int]) -> Tensor:
        """Compare B images, as embedded, with C captions: (B, C)."""
        captions = self._embeddings[torch.tensor(places, device=self._embeddings.device)]
        return torch.from_numpy(self._compare(images, captions))

    def best(self, images: Tensor) -> list[Found]:
        """The best of all captions held for each of B images, as embedded; the first of equal ones."""
        if not self.captions:
            raise ValueError("there is no caption to choose from: the training slices give none")
        score, place = torch.from_numpy(self._compare(images, self._embeddings)).max(dim=1)
        return [Found(self.captions[p], s) for p, s in zip(place.tolist(), score.tolist(), strict=True)]


class CaptionBeam:
    """Grows an image's caption from the best that name one organ, an organ at a time.

    It starts from every plane, modality, station and organ of that station. A beam keeps the best captions; each is
    extended by every further organ that can occur in its station, and the best of old and new ones are kept, until
    none of the new ones is among them. So it reaches organ sets that training never showed, and never names an organ
    outside its station.

    Args:
        bank: holds the captions.
        taxonomy: organs, stations, and which organ belongs where.
        wording: the captions' templates.
        width: captions that the beam keeps.
        longest: most organs in a caption.
    """

    def __init__(self, bank: CaptionBank, taxonomy: Taxonomy, wording: Wording, *, width: int, longest: int) -> None:
        self.bank, self.taxonomy, self.wording = bank, taxonomy, wording
        self.width, self.longest = width, longest
        pairs = [(organ, station) for organ, stations in taxonomy.organ_stations.items() for station in stations]
        self._starts = bank.places(
            [
                make_caption(modality, plane.value, (organ,), (station,), wording)
                for plane in Orientation
                for modality in MODALITIES
                for organ, station in pairs
            ]
        )

    def best(self, images: Tensor) -> list[Found]:
        """The best caption of each of B images, as embedded."""
        if not self._starts:
            raise ValueError("eval.captions.grown is too small for the first captions of the beam; increase it")
        scores = self.bank.scores(images, self._starts)
        score, which = scores.topk(min(self.width, len(self._starts)), dim=1)
        beams = [dict(zip((self._starts[n] for n in row), values, strict=True)) for row, values in
                 zip(which.tolist(), score.tolist(), strict=True)]  # fmt: skip
        growing = set(range(len(beams)))
        for _ in range(self.longest - 1):
            children = {
                n: [c for place in beams[n] for c in self._children(self.bank.captions[place])] for n in growing
            }
            self.bank.places([caption for found in children.values() for caption in found])
            growing = {n for n, found in children.items() if self._grow(images[n : n + 1], beams[n], found)}
        leaders = [max(beam, key=beam.__getitem__) for beam in beams]
        return [Found(self.bank.captions[p], beam[p]) for p, beam in zip(leaders, beams, strict=True)]

    def _grow(self, image: Tensor, beam: dict[int, float], captions: Sequence[Caption]) -> bool:
        """Let new captions into an image's beam; tell whether any of them stayed."""
        places = sorted(set(self.bank.places(captions)) - set(beam))
        if not places:
            return False
        before = set(beam)
        beam.update(zip(places, self.bank.scores(image, places)[0].tolist(), strict=True))
        for place in sorted(beam, key=lambda p: (-beam[p], p))[self.width :]:
            del beam[place]
        return set(beam) != before

    def _children(self, caption: Caption) -> list[Caption]:
        station = caption.stations[0]
        belong = [organ for organ, stations in self.taxonomy.organ_stations.items() if station in stations]
        if len(caption.organs) >= self.longest:
            return []
        return [
            make_caption(
                caption.modality,
                caption.orientation,
                [o for o in belong if o in caption.organs or o == organ],
                caption.stations,
                self.wording,
            )
            for organ in belong
            if organ not in caption.organs
        ]
