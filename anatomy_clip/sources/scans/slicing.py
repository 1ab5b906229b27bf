"""A volume and its labels to slices with records: what every source of labelled volumes shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.refusals import Doubt
from anatomy_clip.core.terms import Modality, Orientation
from anatomy_clip.imaging.densities import Densities, densities
from anatomy_clip.imaging.slices import Slice
from anatomy_clip.imaging.volume import Volume, display_plane, normal_axis

Labels = NDArray[np.uint8]
BODY_HU = -500.0  # between lung and fat; air, couch foam and most bedding lie below
BODY_MR = 0.1  # of the volume's bright end (99th percentile)


@dataclass(frozen=True)
class Sampling:
    """Which slices of a volume are taken.

    Attributes:
        step_mm: plane -> distance between slices, mm; a plane that isn't named is left out.
        min_body_share: share of a slice's pixels that must show body.
        ranges: plane -> first and last position along the normal, both included; the whole volume otherwise.
    """

    step_mm: Mapping[Orientation, float]
    min_body_share: float = 0.1
    ranges: Mapping[Orientation, tuple[int, int]] = field(default_factory=dict)

    def positions(self, orientation: Orientation, spacing_mm: float, count: int) -> range:
        """Positions along a plane's normal, half a step away from both ends of the range."""
        first, last = self.ranges.get(orientation, (0, count - 1))
        step = max(1, round(self.step_mm[orientation] / spacing_mm))
        return range(first + min(step // 2, (last - first) // 2), last + 1, step)


@dataclass(frozen=True)
class LabelledVolume:
    """A volume with its labels.

    Attributes:
        volume: the voxels.
        labels: (X, Y, Z) uint8 on the same grid; 0 is unlabelled.
        names: label value -> structure name; two values may share a name.
    """

    volume: Volume
    labels: Labels
    names: Mapping[int, str]

    def areas(self, plane: Labels, pixel_mm2: float) -> dict[str, float]:
        """Area of every structure in a plane of labels, mm2."""
        found: dict[str, float] = {}
        counts = np.bincount(plane.ravel(), minlength=256)
        for value, name in self.names.items():
            if counts[value]:
                found[name] = found.get(name, 0.0) + float(counts[value]) * pixel_mm2
        return found


def cut_slices(
    labelled: LabelledVolume, record: SliceRecord, sampling: Sampling
) -> Iterator[tuple[Slice, SliceRecord] | Doubt]:
    """Stream a volume's slices with their records, plane by plane, and doubts about its values.

    Args:
        labelled: the volume.
        record: what all its slices share; its series is made to name the plane.
        sampling: which slices are taken.
    """
    bright, counted = _body_threshold(labelled.volume), Densities()
    yield from (Doubt(note, record.series) for note in labelled.volume.notes)
    for orientation in sampling.step_mm:
        axis = normal_axis(orientation)
        spacing, count = labelled.volume.spacing_mm[axis], labelled.volume.array.shape[axis]
        for position in sampling.positions(orientation, spacing, count):
            image = labelled.volume.plane(orientation, position)
            if (image.pixels > bright).mean() < sampling.min_body_share:
                continue
            counted += densities(image.pixels)
            plane = display_plane(labelled.labels, orientation, position)
            structures = labelled.areas(plane, image.spacing_mm[0] * image.spacing_mm[1])
            none = None if structures else ()  # looked for and not there is stated: none at all would say nothing
            yield (
                image,
                replace(
                    record,
                    series=f"{record.series}-{orientation}",
                    index=position,
                    orientation=orientation,
                    structures=structures,
                    spacing_mm=image.spacing_mm,
                    thickness_mm=image.thickness_mm,
                    organs=none,
                    stations=none,
                ),
            )
    if labelled.volume.modality is Modality.CT and (note := counted.note()):
        yield Doubt(note, record.series)


def orientations(values: Mapping[str, float]) -> dict[Orientation, float]:
    """Check a mapping of plane name -> number.

    Raises:
        ValueError: names a plane that isn't one, or a step that isn't above 0.
    """
    known = ", ".join(Orientation)
    for name, value in values.items():
        if name not in tuple(Orientation):
            raise ValueError(f"step_mm.{name}: no such plane; known: {known}")
        if not value > 0:
            raise ValueError(f"step_mm.{name}={value}: give a distance above 0 mm, or leave out the plane")
    return {Orientation(name): float(value) for name, value in values.items()}


def _body_threshold(volume: Volume) -> float:
    if volume.modality is Modality.CT:
        return BODY_HU
    return BODY_MR * float(np.percentile(volume.array, 99))
