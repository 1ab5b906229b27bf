"""What findings a study has: drawn before a body is made, and apart from how its films are taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import yaml

from anatomy_clip.core.names import did_you_mean
from anatomy_clip.core.terms import Side

CHEST = "chest"
NO_FINDING = "no_finding"
_SIDES = (Side.LEFT, Side.RIGHT, Side.BOTH)


@dataclass(frozen=True)
class Plan:
    """One finding of a study; all its films show the same one.

    Attributes:
        name: of the finding.
        severity: "mild", "moderate" or "severe".
        size: how large, in the unit that `table.yaml` gives.
        seed: of its free parameters: where exactly and of what form.
        side: the patient's side; None where it has none.
        zone: "upper", "middle" or "lower"; empty where it has none.
    """

    name: str
    severity: str
    size: float
    seed: int
    side: Side | None = None
    zone: str = ""


@cache
def finding_table() -> dict[str, Any]:
    """The table `table.yaml`."""
    text = resources.files(__package__).joinpath("table.yaml").read_text(encoding="utf-8")
    table: dict[str, Any] = yaml.safe_load(text)
    return table


def part_findings(part: str) -> dict[str, dict[str, Any]]:
    """The rows of the table for a part: of "chest", or of a limb for any other part."""
    rows: dict[str, dict[str, Any]] = finding_table()[CHEST if part == CHEST else "limb"]
    return rows


def plan_findings(part: str, rng: np.random.Generator, only: str | None = None) -> dict[str, Plan]:
    """Draw the findings of a study.

    Args:
        part: what is examined, as "chest" or "knee".
        rng: generator.
        only: one finding that is there, and no other; "no_finding" for none; None to draw.

    Returns:
        name -> what is planned; what isn't there isn't in it.

    Raises:
        ValueError: the part has no such finding.
    """
    rows = part_findings(part)
    if only is not None and only not in (*rows, NO_FINDING):
        known = (*rows, NO_FINDING)
        raise ValueError(f"{part}: no finding {only!r}{did_you_mean(only, known)}; use one of {', '.join(known)}")
    plans = {name: _draw(name, row, rng) for name, row in rows.items()}  # all of them, so that draws don't shift
    present = _present(part, rng)
    if only is not None:
        present = {only}
    return {name: plan for name, plan in plans.items() if name in present}


def heart_factor(plans: Mapping[str, Plan]) -> float:
    """Factor on the size of the heart of a study's body."""
    plan = plans.get("cardiomegaly")
    return float(finding_table()["heart"]) if plan is None else plan.size


def _present(part: str, rng: np.random.Generator) -> set[str]:
    """The findings of a study: given those drawn before, by the table's odds."""
    rows = part_findings(part)
    together = finding_table()["together"]
    chances = rng.uniform(size=len(rows))
    normal = rng.uniform() < finding_table()["normal"] and part == CHEST
    present: set[str] = set()
    for (name, row), chance in zip(rows.items(), chances, strict=True):
        odds = row["share"] / (1 - row["share"])
        for given, finding, factor in together:
            if finding == name and given in present:
                odds *= factor
        if chance < odds / (1 + odds):
            present.add(name)
    if part == CHEST and not present:
        present.add(list(rows)[int(np.argmin(chances))])
    return set() if normal else present


def _draw(name: str, row: dict[str, Any], rng: np.random.Generator) -> Plan:
    names = list(row["severity"])
    shares = [row["severity"][key][0] for key in names]
    severity = str(rng.choice(names, p=shares))
    _, low, high = row["severity"][severity]
    size = float(rng.uniform(low, high))
    sides, zones = row.get("sides"), row.get("zones")
    side = _SIDES[int(rng.choice(3, p=sides))] if sides else None
    zone = str(rng.choice(list(zones), p=list(zones.values()))) if zones else ""
    return Plan(name, severity, size, int(rng.integers(2**31)), side, zone)
