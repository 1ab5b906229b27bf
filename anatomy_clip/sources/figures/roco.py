"""ROCO and ROCOv2: figures of articles with the captions that they were published with.

Which figures are used, and in which split, is decided by `selection`; how they lie on disk is known by `roco_tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Orientation
from anatomy_clip.imaging.intensity import of_grey
from anatomy_clip.imaging.pictures import read_grey
from anatomy_clip.imaging.slices import Slice
from anatomy_clip.sources.figures.captions import most_tokens
from anatomy_clip.sources.figures.roco_tables import read_roco, read_roco_csv, read_rocov2
from anatomy_clip.sources.figures.selection import PUBLISHED, FigureSelection, Reader, Rules, Summary, select_figures

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


class Figures:
    """A collection of figures with captions; each figure is a volume of its own.

    Args:
        root: folder of the collection.
        published_splits: keep the published splits; refused where they share an article.
        shares: split -> share of the articles, for a split of our own.
        seed: of that split; an article's split depends on nothing else.
        context_length: tokens that the text tower takes; a caption that is longer is left out.
        cut_at_sentence: in place of that, leave out whole sentences at its end.
        plane_if_unnamed: plane of a figure whose caption names none; "" leaves such figures out.
        window: level and width of the display that renders the slices, HU. Figures are windowed already: CT gets HU
            that this display turns into the figure's own grey values.
        licence: of figures whose article's licence isn't known.
        count_tokens: number of a caption's tokens; a cautious guess otherwise.

    Raises:
        ValueError: shares that don't sum to 1, an unknown plane, or a window without width.
    """

    name = "figures"
    reader: Reader

    def __init__(
        self,
        root: str | Path,
        *,
        published_splits: bool = False,
        shares: Mapping[str, float] | None = None,
        seed: int = 0,
        context_length: int = 77,
        cut_at_sentence: bool = False,
        plane_if_unnamed: str = "",
        window: Sequence[float] = (40.0, 400.0),
        licence: str = "",
        count_tokens: Callable[[str], int] | None = None,
    ) -> None:
        chosen = tuple((name, float(share)) for name, share in (shares or SHARES).items())
        if abs(sum(share for _, share in chosen) - 1) > 1e-6 or min(share for _, share in chosen) < 0:
            raise ValueError(f"source.shares={dict(chosen)}: give shares from 0 that sum to 1")
        if plane_if_unnamed and plane_if_unnamed not in tuple(Orientation):
            raise ValueError(f"source.plane_if_unnamed={plane_if_unnamed!r}: give one of {', '.join(Orientation)}")
        if len(window) != 2 or not window[1] > 0:
            raise ValueError(f"source.window={list(window)}: give the level and the width of the display window in HU")
        self.root = Path(root)
        self.window = (float(window[0]), float(window[1]))
        self.licence = licence
        self.rules = Rules(
            published_splits,
            chosen,
            seed,
            context_length,
            cut_at_sentence,
            plane_if_unnamed,
            count_tokens or most_tokens,
        )

    def splits(self) -> Sequence[str]:
        """The published splits, or those of `shares`."""
        return PUBLISHED if self.rules.published_splits else [name for name, _ in self.rules.shares]

    def volumes(self, split: str) -> Sequence[str]:
        """Ids of the figures that are used in a split, in the collection's order.

        Raises:
            ValueError: the collection can't be read, or its published splits are kept and share an article.
        """
        return list(self._selection().used[split])

    def summary(self) -> Summary:
        """What became of the figures; ValueError as for `volumes`."""
        return self._selection().summary

    def slices(self, split: str, volume: str) -> Iterator[tuple[Slice, SliceRecord]]:
        """Yield one figure.

        Raises:
            ValueError: its image is missing, damaged, tiny or huge.
        """
        used = self._selection().used[split][volume]
        pixels = of_grey(read_grey(used.figure.image), used.modality, *self.window)
        image = Slice(pixels, (1.0, 1.0), 1.0, used.modality, used.protocol, used.orientation)
        yield (
            image,
            SliceRecord(
                source=self.name,
                split=split,
                patient=used.figure.article,
                study=used.figure.article,
                series=used.figure.id,
                index=0,
                modality=used.modality,
                protocol=used.protocol,
                orientation=used.orientation,
                licence=used.figure.licence or self.licence,
                caption=used.caption,
            ),
        )

    def _selection(self) -> FigureSelection:
        return select_figures(type(self).reader, self.root, self.rules)


class Roco(Figures):
    """ROCO as its repository lays it out (`radiology` figures)."""

    name = "roco"
    reader = staticmethod(read_roco)


class RocoCsv(Figures):
    """ROCO in the CSV form that PubMedCLIP was trained from."""

    name = "roco"
    reader = staticmethod(read_roco_csv)


class RocoV2(Figures):
    """ROCOv2 as unpacked from Zenodo."""

    name = "rocov2"
    reader = staticmethod(read_rocov2)
