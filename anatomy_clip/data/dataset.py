"""Images with texts and labels: one item is a pure function of (seed, epoch, index)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from torch.utils.data import Dataset

from anatomy_clip.anatomy.labels import Labels, LabelSet, label_matrices, label_names, shown_names
from anatomy_clip.core.rng import sample_rng
from anatomy_clip.data.augment import ImageAugment
from anatomy_clip.data.warp import Image
from anatomy_clip.text.source import CAPTION, TextSource


class Sample(NamedTuple):
    """One item of a data set.

    Attributes:
        images: (V, size, size) uint8 grey, the views.
        texts: kind of text -> its texts; none where no text source was given.
        labels: label space -> (K,) int8, 1 shown, 0 not shown, -1 unknown.
        row: row in the manifest (the manifests of several stores stand one after the other).
    """

    images: Image
    texts: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, Labels]
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
    """Slices, or radiographs, of one or more stores with texts and labels.

    Args:
        images: (N, S, S) uint8 by row.
        records: the N records, in the same order.
        taxonomy: labels the records.
        texts: makes the texts of a sample; None makes none.
        kinds: of text that are wanted.
        augment: draws the image; with everything off it only resizes.
        views: image views of a sample; each has draws of its own.
        seed: seed of the run.
        name: what messages call this data set.

    Raises:
        ValueError: images and records differ in number.
    """

    def __init__(
        self,
        images: Images,
        records: Sequence[Any],
        taxonomy: LabelSet,
        *,
        augment: ImageAugment,
        texts: TextSource | None = None,
        kinds: Sequence[str] = (CAPTION,),
        views: int = 1,
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
        self.texts = texts
        self.kinds = tuple(kinds)
        self.augment = augment
        self.views = views
        self.seed = seed
        self.labels = label_matrices(records, taxonomy)
        self._names = label_names(taxonomy)

    def __len__(self) -> int:
        return len(self.records) * self.augment.images_per_image

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """Make one sample.

        Args:
            key: (index, epoch) as the samplers yield it; the index counts variants, `row = index % rows`.
        """
        index, epoch = key
        row = index % len(self.records)
        pixels = np.asarray(self.images[row])
        rng = sample_rng(self.seed, epoch, index)
        # One generator drives the first view and the words, in this order; each further view has its own.
        views = [self.augment(pixels, rng)]
        labels = {space: matrix[row] for space, matrix in self.labels.items()}
        texts: Mapping[str, tuple[str, ...]] = {}
        if self.texts is not None:
            shown = {space: shown_names(one, self._names[space]) for space, one in labels.items()}
            made = self.texts.texts(self.records[row], shown, rng)
            texts = {kind: made[kind] for kind in self.kinds}
        views += [self.augment(pixels, sample_rng(self.seed, epoch, index, view)) for view in range(1, self.views)]
        return Sample(np.stack(views), texts, labels, row)
