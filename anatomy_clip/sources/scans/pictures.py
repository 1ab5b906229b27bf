"""Single slices as PNG or JPEG files below a folder, with their labels in a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.pseudonyms import Pseudonyms, path_below
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.refusals import Refusal, Refused
from anatomy_clip.imaging.intensity import of_grey
from anatomy_clip.imaging.pictures import read_grey
from anatomy_clip.imaging.slices import Slice
from anatomy_clip.sources.scans.label_table import LabelRow, read_pictures


class Pictures:
    """Labelled slices that are pictures already, of square pixels; a volume is all pictures of one patient of a source.

    Args:
        root: the folder; nothing outside is read, not by way of a symbolic link either.
        labels: label table (CSV, see `label_table.read_pictures`), from `root`.
        name: name of the collection, and the source of rows that name none.
        split: name of its only split.
        window: level and width of the display that renders the slices, HU. CT pictures are windowed already: they get
            HU that this display turns into their own grey values.
        salt: key of the hash that patient, study and series ids become. Give it by the environment.
        salt_file: where a salt is kept that is made at random, if none is given; None: another one for each source.
        taxonomy: name of the taxonomy whose words the table uses.
        licence: licence of the collection.

    Raises:
        ValueError: a window without width, or a fault in the table.
    """

    def __init__(
        self,
        root: str | Path,
        labels: str = "labels.csv",
        name: str = "pictures",
        split: str = "all",
        window: Sequence[float] = (40.0, 400.0),
        salt: str | None = None,
        salt_file: str | Path | None = None,
        taxonomy: str = "whole_body",
        licence: str = "",
    ) -> None:
        if len(window) != 2 or not window[1] > 0:
            raise ValueError(f"source.window={list(window)}: give the level and the width of the display window in HU")
        self.root, self.name, self.split, self.licence = Path(root), name, split, licence
        self.window = (float(window[0]), float(window[1]))
        self._pseudonyms = Pseudonyms(salt, salt_file)
        self._table_path = self.root / labels
        patients: dict[tuple[str, str], list[LabelRow]] = {}
        for row in read_pictures(self._table_path, Taxonomy.load(taxonomy)).values():
            patients.setdefault((row.source or name, row.patient), []).append(row)
        self._volumes = {rows[0].path: rows for rows in patients.values()}

    def splits(self) -> Sequence[str]:
        """The one split."""
        return [self.split]

    def fingerprint(self) -> Mapping[str, str]:
        """What decides the records beside the settings: the table and the salt, hashed."""
        table = sha256(self._table_path.read_bytes()).hexdigest()[:16]
        return {"labels": table, "salt": self._pseudonyms("fingerprint")}

    def volumes(self, split: str) -> Sequence[str]:
        """The first file of each patient, in the table's order."""
        return list(self._volumes)

    def owner(self, volume: str) -> tuple[str, str]:
        """Source and patient of a volume, as the table gives them."""
        row = self._volumes[volume][0]
        return row.source or self.name, row.patient

    def slices(self, split: str, volume: str) -> Iterator[tuple[Slice, SliceRecord] | Refusal]:
        """Yield the pictures of one patient.

        One that is missing, damaged, tiny or huge, or whose row states no orientation, is refused by name.
        """
        for row in self._volumes[volume]:
            if row.orientation is None:
                yield Refusal("its row states no orientation", "fill it in, or remove the row", row.path)
                continue
            try:
                grey = read_grey(path_below(self.root, row.path, row.where))
            except Refused as error:
                yield error.at(row.path).refusal
                continue
            pixels = of_grey(grey, row.modality, *self.window)
            image = Slice(pixels, (1.0, 1.0), 1.0, row.modality, row.protocol, row.orientation)
            yield image, self._record(row, image)

    def _record(self, row: LabelRow, image: Slice) -> SliceRecord:
        return SliceRecord(
            source=row.source or self.name,
            split=self.split,
            patient=self._pseudonyms("patient", row.patient),
            study=self._pseudonyms("study", row.patient),
            series=f"{self._pseudonyms('series', row.path)}-{image.orientation}",
            index=0,
            modality=image.modality,
            protocol=image.protocol,
            orientation=image.orientation,
            licence=self.licence,
            organs=row.organs,
            stations=row.stations,
            unsure=row.unsure,
        )
