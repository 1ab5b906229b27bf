"""DICOM files in a folder as stacks of slices, counted as label tables count them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from anatomy_clip.core.pseudonyms import path_below
from anatomy_clip.core.refusals import Refusal, Refused
from anatomy_clip.imaging.dicom.geometry import SAME_DIRECTION, largest_difference
from anatomy_clip.imaging.orientation import MAX_TILT_DEGREES
from anatomy_clip.imaging.slices import Slice
from anatomy_clip.sources.scans.stacks import Stack, is_nifti

if TYPE_CHECKING:
    from anatomy_clip.imaging.dicom.series import DicomSeries


def dicom_stacks(root: Path, path: Path, key: str, labelled: bool, keep_burned_in: bool) -> Iterator[Stack | Refusal]:
    """A DICOM file, or the files right in a folder, as stacks.

    Slices are counted along row x column direction; the frames of a single multi-frame file by their number.

    Args:
        root: what a link must not leave.
        path: the file or folder.
        key: its path from the root.
        labelled: slices are counted by a label table: frames of one orientation make one stack, and a refused file
            is an error, since it would shift the count.
        keep_burned_in: take series with text in their pixels too.

    Raises:
        ValueError: `labelled`, and a file can't be used or two series share an orientation.
    """
    from anatomy_clip.imaging.dicom.series import find_series  # and with it pydicom
    from anatomy_clip.imaging.dicom.siblings import with_header_doubts

    files, refusals = _files(root, path)
    found, damaged = find_series(files)
    good: list[DicomSeries] = []
    for one in with_header_doubts(found):
        faults = list(_faults(one, keep_burned_in))
        refusals += faults
        good += [] if faults else [one]
    refusals += damaged
    if labelled and refusals:
        first = refusals[0]
        raise ValueError(
            f"{first.where}: {first.reason}, so slices of {key!r} can't be counted as its label rows do; {first.remedy}"
        )
    yield from refusals
    groups: dict[tuple[str, ...], list[DicomSeries]] = defaultdict(list)
    for number, one in enumerate(good):
        groups[(one.orientation,) if labelled else (str(number),)].append(one)
    taken: dict[tuple[str, str], int] = defaultdict(int)
    for group in groups.values():
        name = (group[0].series_uid or key, str(group[0].orientation))
        yield _dicom_stack(group, key, (name[0], *([str(taken[name])] if taken[name] else [])))
        taken[name] += 1


def _files(root: Path, path: Path) -> tuple[list[Path], list[Refusal]]:
    """Regular files at or right below a path; what is none, or lies outside the root, is refused."""
    files, refusals = [], []
    for file in [path] if not path.is_dir() else sorted(path.iterdir()):
        if file.name.startswith(".") or is_nifti(file.name) or (file.is_dir() and not file.is_symlink()):
            continue
        try:
            path_below(root, file.relative_to(root).as_posix())
        except Refused as error:
            refusals.append(error.at(file).refusal)
            continue
        if file.is_file():
            files.append(file)
        else:  # a pipe would be waited for without end
            refusals.append(Refusal("is not a regular file", "remove it from the folder", str(file)))
    return files, refusals


def _faults(series: DicomSeries, keep_burned_in: bool) -> Iterator[Refusal]:
    said = ""
    if series.burned_in_annotation and not keep_burned_in:
        said = "Burned In Annotation (0028,0301) is YES: text in its pixels may show the patient's name"
        remedy = "mask the text and set the field to NO, or set source.burned_in=keep"
    elif series.degrees_off_axis > MAX_TILT_DEGREES:
        said = f"lies {series.degrees_off_axis:.0f} degrees from the patient's axes (at most {MAX_TILT_DEGREES:.0f})"
        remedy = "resample it first, or leave it out"
    if said:
        paths = dict.fromkeys(frame.path for frame in series.frames)
        yield from (Refusal(said, remedy, str(path)) for path in paths)


def _dicom_stack(group: Sequence[DicomSeries], key: str, series: tuple[str, ...]) -> Stack:
    first = group[0]
    for other in group[1:]:
        turned = largest_difference((*first.row, *first.column), (*other.row, *other.column))
        if (other.series_uid, other.modality) != (first.series_uid, first.modality) or turned >= SAME_DIRECTION:
            raise ValueError(
                f"{key}: has several {first.orientation} series, so a label row's slices can't be counted; "
                "give each series its own folder"
            )
    multi_frame = len({frame.path for one in group for frame in one.frames}) == 1
    frames = [(one, frame) for one, series in enumerate(group) for frame in series.frames]
    order = sorted(
        range(len(frames)),
        key=lambda n: (frames[n][1].number if multi_frame else frames[n][1].position_mm, frames[n][0], n),
    )
    index_of = {n: index for index, n in enumerate(order)}
    patient = first.patient_id or first.study_uid or key
    return Stack(
        first.modality, first.protocol, first.orientation, len(frames), patient, first.study_uid or key, series,
        lambda: _read(group, index_of), tuple(dict.fromkeys(note for one in group for note in one.notes)),
    )  # fmt: skip


def _read(group: Sequence[DicomSeries], index_of: dict[int, int]) -> Iterator[tuple[int, Slice] | Refusal]:
    from anatomy_clip.imaging.dicom.pixels import read_frames

    images = (image for series in group for image in read_frames(series))
    for n, image in enumerate(images):
        yield image if isinstance(image, Refusal) else (index_of[n], image)
