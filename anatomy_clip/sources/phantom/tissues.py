"""The tissue table: Hounsfield units and relaxation times, as arrays over tissues and over labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.sources.phantom.structures import STRUCTURES

F32 = NDArray[np.float32]

_FAT = ("fat", "marrow_fat", "breast")


@dataclass(frozen=True)
class TissueTable:
    """Properties of tissues, or of labels where `of` has looked them up; every array is (N,) float32.

    Attributes:
        names: tissue names.
        hu: mean, HU.
        hu_spread: standard deviation of the mean over patients, HU.
        hu_contrast: mean with contrast agent, HU.
        hu_texture: standard deviation within the tissue, HU.
        t1_low: T1 at 1.5 T, ms.
        t1_high: T1 at 3 T, ms.
        t2: T2, ms.
        pd: proton density, water = 1.
        adc: apparent diffusion coefficient, 1e-3 mm2/s.
        flow: factor on the spin echo signal.
        fat: share of the signal that fat suppression takes away.
    """

    names: tuple[str, ...]
    hu: F32
    hu_spread: F32
    hu_contrast: F32
    hu_texture: F32
    t1_low: F32
    t1_high: F32
    t2: F32
    pd: F32
    adc: F32
    flow: F32
    fat: F32

    def index(self, name: str) -> int:
        """Row of a tissue.

        Raises:
            ValueError: the table has no such tissue.
        """
        try:
            return self.names.index(name)
        except ValueError:
            known = ", ".join(self.names)
            raise ValueError(f"tissues.yaml: no tissue {name!r}; add it there, or use one of {known}") from None

    def of(self, names: Sequence[str]) -> TissueTable:
        """The same properties for a list of tissue names, one row each (so for labels).

        Raises:
            ValueError: a name isn't in the table.
        """
        rows = np.array([self.index(name) for name in names])
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "names"}
        return TissueTable(names=tuple(names), **arrays)


def parse_tissues(rows: dict[str, dict[str, Any]]) -> TissueTable:
    """Make the table from the rows of tissues.yaml.

    Raises:
        ValueError: a row lacks a field; the message names tissue and field.
    """
    for name, row in rows.items():
        missing = [key for key in ("hu", "t1", "t2", "pd", "adc") if key not in row]
        if missing:
            raise ValueError(f"tissues.yaml: tissue {name!r} lacks {', '.join(missing)}")

    def column(key: str, item: int | None = None) -> F32:
        values = [row[key] if item is None else row[key][item] for row in rows.values()]
        return np.array(values, dtype=np.float32)

    return TissueTable(
        names=tuple(rows),
        hu=column("hu", 0),
        hu_spread=column("hu", 1),
        hu_contrast=column("hu", 2),
        hu_texture=column("hu", 3),
        t1_low=column("t1", 0),
        t1_high=column("t1", 1),
        t2=column("t2"),
        pd=column("pd"),
        adc=column("adc"),
        flow=np.array([row.get("flow", 1.0) for row in rows.values()], dtype=np.float32),
        fat=np.array([0.9 if name in _FAT else 0.0 for name in rows], dtype=np.float32),
    )


@cache
def load_tissues() -> TissueTable:
    """The table of tissues.yaml."""
    import yaml

    text = resources.files(__package__).joinpath("tissues.yaml").read_text(encoding="utf-8")
    return parse_tissues(yaml.safe_load(text)["tissues"])


@cache
def label_tissues() -> TissueTable:
    """The table by label: row i belongs to `STRUCTURES[i]`."""
    return load_tissues().of([s.tissue for s in STRUCTURES])
