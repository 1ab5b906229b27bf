"""Groups of patients who have films taken, and what each of them comes for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from anatomy_clip.sources.phantom.structures import SIDES
from anatomy_clip.sources.phantom.xray.findings.plan import CHEST, Plan, plan_findings
from anatomy_clip.sources.phantom.xray.nuisances import Site
from anatomy_clip.sources.phantom.xray.views import View, views

_HEART = "cardiomegaly"  # lasts: all studies of a patient have it, or none


@dataclass(frozen=True)
class Cohort:
    """A group of patients and where their films are taken.

    Attributes:
        patients: number of patients, each with a body of its own.
        limb_share: share of the patients whose limb is examined; the others have films of the chest.
        studies: of a chest patient, at different times: same body, pose and label stack, but other findings.
        ap_share: share of the chest patients whose frontal films are AP, taken in bed.
        lateral_share: share of the PA chest patients whose first study has a lateral film too.
        habitus: range of fatness, 0 lean to 1 obese.
        classes: findings ("no_finding" too) of which each patient has one and no other, in turn; each then has one PA
            film of the chest, which shows it. Empty: findings are drawn.
        held_out: whether reports and questions use the wordings that training never sees.
        site: the detector and the habits of whoever takes the films.
    """

    patients: int
    limb_share: float = 0.3
    studies: int = 2
    ap_share: float = 0.35
    lateral_share: float = 0.3
    habitus: tuple[float, float] = (0.0, 1.0)
    classes: tuple[str, ...] = ()
    held_out: bool = False
    site: Site = field(default_factory=Site)


@dataclass(frozen=True)
class Study:
    """What is examined at one time.

    Attributes:
        views: one film each.
        side: of a limb, else "".
        plans: findings that are there.
    """

    views: tuple[View, ...]
    side: str
    plans: Mapping[str, Plan]


def draw_studies(cohort: Cohort, number: int, rng: np.random.Generator) -> tuple[Study, ...]:
    """Draw what a patient comes for; nothing of how the films are taken.

    Args:
        cohort: of the patient.
        number: of the patient in it.
        rng: generator.
    """
    if cohort.classes:
        only = cohort.classes[number % len(cohort.classes)]
        return (Study((views()["chest_pa"],), "", plan_findings(CHEST, rng, only)),)
    if rng.uniform() < cohort.limb_share:
        parts = limb_views()
        part, side = str(rng.choice(list(parts))), str(rng.choice(SIDES))
        return (Study(parts[part], side, plan_findings(part, rng)),)
    ap, with_lateral = rng.uniform(size=2) < (cohort.ap_share, cohort.lateral_share)
    front = views()["chest_ap" if ap else "chest_pa"]
    first = plan_findings(CHEST, rng)
    studies = [Study((front, views()["chest_lateral"]) if with_lateral and not ap else (front,), "", first)]
    for _ in range(cohort.studies - 1):
        later = {name: plan for name, plan in plan_findings(CHEST, rng).items() if name != _HEART}
        studies.append(Study((front,), "", {_HEART: first[_HEART], **later} if _HEART in first else later))
    return tuple(studies)


@cache
def limb_views() -> dict[str, tuple[View, ...]]:
    """Limb -> its views."""
    parts: dict[str, list[View]] = {}
    for view in views().values():
        if view.sided:
            parts.setdefault(view.part, []).append(view)
    return {part: tuple(found) for part, found in parts.items()}
