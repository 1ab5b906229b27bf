"""Which published figures are used, and in which split.

A figure is used if its caption says that it is a CT or an MR and in which plane; the others are counted. The article is
the unit of splitting, as the patient is elsewhere: figures of one article show one patient, and the published splits
share articles. So figures are split anew by a hash of the article, which is the same for ROCO and ROCOv2.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.sources.figures.captions import fitted, modality_of, orientation_of, protocol_of
from anatomy_clip.sources.figures.roco_tables import Figure, check_figures

Reader = Callable[[Path], list[Figure]]
PUBLISHED = ("train", "validation", "test")
_SHOWN = 3


@dataclass(frozen=True)
class Rules:
    """How figures become records; fields: see `roco.Figures`."""

    published_splits: bool
    shares: tuple[tuple[str, float], ...]
    seed: int
    context_length: int
    cut_at_sentence: bool
    plane_if_unnamed: str
    count_tokens: Callable[[str], int] = field(compare=False)  # no part of the key below


@dataclass(frozen=True)
class UsedFigure:
    """A figure that is used, with what its caption says."""

    figure: Figure
    caption: str
    modality: Modality
    protocol: Protocol
    orientation: Orientation


@dataclass(frozen=True)
class Summary:
    """What became of a collection's figures.

    Attributes:
        figures: listed.
        used: split -> figures.
        articles: known ones.
        shared_articles: those that stand in two published splits.
        left_out: reason -> figures. A broken image is found later, and refused by `prepare`.
    """

    figures: int
    used: Mapping[str, int]
    articles: int
    shared_articles: int
    left_out: Mapping[str, int]

    def __str__(self) -> str:
        used = ", ".join(f"{count} {split}" for split, count in self.used.items())
        left_out = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items()) or "none"
        return (
            f"{self.figures} figures of {self.articles} articles, {self.shared_articles} of them in two published "
            f"splits; used: {used}; left out: {left_out}"
        )


@dataclass(frozen=True)
class FigureSelection:
    """Decisions on all figures: split -> id -> used figure; and a summary."""

    used: Mapping[str, Mapping[str, UsedFigure]]
    summary: Summary


def split_of(article: str, shares: Sequence[tuple[str, float]], seed: int) -> str:
    """The split of an article: the same in every collection, whatever other articles there are."""
    draw = int.from_bytes(hashlib.sha256(f"{seed}/{article}".encode()).digest()[:8]) / 2**64
    reached = 0.0
    for name, share in shares:
        reached += share
        if draw < reached:
            return name
    return [name for name, share in shares if share > 0][-1]  # rounding


def shared_articles(figures: Sequence[Figure]) -> dict[str, list[str]]:
    """Article -> the published splits that it stands in, where those are two or more."""
    splits: dict[str, set[str]] = {}
    for figure in figures:
        if figure.article:
            splits.setdefault(figure.article, set()).add(figure.split)
    return {article: sorted(names) for article, names in sorted(splits.items()) if len(names) > 1}


# Kept for the process: workers are forks, so none of them reads the lists anew.
@lru_cache(maxsize=4)
def select_figures(reader: Reader, root: Path, rules: Rules) -> FigureSelection:
    """Read a collection and decide on every figure, once a process.

    Raises:
        ValueError: the collection can't be read, or its published splits are kept and share an article.
    """
    figures = reader(root)
    check_figures(figures, root)
    shared = shared_articles(figures)
    if rules.published_splits and shared:
        first = "; ".join(f"{article} in {' and '.join(names)}" for article, names in list(shared.items())[:_SHOWN])
        raise ValueError(
            f"{root}: {len(shared)} article(s) are in two published splits ({first}), so a test on "
            "them is not valid; set source.published_splits=false to split by article"
        )
    names = PUBLISHED if rules.published_splits else tuple(name for name, _ in rules.shares)
    parts: dict[str, dict[str, UsedFigure]] = {name: {} for name in names}
    left_out: Counter[str] = Counter()
    for figure in figures:
        used = _use(figure, rules)
        if isinstance(used, str):
            left_out[used] += 1
            continue
        split = figure.split if rules.published_splits else split_of(figure.article, rules.shares, rules.seed)
        parts[split][figure.id] = used
    counts = {name: len(part) for name, part in parts.items()}
    articles = len({figure.article for figure in figures if figure.article})
    return FigureSelection(parts, Summary(len(figures), counts, articles, len(shared), dict(left_out)))


def _use(figure: Figure, rules: Rules) -> UsedFigure | str:
    """The figure with what its caption says, or the reason why it is left out."""
    if not figure.article:
        return "of an unknown article"
    modality = modality_of(figure.caption)
    if modality is None:
        return "not clearly CT or MR"
    orientation = orientation_of(figure.caption)
    if orientation is None and rules.plane_if_unnamed:
        orientation = Orientation(rules.plane_if_unnamed)
    if orientation is None:
        return "without exactly one named plane"
    caption = fitted(figure.caption, rules.count_tokens, rules.context_length, rules.cut_at_sentence)
    if not caption:
        return "with a caption that is too long"
    return UsedFigure(figure, caption, modality, protocol_of(figure.caption, modality), orientation)
