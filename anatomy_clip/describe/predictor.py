"""The entry of the library: `Describer` reads files and returns a description."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np

from anatomy_clip.core.limits import Limits
from anatomy_clip.core.processors import processors
from anatomy_clip.core.refusals import Refusal
from anatomy_clip.core.terms import Modality, Orientation
from anatomy_clip.describe.body_parts import defined_term
from anatomy_clip.describe.bundle import onnx_tower
from anatomy_clip.describe.bundle.folder import Bundle, Encoder, read_bundle
from anatomy_clip.describe.description import Description, SeriesDescription, SourceImage
from anatomy_clip.describe.inputs import common, gather
from anatomy_clip.describe.pipeline import Pipeline, Progress, Read
from anatomy_clip.describe.series import Embedded, SeriesFacts, best_caption, describe_series
from anatomy_clip.imaging.densities import Densities
from anatomy_clip.imaging.dicom.geometry import normal
from anatomy_clip.imaging.dicom.series import DicomSeries
from anatomy_clip.imaging.dicom.siblings import with_header_doubts

DEFAULT_LIMITS = Limits(seconds=30, memory_gb=2)  # of one file, or of one batch of slices
BATCH_SIZE = 32


class Describer:
    """Describes CT and MR files with one bundle.

    Archives are unpacked into temporary folders, which are removed by `close`, at the end of a `with`, or when the
    describer is collected; until then `SourceImage.path` stays good.

    Attributes:
        bundle: the bundle.
        onnx: whether the bundle's ONNX file is run instead of the network itself.

    With `STUDY`, a folder of two axial CT slices and a text file:

    >>> from anatomy_clip import Describer
    >>> with Describer.from_bundle() as describer:
    ...     description = describer.describe(STUDY)
    >>> [(series.modality, series.orientation, len(series.slices)) for series in description.series]
    [('CT', 'axial', 2)]
    >>> len(description.refusals)
    1
    """

    def __init__(self, bundle: Bundle, *, onnx: bool = False) -> None:
        self.bundle = bundle
        self.onnx = onnx
        self._encoder: Encoder | None = None
        self._scratch: list[tempfile.TemporaryDirectory[str]] = []

    @classmethod
    def from_bundle(cls, path: str | Path | None = None, *, onnx: bool = False) -> Describer:
        """Open a bundle.

        Args:
            path: its folder, or `hf:<owner>/<name>@<commit>`; None: the one that comes with the package.
            onnx: run its ONNX file by ONNX Runtime: the same answers, without the seconds that torch takes to start.

        Raises:
            ValueError: there is none, a file of it is missing or damaged, or ONNX Runtime isn't installed.

        >>> describer = Describer.from_bundle()
        >>> describer.bundle.taxonomy.stations
        ('head', 'chest', 'abdomen', 'pelvis', 'lower body')
        """
        bundle = read_bundle(path)
        if onnx:
            onnx_tower.check(bundle.folder / onnx_tower.FILE)
        return cls(bundle, onnx=onnx)

    def describe(
        self,
        paths: str | Path | Iterable[str | Path],
        *,
        modality: str | None = None,
        workers: int | None = None,
        batch_size: int = BATCH_SIZE,
        limits: Limits = DEFAULT_LIMITS,
        pictures: bool = False,
        progress: Progress = lambda done, found: None,
    ) -> Description:
        """Describe files, and all files below folders.

        Args:
            paths: DICOM files, DICOMDIRs, NIfTI files, PNGs, JPEGs, zip archives of such, and folders.
            modality: "CT" or "MR", for what doesn't say it itself (NIfTI, pictures); None: estimated from the image.
            workers: processes that read files; None: one a processor, 0: this process, without limits and shelter.
            batch_size: slices that the network takes at once.
            limits: time and memory for one file, or for one batch of slices of a series.
            pictures: keep every slice as the model is shown it (`SliceDescription.picture`).
            progress: told how many slices are done, and how many were found so far.

        Raises:
            ValueError: a path is missing, or an argument is out of range.

        >>> with Describer.from_bundle() as describer:
        ...     description = describer.describe(STUDY, workers=0, pictures=True)
        >>> description.series[0].slices[0].picture.dtype
        dtype('uint8')
        """
        if modality is not None and modality not in tuple(Modality):
            raise ValueError(f"modality={modality!r}: give one of {', '.join(Modality)}")
        if batch_size < 1 or (workers is not None and workers < 0):
            raise ValueError(f"batch_size={batch_size}, workers={workers}: give 1 or more, and 0 or more")
        items, refusals = gather([paths] if isinstance(paths, str | Path) else paths, self._folder)
        known = Modality(modality) if modality else None
        pipeline = Pipeline(
            items, self.bundle.preprocessing, self._load,
            modality=known, batch_size=batch_size, keep=pictures, progress=progress,
        )  # fmt: skip
        if items:
            pipeline.run(processors() if workers is None else workers, limits)
        dicom = [read for read in pipeline.found if read.series is not None]
        for read, noted in zip(dicom, with_header_doubts([read.series for read in dicom if read.series]), strict=True):
            read.series = noted
        series = [self._series(read, known) for read in pipeline.found if read.embeddings]
        return Description(tuple(series), tuple(dict.fromkeys([*refusals, *_in_order(pipeline.refusals)])))

    def close(self) -> None:
        """Remove the files of unpacked archives.

        >>> describer = Describer.from_bundle()
        >>> describer.close()  # at the end of a `with` this happens by itself
        """
        while self._scratch:
            self._scratch.pop().cleanup()

    def __enter__(self) -> Describer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _folder(self) -> Path:
        self._scratch.append(tempfile.TemporaryDirectory(prefix="anatomy_clip_"))
        return Path(self._scratch[-1].name)

    def _load(self) -> Encoder:
        if self._encoder is None:
            self._encoder = self.bundle.encoder(self.onnx)
        return self._encoder

    def _series(self, read: Read, modality: Modality | None) -> SeriesDescription:
        path = common([item.shown for item in read.items])
        if read.series is not None:
            return describe_series(self.bundle, _dicom(read.series, path, read.densities), _embedded(read, None))
        if read.nifti is None:
            return self._judged_picture(SeriesFacts(path, modality), _embedded(read, None))
        count = len(next(iter(read.embeddings.values())))
        facts = SeriesFacts(
            path,
            orientation=read.nifti.orientation,
            positions_mm=tuple(round(n * read.nifti.spacing_mm, 3) for n in range(count)),
            headwards=read.nifti.headwards,
            variant=f"volume {read.number + 1}" if read.nifti.volumes > 1 else "",
            notes=read.nifti.notes,
        )
        return self._judged_volume(facts, read, modality)

    def _judged_volume(self, facts: SeriesFacts, read: Read, modality: Modality | None) -> SeriesDescription:
        """Where both modalities are possible, the caption that fits best decides."""
        tried = {m: (replace(facts, modality=m), _embedded(read, m)) for m in Modality if m in read.embeddings}
        best = max(tried, key=lambda m: best_caption(self.bundle, *tried[m])[1])
        chosen, seen = tried[best]
        judged = f"the modality {best} was estimated from the image, because the file does not state it"
        doubt = read.densities.note() if best is Modality.CT else ""
        notes = (*chosen.notes, *filter(None, ["" if modality else judged, doubt]))
        plane = chosen.orientation or Orientation(
            self.bundle.captions[best_caption(self.bundle, chosen, seen)[0]].orientation
        )
        return describe_series(self.bundle, replace(chosen, notes=notes, orientation=plane), seen)

    def _judged_picture(self, facts: SeriesFacts, seen: Embedded) -> SeriesDescription:
        caption = self.bundle.captions[best_caption(self.bundle, facts, seen)[0]]
        said = "" if facts.modality else "the modality and "
        notes = (
            f"{said}the orientation {'are' if said else 'is'} estimated from the image, because a picture does not "
            "state it",
        )
        machine = facts.modality or Modality(caption.modality.split()[0])
        plane = Orientation(caption.orientation)
        return describe_series(self.bundle, replace(facts, modality=machine, orientation=plane, notes=notes), seen)


def _embedded(read: Read, modality: Modality | None) -> Embedded:
    places = sorted(read.embeddings[modality])
    kept = read.squares.get(modality)
    return Embedded(
        places,
        np.stack([read.embeddings[modality][place] for place in places]),
        np.array([place in read.blank for place in places]),
        np.stack([kept[place] for place in places]) if kept else None,
    )


def _dicom(series: DicomSeries, path: str, found: Densities) -> SeriesFacts:
    towards_head = float(normal(series.row, series.column)[2])
    variant = [series.variant] if series.variant else []
    if series.b_value is not None:
        variant.append(f"b-value {series.b_value:g}")
    said = "Burned In Annotation (0028,0301) is YES: its pictures may show the patient's name"
    return SeriesFacts(
        path,
        modality=series.modality,
        protocol=series.protocol,
        evidence="; ".join(series.evidence),
        orientation=series.orientation,
        positions_mm=tuple(round(mm, 3) for mm in series.positions_mm),
        thickness_mm=tuple(frame.thickness_mm for frame in series.frames),
        headwards=towards_head > 0 if series.orientation is Orientation.AXIAL else None,
        body_part=defined_term(series.body_part),
        variant=", ".join(variant),
        notes=(*series.notes, *filter(None, [found.note()]), *([said] if series.burned_in_annotation else [])),
        burned_in=bool(series.burned_in_annotation),
        sources=tuple(
            SourceImage(
                frame.path,
                frame.sop_class_uid,
                frame.sop_instance_uid,
                frame.study_uid,
                frame.series_uid,
                frame.number,
            )
            for frame in series.frames
        ),
    )


def _in_order(refusals: Sequence[Refusal]) -> list[Refusal]:
    return sorted(refusals, key=lambda one: (one.where, one.message))
