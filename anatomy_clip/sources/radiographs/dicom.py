"""Any folder of DICOM radiographs (CR, DX), with labels from a table or with none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from itertools import groupby
from pathlib import Path, PurePosixPath

from anatomy_clip.core.pseudonyms import Pseudonyms, path_below, walk_files
from anatomy_clip.core.radiographs import RadiographRecord
from anatomy_clip.core.refusals import Doubt, Refusal, Refused
from anatomy_clip.core.terms import Projection
from anatomy_clip.imaging.dicom.film_headers import FilmHeader, read_film_header
from anatomy_clip.imaging.dicom.films import load_film
from anatomy_clip.sources.figures.selection import split_of
from anatomy_clip.sources.radiographs.base import Film, checked_shares
from anatomy_clip.sources.radiographs.labels import FilmLabels, read_labels

_TOGETHER = 50  # files of one folder that make a volume, at most


class DicomFilms:
    """The DICOM radiographs below a folder.

    Patients are known by their files' headers. So where there are several splits, all headers are read before the
    first one is prepared; files that can't be used stand in the first split's list of refusals.

    Attributes:
        masks: none.

    Args:
        root: the folder; nothing outside is read, not by way of a symbolic link either.
        labels: label table (CSV, see `labels.read_labels`), from `root`; a file without a row is refused. None: none.
        name: name of the collection.
        shares: split -> share of the patients, by a hash of their ids.
        seed: of that split.
        salt: key of the hash that patient, study and image ids become. Give it by the environment.
        salt_file: where a salt is kept that is made at random, if none is given; None: another one for each source.
        burned_in: "refuse" or "keep" films whose header says that text is burned into the pixels.
        licence: licence of the collection.

    Raises:
        ValueError: shares that don't sum to 1, neither "refuse" nor "keep", or a fault in the table.
    """

    def __init__(
        self,
        root: str | Path,
        labels: str | None = None,
        name: str = "dicom_films",
        shares: Mapping[str, float] | None = None,
        seed: int = 0,
        salt: str | None = None,
        salt_file: str | Path | None = None,
        burned_in: str = "refuse",
        licence: str = "",
    ) -> None:
        if burned_in not in ("refuse", "keep"):
            raise ValueError(f"source.burned_in={burned_in!r}: give refuse or keep")
        self.root, self.name, self.seed, self.licence = Path(root), name, seed, licence
        self.shares = checked_shares(shares or {"all": 1.0})
        self._keep_burned_in = burned_in == "keep"
        self._pseudonyms = Pseudonyms(salt, salt_file)
        self._table_name = labels
        self._table = read_labels(self.root / labels) if labels else {}

    masks: tuple[str, ...] = ()

    @cached_property
    def _files(self) -> dict[str, list[str]]:
        """Volume, named by its first file -> files of one folder, or rows whose file is missing."""
        there = (name for name in walk_files(self.root) if name != self._table_name)
        found = dict.fromkeys([*there, *self._table])
        folders = [list(group) for _, group in groupby(found, key=lambda name: PurePosixPath(name).parent)]
        parts = [folder[at : at + _TOGETHER] for folder in folders for at in range(0, len(folder), _TOGETHER)]
        return {part[0]: part for part in parts}

    def splits(self) -> Sequence[str]:
        """Those of `shares`."""
        return [split for split, share in self.shares if share > 0]

    def volumes(self, split: str) -> Sequence[str]:
        """Keys of a split's volumes; ValueError where the root is missing."""
        return list(self._index.get(split, {}))

    def fingerprint(self) -> Mapping[str, str]:
        """What decides the records beside the settings: the table, the files' names, and the salt; hashed."""
        table = (self.root / self._table_name).read_bytes() if self._table_name else b""
        return {
            "labels": sha256(table).hexdigest()[:16],
            "files": self._pseudonyms("files", *walk_files(self.root)),
            "salt": self._pseudonyms("fingerprint"),
        }

    def films(self, split: str, volume: str) -> Iterator[Film | Refusal | Doubt]:
        """Stream the films of one volume that belong to a split, with refusals and doubts.

        Raises:
            ValueError: there is no such volume.
        """
        if volume not in self._index.get(split, {}):
            raise ValueError(f"{volume}: is not a volume of the split {split!r}; ask for those that it lists")
        for name in self._index[split][volume]:
            try:
                header, labels = self._header(name), self._labels(name)
                yield from self._film(header, labels, self._patient(header, labels, name), name, split)
            except Refused as error:
                yield error.at(self.root / name).refusal

    @cached_property
    def _index(self) -> dict[str, dict[str, list[str]]]:
        """Split -> volume -> its files."""
        first, *others = self.splits()
        if not others:
            return {first: self._files}
        found: dict[str, dict[str, list[str]]] = {}
        for volume, names in self._files.items():
            for name in names:
                try:
                    patient = self._patient(self._header(name), self._labels(name), name)
                    split = split_of(patient, self.shares, self.seed)
                except Refused:
                    split = first
                found.setdefault(split, {}).setdefault(volume, []).append(name)
        return found

    def _patient(self, header: FilmHeader, labels: FilmLabels, name: str) -> str:
        return labels.patient or header.patient or header.study or name

    def _header(self, name: str) -> FilmHeader:
        path = path_below(self.root, name)
        if not path.is_file():  # a pipe would be waited for without end
            raise Refused(
                "it is missing, or it is not a regular file", "correct the label table, or remove it from the folder"
            )
        header = read_film_header(path)
        if header.burned_in and not self._keep_burned_in:
            reason = "Burned In Annotation (0028,0301) is YES: text in its pixels may show the patient's name"
            raise Refused(reason, "mask the text and set the field to NO, or set source.burned_in=keep")
        return header

    def _labels(self, name: str) -> FilmLabels:
        if self._table_name and name not in self._table:
            raise Refused(f"no row of {self._table_name} lists it", "add a row, or remove the file")
        return self._table.get(name, FilmLabels())

    def _film(
        self, header: FilmHeader, labels: FilmLabels, patient: str, name: str, split: str
    ) -> Iterator[Film | Doubt]:
        film, notes = load_film(header)
        yield from (Doubt(note, str(header.path)) for note in (*header.notes, *notes))
        stated = labels.projection is not Projection.UNKNOWN
        record = RadiographRecord(
            source=self.name,
            split=split,
            patient=self._pseudonyms("patient", patient),
            study=self._pseudonyms("study", header.study or name),
            image=self._pseudonyms("image", header.image or name),
            part=labels.part or header.part,
            projection=labels.projection if stated else header.projection,
            side=header.side,
            spacing_mm=header.spacing_mm,
            magnification=header.magnification,
            licence=self.licence,
            findings=labels.findings,
        )
        yield film, record
