"""Slices with captions and labels: one item is a pure function of (seed, epoch, index)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from anatomy_clip.anatomy.labels import organs_in, stations_in
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.rng import sample_rng
from anatomy_clip.core.terms import Modality
from anatomy_clip.data.augment import ImageAugment
from anatomy_clip.data.warp import Image
from anatomy_clip.text.sampler import Prompts

Labels = npt.NDArray[np.bool_]


class Sample(NamedTuple):
    """One item of a data set.

    Attributes:
        image: (size, size) uint8 grey.
        captions: its sentences, as many as the prompts make an image; one that is empty where no prompts were given.
        organs: (K,) bool.
        stations: (S,) bool.
        modality: position in `tuple(Modality)`.
        row: row in the manifest (the manifests of several stores stand one after the other).
    """

    image: Image
    captions: tuple[str, ...]
    organs: Labels
    stations: Labels
    modality: int
    row: int


class Images(Protocol):
    """What a data set needs of its images: a length, and (S, S) uint8 by row; an array or map will do."""

    def __len__(self) -> int:
        """Number of images."""
        ...

    def __getitem__(self, row: int, /) -> Image:
        """The image of a row."""
        ...


class JoinedImages:
    """The images of several stores, one store after the other, without a copy."""

    def __init__(self, parts: Sequence[Images]) -> None:
        self.parts = tuple(parts)
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, row: int, /) -> Image:
        part = int(np.searchsorted(self._ends, row, side="right"))
        before = int(self._ends[part - 1]) if part else 0
        return self.parts[part][row - before]


class ChosenImages:
    """Some rows of images, without a copy."""

    def __init__(self, images: Images, rows: Sequence[int]) -> None:
        self.images, self.rows = images, tuple(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int, /) -> Image:
        return self.images[self.rows[row]]


class SliceDataset(Dataset[Sample]):
    """Slices of one or more stores with captions and labels.

    Args:
        images: (N, S, S) uint8 by row.
        records: the N records, in the same order.
        taxonomy: makes organs and stations of each record's structures.
        prompts: makes captions of (record, organs, stations, generator); None gives empty ones.
        augment: draws the image; with everything off it only resizes.
        seed: seed of the run.
        name: what messages call this data set.

    Raises:
        ValueError: images and records differ in number.
    """

    def __init__(
        self,
        images: Images,
        records: Sequence[SliceRecord],
        taxonomy: Taxonomy,
        *,
        augment: ImageAugment,
        prompts: Prompts | None = None,
        seed: int = 0,
        name: str = "data set",
    ) -> None:
        if len(images) != len(records):
            raise ValueError(
                f"{name}: the manifest lists {len(records)} slice(s), but the store holds {len(images)} "
                "image(s); prepare the data again"
            )
        self.images = images
        self.records = records
        self.taxonomy = taxonomy
        self.prompts = prompts
        self.augment = augment
        self.seed = seed
        self.organs, self.stations = label_matrices(records, taxonomy)
        self._modality = {modality: n for n, modality in enumerate(Modality)}

    def __len__(self) -> int:
        return len(self.records) * self.augment.images_per_image

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """Make one sample.

        Args:
            key: (index, epoch) as the samplers yield it; the index counts variants, `row = index % rows`.
        """
        index, epoch = key
        row = index % len(self.records)
        record = self.records[row]
        rng = sample_rng(self.seed, epoch, index)
        # One generator drives image and words, in this order.
        image = self.augment(np.asarray(self.images[row]), rng)
        captions: tuple[str, ...] = ("",)
        if self.prompts is not None:
            organs = list(compress(self.taxonomy.organs, self.organs[row]))
            stations = list(compress(self.taxonomy.stations, self.stations[row]))
            draws = range(self.prompts.captions_per_image)
            captions = tuple(self.prompts(record, organs, stations, rng) for _ in draws)
        modality = self._modality[record.modality]
        return Sample(image, captions, self.organs[row], self.stations[row], modality, row)


def label_matrices(records: Sequence[SliceRecord], taxonomy: Taxonomy) -> tuple[Labels, Labels]:
    """Label every record.

    Returns:
        (N, K) bool organs and (N, S) bool stations, in the taxonomy's order.
    """
    organs = np.zeros((len(records), len(taxonomy.organs)), dtype=bool)
    stations = np.zeros((len(records), len(taxonomy.stations)), dtype=bool)
    for row, record in enumerate(records):
        organs[row] = taxonomy.organ_vector(organs_in(record, taxonomy))
        stations[row] = taxonomy.station_vector(stations_in(record, taxonomy))
    return organs, stations
