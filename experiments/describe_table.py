"""Describe a folder of labelled CT and MR files, and write what was said beside what is right as a Markdown table.

python experiments/describe_table.py REAL_DATA_FOLDER docs/REAL_DATA.md [--bundle FOLDER] [--onnx] [--workers N]
Each patient by the model that left them out: --folds data/pool --bundle 'outputs/real_pool_{fold}/lite/seed_0/bundle'
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from anatomy_clip import Describer
from anatomy_clip.cli.plain_errors import plain_errors
from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.pseudonyms import SALT, Pseudonyms
from anatomy_clip.core.refusals import Refusal
from anatomy_clip.describe.bundle.folder import Bundle
from anatomy_clip.describe.description import Finding, SeriesDescription, SliceDescription
from anatomy_clip.sources.scans.label_table import LabelRow, read_table
from anatomy_clip.sources.scans.stacks import is_nifti

LABELS = "labels.csv"
HEAD = (
    "volume", "described as", "stations: labelled", "said", "hits", "along the body",
    "organs: labelled", "said", "hits", "unsure",
)  # fmt: skip


@dataclass(frozen=True)
class Hits:
    """Labelled slices whose best name is one of the labelled ones.

    Attributes:
        right: such slices.
        of: slices with a label.
    """

    right: int = 0
    of: int = 0

    def __add__(self, other: Hits) -> Hits:
        return Hits(self.right + other.right, self.of + other.of)

    def __str__(self) -> str:
        return f"{self.right}/{self.of}" if self.of else "-"

    @property
    def percent(self) -> str:
        """The share, in percent."""
        return f"{100 * self.right / self.of:.0f} %" if self.of else "-"


@dataclass(frozen=True)
class Judged:
    """One path of the label table: what was said, and how much of it is right.

    Attributes:
        rows: its labels.
        series: what it was described as.
        wrong: "modality", "protocol", "orientation": which of them aren't as labelled.
        stations, organs: hits over its labelled slices.
        along: station hits of the smoothed body axis; of the slices themselves where there is none.
        unsure: labelled slices in which nothing was named.
    """

    rows: Sequence[LabelRow]
    series: Sequence[SeriesDescription]
    wrong: tuple[str, ...]
    stations: Hits
    organs: Hits
    along: Hits
    unsure: int

    @property
    def path(self) -> str:
        """From the table's folder."""
        return self.rows[0].path

    @property
    def labelled(self) -> int:
        """Slices with a label."""
        return sum(row.last - row.first + 1 for row in self.rows)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", help=f"folder with a {LABELS} (columns: anatomy_clip/sources/scans/label_table.py)")
    parser.add_argument("to", help="Markdown file to write")
    parser.add_argument("--bundle", help="default: the package's own; with --folds, {fold} in its name")
    parser.add_argument("--folds", help="folder of the stores fold_0, fold_1, ... of a cross-validation (source=pool)")
    parser.add_argument("--onnx", action="store_true")
    parser.add_argument("--workers", type=int)
    given = parser.parse_args(argv)
    with plain_errors():
        judged: list[Judged] = []
        refusals: list[Refusal] = []
        bundles = []
        for place, patients in bundles_of(given.bundle, given.folds):
            with Describer.from_bundle(place, onnx=given.onnx) as describer:
                found, refused = judge(describer, Path(given.folder), given.workers, patients)
            judged, refusals = [*judged, *found], [*refusals, *refused]
            bundles.append(describer.bundle)
        judged.sort(key=lambda one: int(one.rows[0].where.rpartition(" ")[2]))  # the table's lines
        Path(given.to).write_text(page(judged, refusals, bundles), encoding="utf-8")
    print(f"{given.to}: {len(judged)} volumes, {len(refusals)} files refused")


def bundles_of(bundle: str | None, folds: str | None) -> Iterator[tuple[str | None, Callable[[str], bool]]]:
    """Bundles, each with the patients that are described by it: all, or those whom its training left out.

    Raises:
        ValueError: there is no store of a fold.
    """
    if folds is None:
        yield bundle, lambda patient: True
        return
    stores = sorted(Path(folds).glob("fold_*/manifest.parquet"))
    if not stores:
        raise ValueError(f"{folds}: has no stores fold_0, fold_1, ...; make them by make real-stores")
    pseudonyms = Pseudonyms(os.environ.get(SALT), Path(folds).parent / ".salt")
    for fold, store in enumerate(stores):
        left_out = {patient for _, patient in Manifest.read(store).patients()}
        known = partial(_is_among, left_out, pseudonyms)
        yield str(bundle).replace("{fold}", str(fold)), known


def _is_among(ids: Collection[str], pseudonyms: Pseudonyms, patient: str) -> bool:
    return pseudonyms("patient", patient) in ids


def judge(
    describer: Describer, folder: Path, workers: int | None = None, wanted: Callable[[str], bool] = lambda _: True
) -> tuple[list[Judged], list[Refusal]]:
    """Describe every path of a label table whose patient is wanted, told nothing but the path, and compare.

    Raises:
        ValueError: the table is missing or faulty, or names a path that is missing.
    """
    judged: list[Judged] = []
    refusals: list[Refusal] = []
    for path, rows in read_table(folder / LABELS, describer.bundle.taxonomy).items():
        if not wanted(rows[0].patient):
            continue
        description = describer.describe(folder / path, workers=workers)
        refusals += description.refusals
        judged.append(compare(rows, description.series))
    return judged, refusals


def compare(rows: Sequence[LabelRow], series: Sequence[SeriesDescription]) -> Judged:
    """Set what was said of one path beside its labels."""
    pairs = [(row, *place) for row in rows for place in _covered(row, series)]
    facts = {
        "modality": {row.modality.value for row in rows} == {one.modality for one in series},
        # a label without a protocol says nothing, and of a NIfTI file nobody can know it
        "protocol": is_nifti(rows[0].path) or all(one.protocol == rows[0].protocol for one in series)
        or not rows[0].protocol,
        "orientation": {row.orientation.value for row in rows} <= {one.orientation for one in series},
    }  # fmt: skip
    return Judged(
        rows, series, tuple(name for name, right in facts.items() if not right),
        _hits((row.stations, _names(each.stations)) for row, _, each in pairs),
        _hits(_without_unsure(row, _names(each.organs)) for row, _, each in pairs),
        _hits((row.stations, _on_axis(one, each)) for row, one, each in pairs),
        sum(each.abstained for _, _, each in pairs),
    )  # fmt: skip


def _covered(
    row: LabelRow, series: Sequence[SeriesDescription]
) -> Iterator[tuple[SeriesDescription, SliceDescription]]:
    """Slices that a row speaks of, with their series; the table counts by place, over all series of one orientation."""
    alike = [one for one in series if one.orientation == row.orientation] or series[:1]
    slices = [(number, each) for number, one in enumerate(alike) for each in one.slices]
    files = {each.source.path for _, each in slices if each.source}
    multi_frame = len(files) == 1 and len(slices) > 1

    def place(entry: tuple[int, SliceDescription]) -> tuple[float, int, int]:
        number, each = entry
        frame = each.source.frame if multi_frame and each.source else each.position_mm or 0.0
        return frame, number, each.index

    covered = sorted(slices, key=place)[row.first : row.last + 1]
    yield from ((alike[number], each) for number, each in covered)


def _names(findings: Sequence[Finding]) -> list[str]:
    return [one.name for one in findings]


def _without_unsure(row: LabelRow, said: Sequence[str]) -> tuple[Sequence[str] | None, Sequence[str]]:
    """The labelled organs and those that were said, but for unsure ones; no label where nothing else was said."""
    judged = [name for name in said if name not in row.unsure]
    return (None if said and not judged else row.organs), judged


def _on_axis(series: SeriesDescription, each: SliceDescription) -> list[str]:
    """The station that the smoothed axis gives a slice; what the slice itself says where a series has no axis."""
    if not series.ranges:
        return _names(each.stations)
    return [one.station for one in series.ranges if one.first <= each.index <= one.last]


def _hits(pairs: Iterable[tuple[Sequence[str] | None, Sequence[str]]]) -> Hits:
    right = [bool(said) and said[0] in labelled for labelled, said in pairs if labelled is not None]
    return Hits(sum(right), len(right))


def page(judged: Sequence[Judged], refusals: Sequence[Refusal], bundles: Sequence[Bundle]) -> str:
    """The whole Markdown page."""
    names = " and ".join(f"`{one.name}` (digest `{one.digest[:16]}`)" for one in bundles)
    by, unseen = f"the bundle of {names}", "No slice here was used for training or for a choice."
    if len(bundles) > 1:
        by = f"the bundles of {names}, the folds of a cross-validation (each patient: the fold that left them out)"
        unseen = "No slice was described by a model that had seen its patient."
    lines = [
        "# Real files, described",
        "",
        f"Made by `experiments/describe_table.py` with {by}. Every path of "
        "the label table was described by itself; only the path was given. NIfTI files do not state their modality, so "
        "the program estimated it from the image.",
        "",
        "*Hits*: labelled slices whose best named station (organ) is one of the labelled ones; a slice in which "
        "nothing was named (*unsure*) is not a hit. *Along the body*: the same for the station that the smoothed "
        "axis gives a slice. *Said*: stations of the series along the body, organs best first. Labels by eye list "
        "what is clearly visible, so an organ that was said and is not labelled may be right. An organ that the "
        f"table calls unsure (`organs_unsure`) is neither right nor wrong. {unseen} The patients are few, so this is "
        "not a measure of accuracy.",
        "",
        *_totals(judged),
        "",
        _line(HEAD),
        _line(["---"] * len(HEAD)),
        *(_line(_cells(one)) for one in judged),
        "",
        f"Files refused: {len(refusals) or 'none'}.",
        *(f"- `{Path(one.where).name}`: {one.message}" for one in refusals),
    ]
    return "\n".join(lines) + "\n"


def _totals(judged: Sequence[Judged]) -> list[str]:
    kinds = [
        ("CT, DICOM", "CT", False), ("MR, DICOM", "MR", False), ("CT, NIfTI", "CT", True), ("MR, NIfTI", "MR", True),
    ]  # fmt: skip
    head = ("", "volumes", "patients", "slices", "modality right", "orientation right", "protocol right",
            "station hits", "along the body", "organ hits", "unsure")  # fmt: skip
    lines = [_line(head), _line(["---", *["---:"] * (len(head) - 1)])]
    for title, modality, nifti in kinds:
        chosen = [one for one in judged if one.rows[0].modality == modality and is_nifti(one.path) is nifti]
        if chosen:
            lines.append(_line([title, *_total(chosen, nifti)]))
    return [*lines, _line(["**all**", *_total(judged, False)])]


def _total(chosen: Sequence[Judged], nifti: bool) -> list[str]:
    right = {fact: sum(fact not in one.wrong for one in chosen) for fact in ("modality", "orientation", "protocol")}
    with_protocol = [one for one in chosen if one.rows[0].protocol and not is_nifti(one.path)]
    protocols = sum("protocol" not in one.wrong for one in with_protocol)
    hits = [sum((getattr(one, kind) for one in chosen), Hits()) for kind in ("stations", "along", "organs")]
    return [
        str(len(chosen)),
        str(len({one.rows[0].patient for one in chosen})),
        str(sum(one.labelled for one in chosen)),
        f"{right['modality']}/{len(chosen)}",
        f"{right['orientation']}/{len(chosen)}",
        "-" if nifti or not with_protocol else f"{protocols}/{len(with_protocol)}",
        *(f"{one} = {one.percent}" for one in hits),
        str(sum(one.unsure for one in chosen)),
    ]


def _cells(one: Judged) -> list[str]:
    said = dict.fromkeys(" ".join(filter(None, (s.modality, s.protocol, s.orientation))) for s in one.series)
    wrong = f" (wrong: {', '.join(one.wrong)})" if one.wrong else ""
    return [
        one.path.replace("_", r"\_"),
        "; ".join(said) + wrong,
        _labels(row.stations for row in one.rows),
        _unique(name for series in one.series for name in _along(series)),
        str(one.stations),
        str(one.along),
        _labels(row.organs for row in one.rows),
        _unique(finding.name for series in one.series for finding in series.organs),
        str(one.organs),
        f"{one.unsure}/{one.labelled}",
    ]


def _along(series: SeriesDescription) -> list[str]:
    return [one.station for one in series.ranges] or [one.name for one in series.stations]


def _labels(names: Iterable[Sequence[str] | None]) -> str:
    return _unique(name for group in names for name in group or ())


def _unique(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names)) or "-"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
