"""The small rule language of a taxonomy: which areas of which structures make an organ present in a slice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

from anatomy_clip.core.terms import Orientation

_SIDE = re.compile(r"_(left|right)(?=_|$)")
_BRACES = re.compile(r"\{([^{}]+)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_COLUMN = {"left": 0, "right": 1, None: 2}


@lru_cache(maxsize=4096)
def split_side(name: str) -> tuple[str, str | None]:
    """Split a structure name into base and side: "rib_left_3" -> ("rib_3", "left"), "C3" -> ("C3", None)."""
    found = _SIDE.search(name)
    return (_SIDE.sub("", name, count=1), found.group(1)) if found else (name, None)


def expand(pattern: str) -> list[str]:
    """Expand braces as a shell does: "vertebrae_C{3..5}", "lung_{upper,lower}_lobe"."""
    parts = _BRACES.split(pattern)
    choices: list[list[str]] = []
    for position, part in enumerate(parts):
        span = _RANGE.fullmatch(part) if position % 2 else None
        if span:
            choices.append([str(n) for n in range(int(span.group(1)), int(span.group(2)) + 1)])
        else:
            choices.append(part.split(",") if position % 2 else [part])
    return ["".join(choice) for choice in product(*choices)]


class Areas:
    """The areas of one slice, summed by structure base and side; mm2."""

    def __init__(self, structures: Mapping[str, float]) -> None:
        self._areas: dict[str, list[float]] = {}
        for name, area in structures.items():
            base, side = split_side(name)
            self._areas.setdefault(base, [0.0, 0.0, 0.0])[_COLUMN[side]] += area

    def of(self, bases: Iterable[str], side: int | None = None) -> float:
        """Sum the areas of some structures.

        Args:
            bases: structure names without side.
            side: 0 for left, 1 for right, None for both; a structure that has no side counts for either.

        Returns:
            Area, mm2.
        """
        total = 0.0
        for base in bases:
            left_right_none = self._areas.get(base)
            if left_right_none is not None:
                total += sum(left_right_none) if side is None else left_right_none[side] + left_right_none[2]
        return total

    def parts(self, base: str) -> tuple[float, ...]:
        """Areas of the left, the right and the sideless structure of that base, mm2."""
        return tuple(self._areas.get(base, ()))


@dataclass(frozen=True)
class Need:
    """Some structures, taken together, with the area from which they count; mm2."""

    of: tuple[str, ...]
    area: float

    def met(self, areas: Areas, side: int | None) -> bool:
        """Whether the slice shows that much of the structures."""
        return areas.of(self.of, side) >= self.area


@dataclass(frozen=True)
class Rule:
    """An organ is there if every need of `all` and none of `none` is met, in one of the planes.

    Attributes:
        all: needs that must all be met.
        none: needs that must not be met.
        planes: planes in which the rule is tried.
        one_side: take left and right apart, and let either of them meet the whole rule (an elbow is a humerus
            and an ulna of the same arm).
    """

    all: tuple[Need, ...]
    none: tuple[Need, ...]
    planes: tuple[Orientation, ...]
    one_side: bool

    def holds(self, areas: Areas, orientation: Orientation) -> bool:
        """Whether a slice of this plane with these areas satisfies the rule."""
        if orientation not in self.planes:
            return False
        return any(
            all(need.met(areas, side) for need in self.all) and not any(need.met(areas, side) for need in self.none)
            for side in ((0, 1) if self.one_side else (None,))
        )

    def structures(self) -> frozenset[str]:
        """Bases of all structures that the rule names."""
        return frozenset(base for need in (*self.all, *self.none) for base in need.of)


_KEYS = ("all", "none", "planes", "one_side", "if")


def parse_rule(
    data: Mapping[str, Any], groups: Mapping[str, Sequence[str]], number: Callable[[Any], float], where: str
) -> Rule:
    """Read one rule from plain data.

    Args:
        data: keys `all` and `none` (mappings of "structure + structure" to an area), `planes`, `one_side`.
        groups: names that stand for several structures.
        number: turns the name of a setting, or a number, into a number.
        where: what the rule belongs to, for messages.

    Raises:
        ValueError: an unknown key or plane, no `all`, a sided structure name, or an area that isn't positive.
    """
    unknown = [key for key in data if key not in _KEYS]
    if unknown:
        raise ValueError(f"{where}: unknown rule key {unknown[0]!r}; known: {', '.join(_KEYS)}")
    if not data.get("all"):
        raise ValueError(f"{where}: a rule needs 'all' with at least one structure")
    try:
        planes = tuple(Orientation(plane) for plane in data.get("planes", list(Orientation)))
    except ValueError as error:
        raise ValueError(f"{where}: {error}; planes are {', '.join(Orientation)}") from None
    needs = {
        key: tuple(_need(names, area, groups, number, where) for names, area in (data.get(key) or {}).items())
        for key in ("all", "none")
    }
    return Rule(needs["all"], needs["none"], planes, bool(data.get("one_side", False)))


def parse_names(names: str, groups: Mapping[str, Sequence[str]], where: str) -> tuple[str, ...]:
    """Read "structure + group + structure_{1..3}" into structure bases.

    Raises:
        ValueError: a name carries a side, which rules never do.
    """
    bases: list[str] = []
    for name in (part.strip() for part in names.split("+")):
        bases += [base for item in groups.get(name, [name]) for base in expand(item)]
    sided = [base for base in bases if split_side(base)[1]]
    if sided:
        raise ValueError(f"{where}: write {split_side(sided[0])[0]!r} for {sided[0]!r}; a rule holds for both sides")
    return tuple(dict.fromkeys(bases))


def _need(
    names: str, area: Any, groups: Mapping[str, Sequence[str]], number: Callable[[Any], float], where: str
) -> Need:
    value = number(area)
    if value <= 0:
        raise ValueError(f"{where}: the area for {names!r} is {value} mm2; it must be positive")
    return Need(parse_names(names, groups, where), value)
