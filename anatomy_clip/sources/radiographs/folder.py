"""Any folder of PNG and JPEG films, labelled by a table, by the folders that they lie in, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from anatomy_clip.core.pseudonyms import Pseudonyms, walk_files
from anatomy_clip.core.radiographs import RadiographRecord
from anatomy_clip.core.refusals import Refused
from anatomy_clip.imaging.radiographs import Radiograph
from anatomy_clip.sources.radiographs.base import Film, Listed, ListedFilms
from anatomy_clip.sources.radiographs.labels import FilmLabels, read_labels
from anatomy_clip.sources.radiographs.pictures import read_film

_TOGETHER = 50  # films of unknown patients that make a volume


@dataclass(frozen=True, slots=True)
class FolderRow(Listed):
    """One file; `labels` is None where the table has no row of it."""

    labels: FilmLabels | None


class FilmFolder(ListedFilms[FolderRow]):
    """The films below a folder.

    Args:
        root: the folder; nothing outside is read, not by way of a symbolic link either.
        labels: label table (CSV, see `labels.read_labels`), from `root`; a file without a row is refused. None: none.
        parts: first folder below the root -> the part that its films show; where a table names one, that holds.
        name: name of the collection.
        shares: split -> share of the patients. A film whose patient isn't stated is split by itself.
        seed: of that split.
        salt: key of the hash that patient and image ids become. Give it by the environment.
        salt_file: where a salt is kept that is made at random, if none is given; None: another one for each source.
        licence: licence of the collection.
    """

    collection = "film_folder"

    def __init__(
        self,
        root: str | Path,
        labels: str | None = None,
        parts: Mapping[str, str] | None = None,
        name: str = "",
        shares: Mapping[str, float] | None = None,
        seed: int = 0,
        salt: str | None = None,
        salt_file: str | Path | None = None,
        licence: str = "",
    ) -> None:
        super().__init__(root, name, shares, seed, licence)
        self._labels, self._parts = labels, dict(parts or {})
        self._pseudonyms = Pseudonyms(salt, salt_file)

    def tables(self) -> Sequence[Path]:
        """The label table, where there is one."""
        return [self.root / self._labels] if self._labels else []

    def fingerprint(self) -> Mapping[str, str]:
        """What decides the records beside the settings: the table, the files' names, and the salt; hashed."""
        files = self._pseudonyms("files", *walk_files(self.root))
        return {**super().fingerprint(), "files": files, "salt": self._pseudonyms("fingerprint")}

    def rows(self) -> Iterator[FolderRow]:
        """Every file, and every row whose file is missing."""
        table = read_labels(self.root / self._labels) if self._labels else {}
        files = [name for name in walk_files(self.root) if name != self._labels]
        for number, image in enumerate(dict.fromkeys([*files, *table])):
            labels = table.get(image) if self._labels else FilmLabels()
            patient = labels.patient if labels else ""
            volume = self._pseudonyms("patient", patient) if patient else f"films {number // _TOGETHER * _TOGETHER}"
            yield FolderRow(image, patient or image, "", volume, labels)

    def film(self, row: FolderRow, split: str) -> Iterator[Film]:
        """Read one film."""
        if row.labels is None:
            raise Refused(f"no row of {self._labels} lists it", "add a row, or remove the file")
        pixels = read_film(self.path(row.image))
        record = RadiographRecord(
            source=self.name,
            split=split,
            patient=self._pseudonyms("patient", row.patient),
            study=self._pseudonyms("image", row.image),
            image=self._pseudonyms("image", row.image),
            part=row.labels.part or self._parts.get(PurePosixPath(row.image).parts[0], ""),
            projection=row.labels.projection,
            licence=self.licence,
            findings=row.labels.findings,
        )
        yield Radiograph(pixels), record
