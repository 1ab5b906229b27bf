"""VQA-RAD (Lau et al., Scientific Data 2018): pictures of teaching cases with questions that clinicians asked.

Layout: `VQA_RAD Dataset Public.json` and `VQA_RAD Image Folder/`. Published test questions are about pictures that
training questions are about too, so films are split by case here, with all their questions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anatomy_clip.core.pseudonyms import walk_files
from anatomy_clip.core.radiographs import Question, RadiographRecord
from anatomy_clip.core.refusals import Refused
from anatomy_clip.imaging.radiographs import Radiograph
from anatomy_clip.sources.radiographs.base import Film, Listed, ListedFilms
from anatomy_clip.sources.radiographs.pictures import read_film
from anatomy_clip.sources.radiographs.texts import read_json

QUESTIONS, IMAGES = "VQA_RAD Dataset Public.json", "VQA_RAD Image Folder"
PARTS = {"HEAD": "head", "CHEST": "chest", "ABD": "abdomen"}
# Question type -> kind; spellings as they stand in the file.
KINDS = {
    "PRES": "presence", "PRSE": "presence", "POS": "position", "ABN": "abnormality", "MODALITY": "modality",
    "SIZE": "size", "PLANE": "view", "ATTRIB": "attribute", "ATRIB": "attribute", "ORGAN": "organ", "COLOR": "color",
    "COUNT": "number", "OTHER": "other",
}  # fmt: skip
_FIELDS = ("image_name", "image_organ", "image_case_url", "question", "answer", "question_type")


@dataclass(frozen=True, slots=True)
class VqaRow(Listed):
    """One picture: the part that it shows, and all questions about it."""

    part: str
    questions: tuple[Question, ...]


class VqaRad(ListedFilms[VqaRow]):
    """Pictures of VQA-RAD, CT and MR among them.

    Arguments are those of `ListedFilms`.
    """

    collection = "vqa_rad"

    def tables(self) -> Sequence[Path]:
        """The questions."""
        return [self.root / QUESTIONS]

    def rows(self) -> Iterator[VqaRow]:
        """Every picture that a question is about, and every file without a question."""
        entries = _entries(self.root / QUESTIONS)
        cases = _cases((entry["image_name"], entry["image_case_url"]) for entry in entries)
        asked: defaultdict[str, list[Question]] = defaultdict(list)
        parts = {}
        for entry in entries:
            parts[entry["image_name"]] = PARTS[entry["image_organ"]]
            question = Question(_kind(entry["question_type"]), entry["question"], entry["answer"])
            asked[entry["image_name"]].append(question)
        for image in dict.fromkeys([*asked, *walk_files(self.root / IMAGES)]):
            case = cases.get(image, image)
            yield VqaRow(f"{IMAGES}/{image}", case, "", case, parts.get(image, ""), tuple(asked.get(image, ())))

    def film(self, row: VqaRow, split: str) -> Iterator[Film]:
        """Read one picture."""
        if not row.questions:
            raise Refused(f"no question in {QUESTIONS} is about it", "leave it out")
        image = Path(row.image).name
        record = RadiographRecord(
            source=self.name,
            split=split,
            patient=row.patient,
            study=row.patient,
            image=image,
            part=row.part,
            licence=self.licence,
            questions=row.questions,
        )
        yield Radiograph(read_film(self.path(row.image))), record


def _entries(path: Path) -> list[dict[str, str]]:
    """The file's questions, their fields as text without blanks around them: some answers are numbers."""
    found: Any = read_json(path)
    if not isinstance(found, list):
        raise Refused("it contains no list of questions", "fetch the collection again", path)
    entries = []
    for number, entry in enumerate(found):
        where = f"{path}, question {number}"
        if not isinstance(entry, dict) or any(not isinstance(entry.get(name), str | int | float) for name in _FIELDS):
            raise Refused(f"one of {', '.join(_FIELDS)} is missing or not text", "correct it", where)
        entries.append({name: str(entry[name]).strip() for name in _FIELDS})
        if entries[-1]["image_organ"] not in PARTS:
            raise Refused(f"image_organ is not one of {', '.join(PARTS)}", "correct it", where)
    return entries


def _kind(types: str) -> str:
    """The kind of a question; of several types the first counts."""
    return KINDS.get(types.split(",")[0].strip().upper(), "other")


def _cases(pairs: Iterator[tuple[str, str]] | Sequence[tuple[str, str]]) -> dict[str, str]:
    """Picture -> its case, by whichever address comes first of all that lead to it or to pictures of the same case."""
    case_of: dict[str, str] = {}  # picture or address -> case
    for image, url in pairs:
        old = case_of.get(image)
        case = case_of.get(url) or old or url.rpartition("id=")[2]
        if old and old != case:  # two cases turn out to be one
            case_of = {name: case if of == old else of for name, of in case_of.items()}
        case_of[image] = case_of[url] = case
    return case_of
