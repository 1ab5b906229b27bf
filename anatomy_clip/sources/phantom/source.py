"""The phantom source: cohorts of drawn patients, each examined by a few imaging protocols."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality
from anatomy_clip.imaging.slices import Slice
from anatomy_clip.sources.phantom.body import Body, make_body
from anatomy_clip.sources.phantom.ct import CtScanner, CtSeries, acquire_ct, draw_ct
from anatomy_clip.sources.phantom.figures import make_figures
from anatomy_clip.sources.phantom.mr import MrScanner, MrSeries, acquire_mr, draw_mr
from anatomy_clip.sources.phantom.muscles import fill_compartments
from anatomy_clip.sources.phantom.options import from_options
from anatomy_clip.sources.phantom.planes import Plane
from anatomy_clip.sources.phantom.protocols import (
    ImagingProtocol,
    Series,
    load_protocols,
    plan_series,
    sequence,
)
from anatomy_clip.sources.phantom.structures import STRUCTURES

LICENCE = "Apache-2.0"  # drawn by this package, so under its licence
_SUPERSAMPLING = 1.25  # labels a pixel and axis: partial volume; painting is most of the time
_LEAST_BODY = 0.04  # share of a slice that must show body


@dataclass(frozen=True)
class Cohort:
    """A group of patients and the scanners that examine them.

    Attributes:
        patients: number of patients.
        series_per_patient: series of each patient.
        slices_per_series: slices of each series.
        habitus: range of fatness, 0 lean to 1 obese.
        fov_scale: factor on in-plane fields of view.
        square_share: share of axial series with a square field of view.
        one_sided_weight: factor on the frequency of protocols that show one limb.
        filled_share: share of series whose muscles fill their compartments, see `muscles.fill_compartments`.
        septum_mm: range of the fat planes between such muscles, mm.
        figures: whether the slices are made into figures with captions of their own.
        ct: the CT scanners.
        mr: the MR scanners.
    """

    patients: int
    series_per_patient: int = 20
    slices_per_series: int = 2
    habitus: tuple[float, float] = (0.0, 1.0)
    fov_scale: float = 1.0
    square_share: float = 0.6
    one_sided_weight: float = 1.0
    filled_share: float = 0.0
    septum_mm: tuple[float, float] = (0.0, 2.5)
    figures: bool = False
    ct: CtScanner = field(default_factory=CtScanner)
    mr: MrScanner = field(default_factory=MrScanner)


class PhantomSource:
    """Slices of drawn patients; the same (seed, cohort, patient) gives the same slices, bit for bit."""

    name = "phantom"

    def __init__(self, cohorts: Mapping[str, Mapping[str, Any]], seed: int = 0, pixels: int = 128) -> None:
        """Describe the cohorts; nothing is drawn yet.

        Args:
            cohorts: cohort name -> fields of `Cohort`, with `ct` and `mr` as mappings of scanner fields.
            seed: seed of all cohorts.
            pixels: pixels on the longer side of a slice.

        Raises:
            ValueError: a cohort has an unknown field.
        """
        self.cohorts = {name: _cohort(name, values) for name, values in cohorts.items()}
        self.seed = seed
        self.pixels = pixels

    def splits(self) -> Sequence[str]:
        """Names of the cohorts."""
        return tuple(self.cohorts)

    def volumes(self, split: str) -> Sequence[str]:
        """Patient ids of a cohort.

        Raises:
            ValueError: there is no such cohort.
        """
        return tuple(f"phantom-{split}-{number:05d}" for number in range(self._cohort(split).patients))

    def slices(self, split: str, volume: str) -> Iterator[tuple[Slice, SliceRecord]]:
        """Draw and examine one patient.

        Raises:
            ValueError: there is no such cohort or patient.
        """
        cohort = self._cohort(split)
        number = volume.removeprefix(f"phantom-{split}-")
        if not number.isdecimal() or int(number) >= cohort.patients:
            raise ValueError(f"phantom: cohort {split!r} has no patient {volume!r}; see volumes({split!r})")
        seeds = np.random.SeedSequence([self.seed, zlib.crc32(split.encode()), int(number)])
        body_seed, figure_seed, *series_seeds = seeds.spawn(2 + cohort.series_per_patient)
        body = make_body(np.random.default_rng(body_seed), habitus_range=cohort.habitus)
        pairs: Iterator[tuple[Slice, SliceRecord]] = (
            pair
            for n, seed in enumerate(series_seeds)
            for pair in self._series(body, cohort, split, volume, n, np.random.default_rng(seed))
        )
        if cohort.figures:
            pairs = make_figures(pairs, np.random.default_rng(figure_seed))
        yield from pairs

    def _cohort(self, split: str) -> Cohort:
        if split not in self.cohorts:
            raise ValueError(f"phantom: no cohort {split!r}; there are {', '.join(self.cohorts)}")
        return self.cohorts[split]

    def _series(
        self, body: Body, cohort: Cohort, split: str, patient: str, number: int, rng: np.random.Generator
    ) -> Iterator[tuple[Slice, SliceRecord]]:
        series = plan_series(
            body,
            _weighted(cohort.one_sided_weight),
            rng,
            fov_scale=cohort.fov_scale,
            square_share=cohort.square_share,
        )
        settings = _settings(body, cohort, series, rng)
        filled = bool(cohort.filled_share) and rng.uniform() < cohort.filled_share  # no draw where no series is
        septum_mm = rng.uniform(*cohort.septum_mm) if filled else 0.0
        count = cohort.slices_per_series
        record = self._record(split, patient, number, series)
        for index in range(count):
            # Stratified over the stack, so that a series shows its whole range.
            plane = series.plane((index + rng.uniform()) / count, self.pixels)
            fine = plane.finer(_SUPERSAMPLING)
            labels = fine.cut(body)
            if filled:
                labels = fill_compartments(labels, fine.spacing_mm, septum_mm)
            if np.count_nonzero(labels) < _LEAST_BODY * labels.size:
                continue
            pixels = _acquire(labels, plane, settings, rng)
            shown = Slice(
                pixels,
                plane.spacing_mm,
                plane.thickness_mm,
                record.modality,
                record.protocol,
                record.orientation,
            )
            areas = structure_areas(labels, fine)
            yield shown, replace(record, index=index, structures=areas, spacing_mm=plane.spacing_mm)

    def _record(self, split: str, patient: str, number: int, series: Series) -> SliceRecord:
        """What all slices of a series have in common."""
        return SliceRecord(
            source=self.name,
            split=split,
            patient=patient,
            study=f"{patient}-{series.protocol.modality.value.lower()}",
            series=f"{patient}-{number:02d}-{series.protocol.name}",
            index=0,
            modality=series.protocol.modality,
            protocol=series.weighting,
            orientation=series.orientation,
            thickness_mm=series.thickness_mm,
            licence=LICENCE,
        )


def structure_areas(labels: NDArray[np.uint8], plane: Plane) -> dict[str, float]:
    """Area of every structure that a label image shows, by name, mm2; labels of one name are summed."""
    row, col = plane.spacing_mm
    areas: dict[str, float] = {}
    counts = np.bincount(labels.ravel(), minlength=len(STRUCTURES))
    for label in np.flatnonzero(counts):
        if label:
            name = STRUCTURES[label].name
            areas[name] = areas.get(name, 0.0) + float(counts[label]) * row * col
    return areas


def _settings(body: Body, cohort: Cohort, series: Series, rng: np.random.Generator) -> CtSeries | MrSeries:
    if series.protocol.modality is Modality.CT:
        hip = float(body.landmarks["hip_left"][2])
        return draw_ct(rng, cohort.ct, series.back_mm, series.circle, hip)
    return draw_mr(rng, cohort.mr, series.weighting, sequence(series.weighting), series.protocol.coil)


def _acquire(
    labels: NDArray[np.uint8], plane: Plane, settings: CtSeries | MrSeries, rng: np.random.Generator
) -> NDArray[np.float32]:
    if isinstance(settings, CtSeries):
        return acquire_ct(labels, plane, settings, rng)
    return acquire_mr(labels, plane, settings, rng)


def _weighted(one_sided: float) -> tuple[ImagingProtocol, ...]:
    def factor(protocol: ImagingProtocol) -> float:
        return one_sided if any("{side}" in name for name in protocol.centre) else 1.0

    return tuple(replace(p, weight=p.weight * factor(p)) for p in load_protocols())


def _cohort(name: str, values: Mapping[str, Any]) -> Cohort:
    scanners = {"ct": CtScanner, "mr": MrScanner}
    plain = {key: value for key, value in values.items() if key not in scanners}
    made = from_options(Cohort, plain, f"phantom: cohort {name!r}")
    for key, kind in scanners.items():
        made = replace(made, **{key: from_options(kind, values.get(key) or {}, f"phantom: cohort {name!r}, {key}")})
    return made
