"""A source made of several others with label tables, whose splits are the folds of a cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Protocol

from anatomy_clip.core.names import did_you_mean
from anatomy_clip.core.pseudonyms import random_salt
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.refusals import Doubt, Refusal
from anatomy_clip.imaging.slices import Slice
from anatomy_clip.sources.base import Source
from anatomy_clip.sources.scans.folds import Owner, deal


class Part(Source, Protocol):
    """A source of one split that knows whose a volume is before its pixels are read."""

    def owner(self, volume: str) -> Owner:
        """Source and patient of a volume, as the table gives them."""
        ...

    def fingerprint(self) -> Mapping[str, str]:
        """What decides the records beside the settings, hashed."""
        ...


class Pool:
    """All volumes of several sources, dealt into `fold_0`, `fold_1`, ... by patient or by source, see `folds.deal`.

    Args:
        parts: name -> what makes a source of a `salt` and a `salt_file`: all parts hash ids alike, so that one patient
            is one id in all of them.
        by: "patient", or "source": the whole of a source stands in one fold.
        folds: number of folds.
        seed: of the folds.
        together: groups of sources whose people may be the same under other ids.
        leave_out: sources that aren't used at all.
        only: names of the parts that are used; none named: all.
        licences: source -> its licence, where a part's own licence says less.
        name: folder of the stores; by source, `_by_source` is added to it.
        salt: key of the hash that ids become. Give it by the environment.
        salt_file: where a salt is kept that is made at random, if none is given; None: another one for each pool.

    Raises:
        ValueError: `only` names no part, or a part's folder isn't there or its table has a fault.
    """

    def __init__(
        self,
        parts: Mapping[str, Callable[..., Part]],
        by: str = "patient",
        folds: int = 5,
        seed: int = 0,
        together: Sequence[Sequence[str]] = (),
        leave_out: Sequence[str] = (),
        only: Sequence[str] = (),
        licences: Mapping[str, str] | None = None,
        name: str = "pool",
        salt: str | None = None,
        salt_file: str | Path | None = None,
    ) -> None:
        for one in only:
            if one not in parts:
                raise ValueError(f"source.only: no part {one!r}{did_you_mean(one, parts)}; parts: {', '.join(parts)}")
        self.name = f"{name}_by_source" if by == "source" else name
        self.licences, self.leave_out = dict(licences or {}), frozenset(leave_out)
        self._deal = partial(deal, folds=folds, by=by, seed=seed, together=[tuple(group) for group in together])
        if not (salt or salt_file):
            salt = random_salt()
        self._parts: dict[str, Part] = {}
        for part in only or parts:
            try:
                self._parts[part] = parts[part](salt=salt, salt_file=salt_file)
            except ValueError as error:
                raise ValueError(
                    f"source.parts.{part}: {error}; or give only the other parts: source.only=[...]"
                ) from error

    def splits(self) -> Sequence[str]:
        """The folds."""
        return list(self._folds)

    def fingerprint(self) -> Mapping[str, str]:
        """What decides the records of the parts beside the settings, hashed."""
        return {
            f"{name}.{key}": value for name, part in self._parts.items() for key, value in part.fingerprint().items()
        }

    def volumes(self, split: str) -> Sequence[str]:
        """Keys "part/volume" of a fold, part after part in each one's order.

        Raises:
            ValueError: there are fewer groups than folds, see `folds.deal`; or as the parts' own `volumes`.
        """
        return self._folds[split]

    def slices(self, split: str, volume: str) -> Iterator[tuple[Slice, SliceRecord] | Refusal | Doubt]:
        """Stream the slices of one volume, as its part does, with the fold for a split and the source's licence."""
        name, key = volume.split("/", 1)
        part = self._parts[name]
        for item in part.slices(part.splits()[0], key):
            if isinstance(item, Refusal | Doubt):
                yield item
                continue
            image, record = item
            yield image, replace(record, split=split, licence=self.licences.get(record.source, record.licence))

    @cached_property
    def _folds(self) -> dict[str, list[str]]:
        owners = {
            f"{name}/{key}": part.owner(key)
            for name, part in self._parts.items()
            for key in part.volumes(part.splits()[0])
            if part.owner(key)[0] not in self.leave_out
        }
        fold_of = self._deal(owners.values())
        folds: dict[str, list[str]] = {f"fold_{n}": [] for n in range(max(fold_of.values()) + 1)}
        for volume, owner in owners.items():
            folds[f"fold_{fold_of[owner]}"].append(volume)
        return folds
