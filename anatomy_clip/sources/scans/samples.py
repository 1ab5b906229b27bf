"""Real CT and MR volumes with masks that two Python packages carry: test data, never seen in training."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.refusals import Doubt
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.imaging.nifti import read_labels, read_volume
from anatomy_clip.imaging.nifti_header import read_header
from anatomy_clip.imaging.slices import Slice
from anatomy_clip.imaging.volume import Volume
from anatomy_clip.sources.download.packages import Package, fetch
from anatomy_clip.sources.scans.slicing import LabelledVolume, Labels, Sampling, cut_slices, orientations
from anatomy_clip.sources.scans.totalsegmentator import read_multilabel

LUNG_HU = -400.0  # aerated lung lies below, every soft tissue above
MIN_LUNG_MM2 = 1000.0  # in one slice; leaves out trachea and gas in the bowel


class SampleVolumes:
    """Slices of the sample volumes that `samples.yaml` lists.

    Args:
        downloads: folder of downloaded packages.
        step_mm: plane -> distance between slices, mm.
        min_body_share: share of a slice's pixels that must show body.
    """

    name = "samples"

    def __init__(self, downloads: str | Path, step_mm: Mapping[str, float], min_body_share: float = 0.1) -> None:
        self.downloads = Path(downloads)
        self.step_mm = orientations(step_mm)
        self.min_body_share = min_body_share

    def splits(self) -> Sequence[str]:
        """The test sets."""
        return list(self._table["volumes"])

    def volumes(self, split: str) -> Sequence[str]:
        """Names of a test set's volumes, one a patient."""
        return list(self._table["volumes"][split])

    def fetch(self) -> None:
        """Download what isn't here yet and verify what is.

        Raises:
            Unreachable: a package can't be had.
            ValueError: a file has another checksum than the one pinned.
        """
        for name in self._table["packages"]:
            fetch(self._package(name), self.downloads)

    def slices(self, split: str, volume: str) -> Iterator[tuple[Slice, SliceRecord] | Doubt]:
        """Stream the slices of one volume.

        Raises:
            ValueError: a file is missing, damaged or off the image's grid.
        """
        entry = self._table["volumes"][split][volume]
        package = self._package(entry["package"])
        folder = package.folder(self.downloads)
        modality = Modality(entry["modality"])
        protocol = Protocol.NONE if modality is Modality.CT else Protocol.OTHER
        voxels = read_volume(folder / entry["image"], modality, protocol)
        labels, names = _read_labels(voxels, folder, entry)
        record = SliceRecord(
            source=self.name,
            split=split,
            patient=f"sample-{volume}",
            study=f"sample-{volume}",
            series=f"sample-{volume}",
            index=0,
            modality=modality,
            protocol=protocol,
            orientation=Orientation.AXIAL,
            licence=package.licence,
        )
        yield from cut_slices(LabelledVolume(voxels, labels, names), record, self._sampling(entry))

    def _sampling(self, entry: Mapping[str, Any]) -> Sampling:
        ranges = {Orientation(name): (first, last) for name, (first, last) in entry.get("ranges", {}).items()}
        # A volume with ranges is used in those planes only.
        steps = {plane: mm for plane, mm in self.step_mm.items() if not ranges or plane in ranges}
        return Sampling(steps, self.min_body_share, ranges)

    def _package(self, name: str) -> Package:
        return Package(**self._table["packages"][name])

    @cached_property
    def _table(self) -> dict[str, Any]:
        import yaml

        text = files("anatomy_clip.sources.scans").joinpath("samples.yaml").read_text(encoding="utf-8")
        return dict(yaml.safe_load(text))


def lung_mask(volume: Volume) -> NDArray[np.bool_]:
    """Find aerated lung in each axial slice of a chest CT by its density.

    Lung is what lies below -400 HU, is at least 10 cm2 large in the slice, and doesn't touch the image's border (air
    around the patient does).

    Args:
        volume: CT, HU.

    Returns:
        (X, Y, Z) bool.
    """
    from scipy import ndimage

    found = np.zeros(volume.array.shape, dtype=bool)
    pixels = MIN_LUNG_MM2 / (volume.spacing_mm[0] * volume.spacing_mm[1])
    slices: int = volume.array.shape[-1]
    for z in range(slices):
        regions, _ = ndimage.label(volume.array[:, :, z] < LUNG_HU)
        sizes = np.bincount(regions.ravel())
        keep = sizes >= pixels
        for border in (regions[0], regions[-1], regions[:, 0], regions[:, -1]):
            keep[border] = False
        keep[0] = False
        found[:, :, z] = keep[regions]
    return found


def _read_labels(volume: Volume, folder: Path, entry: Mapping[str, Any]) -> tuple[Labels, dict[int, str]]:
    """Join the masks of one entry of `samples.yaml`; a later mask wins where two overlap."""
    image = folder / entry["image"]
    grid = read_header(image)
    labels = np.zeros(volume.array.shape, np.uint8)
    names: dict[int, str] = {}
    for mask in entry["masks"]:
        if "lungs" in mask or "name" in mask:
            one = lung_mask(volume) if "lungs" in mask else read_labels(folder / mask["file"], like=grid) > 0
            value = max(names, default=0) + 1
            labels[one], names[value] = value, mask.get("name", "lung")
        else:
            table = _class_table(folder / mask["table"]) if "table" in mask else None
            labels, names = read_multilabel(folder / mask["file"], image, table)
    return labels, names


def _class_table(path: Path) -> dict[int, str]:
    """Read label value -> structure name from a CSV with columns id and structure."""
    with path.open(newline="", encoding="utf-8") as lines:
        return {int(row["id"]): row["structure"] for row in csv.DictReader(lines)}
