"""The source of simulated radiographs: cohorts of drawn patients with films, findings, reports and questions."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from anatomy_clip.core.radiographs import Finding, RadiographRecord
from anatomy_clip.core.terms import Projection, Side, State, Visibility
from anatomy_clip.imaging.radiographs import Radiograph
from anatomy_clip.sources.phantom.body import Body
from anatomy_clip.sources.phantom.options import from_options
from anatomy_clip.sources.phantom.xray.cohorts import Cohort, Study, draw_studies
from anatomy_clip.sources.phantom.xray.film import MASKS, Film, make_film, take_stack
from anatomy_clip.sources.phantom.xray.findings.plan import CHEST, NO_FINDING, heart_factor, part_findings
from anatomy_clip.sources.phantom.xray.geometry import Stack
from anatomy_clip.sources.phantom.xray.nuisances import Nuisances, Site, draw_nuisances
from anatomy_clip.sources.phantom.xray.reports.questions import ask
from anatomy_clip.sources.phantom.xray.reports.report import write_report
from anatomy_clip.sources.phantom.xray.views import View, pose_body

LICENCE = "Apache-2.0"  # drawn by this package, so under its licence
_AT_ONCE = 16  # patients of a volume: questions compare films of several patients
_TRIES = 12  # bodies that are drawn until one shows the finding that a cohort of classes wants
Pair = tuple[Radiograph, RadiographRecord]


class FilmSource:
    """Films of drawn patients; the same (seed, cohort, patient) gives the same films, reports and questions.

    All films of a study show the same body and the same findings. Frontal chest films of one patient share pose, breath
    and label stack too, so tilt and field are theirs in common; exposure, shutters and marker are each film's own.
    """

    name = "films"
    masks = (*MASKS["chest"], *MASKS["bones"], *(part_findings(CHEST) | part_findings("limb")))

    def __init__(
        self, cohorts: Mapping[str, Mapping[str, Any]], seed: int = 0, pixels: int = 96, share: float = 1.0
    ) -> None:
        """Describe the cohorts; nothing is drawn yet.

        Args:
            cohorts: cohort name -> fields of `Cohort`, with `site` as a mapping of fields of `Site`.
            seed: seed of all cohorts.
            pixels: pixels on a side of a film.
            share: of each cohort's patients, the first ones, that are drawn.

        Raises:
            ValueError: a cohort has an unknown field, or the share isn't above 0 and at most 1.
        """
        if not 0 < share <= 1:
            raise ValueError(f"films: share={share}; give a share above 0 and at most 1")
        every = {name: _cohort(name, values) for name, values in cohorts.items()}
        self.cohorts = {name: replace(one, patients=math.ceil(one.patients * share)) for name, one in every.items()}
        self.seed = seed
        self.pixels = pixels

    def splits(self) -> Sequence[str]:
        """Names of the cohorts."""
        return tuple(self.cohorts)

    def volumes(self, split: str) -> Sequence[str]:
        """Keys of groups of patients of a cohort: each is the id of its first one.

        Raises:
            ValueError: there is no such cohort.
        """
        return tuple(_patient_id(split, first) for first in range(0, self._cohort(split).patients, _AT_ONCE))

    def films(self, split: str, volume: str) -> Iterator[Pair]:
        """Draw a group of patients and take their films.

        Raises:
            ValueError: there is no such cohort or group.
        """
        cohort = self._cohort(split)
        if volume not in self.volumes(split):
            raise ValueError(f"films: cohort {split!r} has no group {volume!r}; see volumes({split!r})")
        first = int(volume.rpartition("-")[2])
        numbers = range(first, min(first + _AT_ONCE, cohort.patients))
        pairs = [pair for number in numbers for pair in self._patient(cohort, split, number)]
        rng = np.random.default_rng(self._seeds(split, first).spawn(2)[1])
        asked = ask([record for _, record in pairs], rng, held_out=cohort.held_out)
        for (film, record), questions in zip(pairs, asked, strict=True):
            yield film, replace(record, questions=questions)

    def _cohort(self, split: str) -> Cohort:
        if split not in self.cohorts:
            raise ValueError(f"films: no cohort {split!r}; there are {', '.join(self.cohorts)}")
        return self.cohorts[split]

    def _seeds(self, split: str, number: int) -> np.random.SeedSequence:
        return np.random.SeedSequence([self.seed, zlib.crc32(split.encode()), number])

    def _patient(self, cohort: Cohort, split: str, number: int) -> list[Pair]:
        """The films of one patient."""
        seeds = self._seeds(split, number).spawn(2)[0]
        for attempt in seeds.spawn(_TRIES if cohort.classes else 1):
            plan_seed, body_seed, film_seed, word_seed = attempt.spawn(4)
            studies = draw_studies(cohort, number, np.random.default_rng(plan_seed))
            body = int(body_seed.generate_state(1, np.uint64)[0])
            taken = _Visit(cohort, body, self.pixels, np.random.default_rng(film_seed)).films(studies)
            if not cohort.classes or _shows_only(taken[0], cohort.classes[number % len(cohort.classes)]):
                words = np.random.default_rng(word_seed)
                return [
                    pair
                    for n, (study, films) in enumerate(zip(studies, taken, strict=True))
                    for pair in self._study(cohort, split, number, n, study, films, words)
                ]
        wanted = cohort.classes[number % len(cohort.classes)]
        raise ValueError(
            f"films: {split}: none of {_TRIES} bodies shows {wanted} alone; make it more severe in table.yaml"
        )

    def _study(
        self, cohort: Cohort, split: str, number: int, order: int, study: Study, films: Sequence[Film],
        rng: np.random.Generator,
    ) -> list[Pair]:  # fmt: skip
        """The films of a study with their records, which share a report."""
        patient = _patient_id(split, number)
        known = agreed([film.findings for film in films])
        records = [
            RadiographRecord(
                source=self.name,
                split=split,
                patient=patient,
                study=f"{patient}-{order}",
                image=f"{patient}-{order}-{film.view}",
                part=film.part,
                projection=Projection(film.projection),
                side=Side(study.side) if study.side else None,
                spacing_mm=(film.spacing_mm, film.spacing_mm),
                magnification=film.magnification,
                licence=LICENCE,
                findings=findings,
                boxes=film.boxes,
                acquisition=_acquisition(film),
            )
            for film, findings in zip(films, known, strict=True)
        ]
        report = write_report(records, rng, held_out=cohort.held_out)
        return [
            (Radiograph((film.image / np.float32(255)).astype(np.float32), film.masks), replace(record, report=report))
            for film, record in zip(films, records, strict=True)
        ]


class _Visit:
    """One patient's films, which share bodies and stacks where they can."""

    def __init__(self, cohort: Cohort, body: int, pixels: int, rng: np.random.Generator) -> None:
        self.cohort, self.seed, self.pixels, self.rng = cohort, body, pixels, rng
        self.bodies: dict[tuple[str, tuple[float, ...]], Body] = {}
        self.stacks: dict[str, tuple[Nuisances, Stack]] = {}

    def films(self, studies: Sequence[Study]) -> list[list[Film]]:
        """The films of each study."""
        return [[self._film(study, view) for view in study.views] for study in studies]

    def _film(self, study: Study, view: View) -> Film:
        body = self._body(view, heart_factor(study.plans))
        drawn = draw_nuisances(view, study.side, self.rng, self.cohort.site)
        if view.name in self.stacks:
            shared, stack = self.stacks[view.name]
            drawn = replace(drawn, turn_deg=shared.turn_deg, field_scale=shared.field_scale, bubble_mm=shared.bubble_mm)
        else:
            stack = take_stack(body, view, drawn, self.rng, side=study.side, size=self.pixels)
            self.stacks[view.name] = drawn, stack
        return make_film(
            body, view, self.rng, side=study.side, size=self.pixels, nuisances=drawn, plans=study.plans, stack=stack
        )

    def _body(self, view: View, heart: float) -> Body:
        key = view.arms, tuple(view.breath)
        if key not in self.bodies:
            breath = float(self.rng.uniform(*view.breath))
            self.bodies[key] = pose_body(self.seed, view, breath, self.cohort.habitus, heart)
        return self.bodies[key]


def agreed(films: Sequence[Mapping[str, Finding]]) -> list[dict[str, Finding]]:
    """The findings of a study's films, so that they don't contradict each other.

    What is there, and lies outside of a film, is there and isn't seen on it. A film that can't tell one finding (the
    heart, from the side) can't tell that there is none.

    Args:
        films: name -> finding, of each film.
    """
    there = {name: one for film in films for name, one in film.items() if one.state is State.POSITIVE}
    whole = set().union(*films)
    out = []
    for film in films:
        unseen = {name for name, one in film.items() if one.state is State.NEGATIVE and name in there} - {NO_FINDING}
        hidden = {name: replace(there[name], visibility=Visibility.INVISIBLE) for name in unseen}
        known = {**film, **hidden}
        out.append(known if set(film) == whole else {name: one for name, one in known.items() if name != NO_FINDING})
    return out


def _shows_only(films: Sequence[Film], wanted: str) -> bool:
    shown = {name for film in films for name, finding in film.findings.items() if finding.shown}
    return shown == {wanted}


def _acquisition(film: Film) -> dict[str, float]:
    """How a film was taken, as numbers: what a probe may learn nothing of findings from."""
    drawn = film.nuisances
    margins = zip(("top", "right", "bottom", "left"), drawn.margins, strict=True)
    return {
        "quanta_mm2": drawn.quanta_mm2,
        "scatter": drawn.scatter,
        "gamma": drawn.gamma,
        "tilt_deg": drawn.turn_deg[0],
        "rotation_deg": drawn.turn_deg[1],
        "field_scale": drawn.field_scale,
        "marker_l": float(drawn.marker == "L"),
        "marker_r": float(drawn.marker == "R"),
        "marker_down": drawn.marker_at[0],
        "marker_inwards": drawn.marker_at[1],
        "marker_mirrored": float(drawn.marker_mirrored),
        "breath_mm": film.breath_mm,
    } | {f"shutter_{edge}": margin for edge, margin in margins}


def _patient_id(split: str, number: int) -> str:
    return f"films-{split}-{number:05d}"


def _cohort(name: str, values: Mapping[str, Any]) -> Cohort:
    plain = {key: value for key, value in values.items() if key != "site"}
    site = from_options(Site, values.get("site") or {}, f"films: cohort {name!r}, site")
    return replace(from_options(Cohort, plain, f"films: cohort {name!r}"), site=site)
