"""Open-I's chest films of Indiana University with their reports (Demner-Fushman et al., JAMIA 2016).

Layout: a report a file, `ecgen-radiology/<n>.xml`, which names its films, and `images/<film>.png`. Words that were
removed are "XXXX".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from anatomy_clip.core.pseudonyms import walk_files
from anatomy_clip.core.radiographs import RadiographRecord
from anatomy_clip.core.refusals import Refusal, Refused
from anatomy_clip.imaging.radiographs import Radiograph
from anatomy_clip.sources.radiographs.base import Film, Listed, ListedFilms
from anatomy_clip.sources.radiographs.pictures import read_film
from anatomy_clip.sources.radiographs.texts import read_xml

REPORTS = "ecgen-radiology"


class OpenI(ListedFilms[Listed]):
    """Chest films with reports; no patient is stated, so that a report stands for one.

    Arguments are those of `ListedFilms`.
    """

    collection = "openi"

    def tables(self) -> Sequence[Path]:
        """The reports."""
        return [self.root / row.image for row in self.rows()]

    def rows(self) -> Iterator[Listed]:
        """The reports' files."""
        for name in walk_files(self.root / REPORTS):
            report = Path(name).stem
            yield Listed(f"{REPORTS}/{name}", report, "", report)

    def film(self, row: Listed, split: str) -> Iterator[Film | Refusal]:
        """Read the films of one report."""
        tree = read_xml(self.path(row.image))
        report: dict[str, str] = {}
        for section in tree.iter("AbstractText"):
            name, text = section.get("Label", "").strip().lower(), " ".join("".join(section.itertext()).split())
            if name and text:
                report[name] = f"{report[name]} {text}" if name in report else text
        images = [image.get("id", "") for image in tree.iter("parentImage")]
        if not images:
            raise Refused("it gives no film (parentImage)", "leave it out")
        for image in images:
            try:
                pixels = read_film(self.path(f"images/{image}.png"))
            except Refused as error:
                yield error.refusal if error.refusal.where else error.at(self.root / row.image).refusal
                continue
            record = RadiographRecord(
                source=self.name,
                split=split,
                patient=row.patient,
                study=row.patient,
                image=image,
                part="chest",
                licence=self.licence,
                report=report,
            )
            yield Radiograph(pixels), record
