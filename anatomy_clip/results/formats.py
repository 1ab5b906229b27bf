"""Numbers in print, the same in every table; what is undefined is said by a word or left out."""

from __future__ import annotations

import math
from collections.abc import Iterable

DASH = "\N{EN DASH}"


def number(value: float, digits: int = 1, sign: bool = False, missing: str = DASH) -> str:
    """A number with so many decimals, or what stands for one that is undefined."""
    if math.isnan(value):
        return missing
    return f"{value:{'+' if sign else ''}.{digits}f}"


def printed(value: float) -> str:
    """A published number as its paper prints it: 54.0 and 91.62."""
    return f"{value:.2f}".removesuffix("0")


def interval(lo: float, hi: float, sign: bool = False, digits: int = 1) -> str:
    """An interval in brackets; empty where it is undefined."""
    return "" if math.isnan(lo) else f"[{number(lo, digits, sign)}, {number(hi, digits, sign)}]"


def p_value(p: float) -> str:
    """A p-value: three decimals, "< 0.001" below, a dash where it isn't known."""
    return "< 0.001" if p < 0.001 else number(p, 3)


def interval_words(seeds: Iterable[int]) -> str:
    """What intervals hold, as a clause; `seeds` are the trainings behind each."""
    known = {n for n in seeds if n}
    if not known or min(known) > 1:
        return "95 % interval over trainings (seeds) and patients"
    if max(known) > 1:
        return (
            "95 % interval over trainings (seeds) and patients (over patients alone, without the variation between "
            "trainings, where a column has one training)"
        )
    return "95 % interval over patients alone, which does not include the variation between trainings"
