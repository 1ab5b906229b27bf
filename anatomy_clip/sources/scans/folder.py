"""Any folder of NIfTI or DICOM files, with labels from a table or with none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import ClassVar

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.pseudonyms import Pseudonyms, path_below, walk_files
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.refusals import Doubt, Refusal
from anatomy_clip.core.terms import Modality, Protocol
from anatomy_clip.imaging.densities import Densities, densities
from anatomy_clip.imaging.slices import Slice
from anatomy_clip.sources.scans.dicom_stacks import dicom_stacks
from anatomy_clip.sources.scans.label_table import LabelRow, check_rows, read_table
from anatomy_clip.sources.scans.stacks import Stack, is_nifti, nifti_stacks


class Folder:
    """Slices of every NIfTI and DICOM file below a folder, along the axis that they are stored in.

    With a label table, a volume is what a row calls a path, and only slices that a row covers are taken. Without one,
    a NIfTI file is a volume, and so is a folder that holds other files; its slices are for prediction.

    Args:
        root: the folder; nothing outside is read, not by way of a symbolic link either.
        labels: label table (CSV, see `label_table`), from `root`; None = no labels.
        name: name of the collection, of volumes of which neither the table nor `collections` names another.
        collections: folder below `root` -> name of the collection that it holds, where a folder has several and the
            table has no column `source`; of nested folders the innermost counts.
        split: name of its only split.
        modality: "CT" or "MR", for NIfTI files without a table: their headers don't say.
        salt: key of the hash that patient, study and series ids become. Give it by the environment.
        salt_file: where a salt is kept that is made at random, if none is given; None: another one for each source.
        burned_in: "refuse" or "keep" DICOM series whose header says that text is burned into the pixels.
        taxonomy: name of the taxonomy whose words the table uses.
        licence: licence of the collection.

    Raises:
        ValueError: an unknown modality, neither "refuse" nor "keep", or a fault in the table.
    """

    nifti: ClassVar[bool] = True
    dicom: ClassVar[bool] = True

    def __init__(
        self,
        root: str | Path,
        labels: str | None = None,
        name: str = "folder",
        split: str = "all",
        modality: str | None = None,
        salt: str | None = None,
        salt_file: str | Path | None = None,
        burned_in: str = "refuse",
        taxonomy: str = "whole_body",
        licence: str = "",
        collections: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        if modality is not None and modality not in tuple(Modality):
            raise ValueError(f"source.modality={modality!r}: give one of {', '.join(Modality)}")
        if burned_in not in ("refuse", "keep"):
            raise ValueError(f"source.burned_in={burned_in!r}: give refuse or keep")
        self.root, self.name, self.split, self.licence = Path(root), name, split, licence
        self.collections = {PurePosixPath(folder): collection for folder, collection in collections.items()}
        self.modality = Modality(modality) if modality else None
        self.keep_burned_in = burned_in == "keep"
        self._pseudonyms = Pseudonyms(salt, salt_file)
        self._table_path = self.root / labels if labels else None
        self._table: dict[str, list[LabelRow]] = {}
        if self._table_path:
            table = read_table(self._table_path, Taxonomy.load(taxonomy))
            self._table = {path: rows for path, rows in table.items() if self._takes(path)}

    def splits(self) -> Sequence[str]:
        """The one split."""
        return [self.split]

    def fingerprint(self) -> Mapping[str, str]:
        """What decides the records beside the settings: the table, or the files' names, and the salt; hashed."""
        names = [] if self._table_path else walk_files(self.root)
        table = self._table_path.read_bytes() if self._table_path else b""
        return {
            "labels": sha256(table).hexdigest()[:16],
            "files": self._pseudonyms("files", *names),
            "salt": self._pseudonyms("fingerprint"),
        }

    def volumes(self, split: str) -> Sequence[str]:
        """Paths of files and folders, from the root: the table's, or all that are there.

        Raises:
            ValueError: the root is missing, a row or `collections` names a path that is missing or lies outside, or
                nothing says whether NIfTI files are CT or MR.
        """
        for folder in map(str, self.collections):
            if not path_below(self.root, folder, "source.collections").exists():
                raise ValueError(f"source.collections: no {folder!r} below {self.root}; give folders from the root")
        if self._table_path:
            for path, rows in self._table.items():
                if not path_below(self.root, path, rows[0].where).exists():
                    raise ValueError(f"{rows[0].where}: path {path!r} is missing below {self.root}; correct the row")
            return list(self._table)
        found = (path if is_nifti(path) else str(PurePosixPath(path).parent) for path in walk_files(self.root))
        taken = [path for path in dict.fromkeys(found) if self._takes(path)]
        if any(is_nifti(path) for path in taken):
            self._modality([])
        return taken

    def owner(self, volume: str) -> tuple[str, str]:
        """Source and patient of a volume, as the table gives them; ValueError where it has no row."""
        row = self._rows(volume)[0]
        return row.source or self._collection(volume), row.patient

    def slices(self, split: str, volume: str) -> Iterator[tuple[Slice, SliceRecord] | Refusal | Doubt]:
        """Stream the slices of one volume, the refusals of files of it, and what `describe` notes at such a series.

        Raises:
            ValueError: a file is damaged or lies outside the root, or a label row doesn't fit it.
        """
        rows = self._rows(volume) if self._table_path else []
        items = list(self._stacks(volume, rows))
        stacks = [item for item in items if isinstance(item, Stack)]
        check_rows(rows, {stack.orientation: stack.count for stack in stacks}, {stack.modality for stack in stacks})
        yield from (item for item in items if isinstance(item, Refusal))
        for stack in stacks:
            yield from (Doubt(note, volume) for note in stack.notes)
            yield from self._labelled(stack, rows, volume)

    def _rows(self, volume: str) -> list[LabelRow]:
        if volume not in self._table:
            table = f"row of {self._table_path}" if self._table_path else "label table; set labels"
            raise ValueError(f"{volume}: no {table} lists it")
        return self._table[volume]

    def _stacks(self, volume: str, rows: Sequence[LabelRow]) -> Iterator[Stack | Refusal]:
        path = path_below(self.root, volume, rows[0].where if rows else "")
        if not is_nifti(volume):
            yield from dicom_stacks(self.root, path, volume, bool(rows), self.keep_burned_in)
            return
        modality = self._modality(rows)
        yield from nifti_stacks(path, volume, modality, Protocol.NONE if modality is Modality.CT else Protocol.OTHER)

    def _modality(self, rows: Sequence[LabelRow]) -> Modality:
        """Of NIfTI files: what the table or the settings say."""
        modality = rows[0].modality if rows else self.modality
        if modality is None:
            raise ValueError(
                f"{self.root}: NIfTI files do not state whether they are CT or MR; set source.modality=CT or MR, or "
                "give a table (source.labels)"
            )
        return modality

    def _labelled(
        self, stack: Stack, rows: Sequence[LabelRow], volume: str
    ) -> Iterator[tuple[Slice, SliceRecord] | Refusal | Doubt]:
        """A stack's slices with their records: those that a row covers, or all where there are no rows."""
        row_at = {
            n: row for row in rows if row.orientation is stack.orientation for n in range(row.first, row.last + 1)
        }
        protocol = (rows[0].protocol if rows else Protocol.NONE) or stack.protocol
        record = SliceRecord(
            source=(rows[0].source if rows else "") or self._collection(volume),
            split=self.split,
            patient=self._pseudonyms("patient", rows[0].patient if rows else stack.patient),
            study=self._pseudonyms("study", stack.study),
            series=f"{self._pseudonyms('series', *stack.series)}-{stack.orientation}",
            index=0,
            modality=stack.modality,
            protocol=protocol,
            orientation=stack.orientation,
            licence=self.licence,
        )
        counted = Densities()
        for item in stack.read():
            if isinstance(item, Refusal | Doubt):
                yield item
                continue
            index, image = item
            if stack.modality is Modality.CT:
                counted += densities(image.pixels)
            if rows and index not in row_at:
                continue
            one = replace(record, index=index, spacing_mm=image.spacing_mm, thickness_mm=image.thickness_mm)
            if rows:
                row = row_at[index]
                one = replace(one, organs=row.organs, stations=row.stations, unsure=row.unsure)
            yield replace(image, protocol=protocol), one
        if note := counted.note():
            yield Doubt(note, volume)

    def _collection(self, volume: str) -> str:
        """The name of the innermost of `collections` that a volume lies in."""
        path = PurePosixPath(volume)
        return next((self.collections[at] for at in (path, *path.parents) if at in self.collections), self.name)

    def _takes(self, path: str) -> bool:
        return self.nifti if is_nifti(path) else self.dicom


class NiftiFolder(Folder):
    """The NIfTI files of a folder, and the rows of its table that name such."""

    dicom = False


class DicomFolder(Folder):
    """The DICOM files of a folder, and the rows of its table that name no NIfTI file."""

    nifti = False
