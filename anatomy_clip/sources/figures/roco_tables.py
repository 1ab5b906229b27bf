"""Figures of articles with their captions: the on-disk forms of ROCO and ROCOv2, read into one list.

- ROCO (github.com/razorx89/roco-dataset): `data/<split>/<kind>/captions.txt` holds `ROCO_00020<tab> caption`; a line
  that starts otherwise goes on with the caption before. `licences.txt` is a CSV `ROCO_ID,PMC_ID,CC`, its PMC_ID the
  article and the file, "PMC3970251_CRIONM2014-931546.003.jpg". `dlinks.txt` holds
  `id<tab>wget ... PMC3970251.tar.gz ...<tab>file`. Images are `images/ROCO_00020.jpg`, or `images/<PMC_ID>` as newer
  fetch scripts name them.
- The CSV form of ROCO that PubMedCLIP was trained from: `<split>/radiology{train,val,test}data.csv` with
  `id,name,caption`, the name being ROCO's PMC_ID; images in `<split>/radiology/images`.
- ROCOv2 (Zenodo 10821435): `{train,valid,test}_captions.csv` with `ID,Caption`, images `<split>/<ID>.jpg`, and
  `license_information.csv` with `ID`, the article as `PMC...` in one of its other columns, and an attribution.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"(ROCO_\d+)\t(.*)")
_ARTICLE = re.compile(r"PMC0*(\d+)")
_LICENCE = re.compile(r"CC0|CC[ -]BY(?:-NC)?(?:-SA|-ND)?|NO-CC CODE", re.IGNORECASE)


@dataclass(frozen=True)
class Figure:
    """One image of an article.

    Attributes:
        id: the collection's id.
        image: the file; it need not be there.
        caption: as published, spaces joined.
        split: published split: train, validation or test.
        article: "PMC" and its number; empty where the collection doesn't say.
        licence: of the article; empty where the collection doesn't say.
    """

    id: str
    image: Path
    caption: str
    split: str
    article: str
    licence: str


def read_roco(root: Path, kind: str = "radiology") -> list[Figure]:
    """Read ROCO as its repository lays it out.

    Args:
        root: holds `data`.
        kind: "radiology" or "non-radiology".

    Raises:
        ValueError: a split has no captions, or neither licences nor links, or a line is none of the form above.
    """
    figures: list[Figure] = []
    for split in ("train", "validation", "test"):
        folder = root / "data" / split / kind
        names, licences = _origins(folder)
        for id_, caption in _captions(folder / "captions.txt"):
            name = names.get(id_, "")
            image = folder / "images" / f"{id_}.jpg"
            if name and not image.is_file() and (folder / "images" / name).is_file():
                image = folder / "images" / name
            figures.append(Figure(id_, image, caption, split, article_of(name), licences.get(id_, "")))
    return figures


def read_roco_csv(root: Path) -> list[Figure]:
    """Read ROCO in PubMedCLIP's form.

    Args:
        root: holds `train`, `validation` and `test`.

    Raises:
        ValueError: a CSV is missing or lacks a column.
    """
    figures: list[Figure] = []
    for split, word in (("train", "train"), ("validation", "val"), ("test", "test")):
        images = root / split / "radiology" / "images"
        for row in _rows(root / split / f"radiology{word}data.csv", "id", "name", "caption"):
            caption = _joined(row["caption"])
            figures.append(Figure(row["id"], images / row["name"], caption, split, article_of(row["name"]), ""))
    return figures


def read_rocov2(root: Path) -> list[Figure]:
    """Read ROCOv2 as unpacked from Zenodo.

    Args:
        root: holds the captions, the licence information, and `train`, `valid` and `test`.

    Raises:
        ValueError: a CSV is missing or lacks a column.
    """
    origins = {row["ID"]: row for row in _rows(root / "license_information.csv", "ID")}
    figures: list[Figure] = []
    for word, split in (("train", "train"), ("valid", "validation"), ("test", "test")):
        for row in _rows(root / f"{word}_captions.csv", "ID", "Caption"):
            origin = " ".join(value for key, value in origins.get(row["ID"], {}).items() if key != "ID")
            image = root / word / f"{row['ID']}.jpg"
            figures.append(
                Figure(row["ID"], image, _joined(row["Caption"]), split, article_of(origin), _licence_of(origin))
            )
    return figures


def check_figures(figures: Sequence[Figure], root: Path) -> None:
    """Refuse a list that names one figure twice, or a file outside the collection.

    Raises:
        ValueError: names the figure.
    """
    seen: set[str] = set()
    for figure in figures:
        if figure.id in seen:
            raise ValueError(f"{root}: figure {figure.id} is there twice; unpack the collection again")
        if not figure.image.is_relative_to(root) or ".." in figure.image.relative_to(root).parts:
            raise ValueError(
                f"{root}: figure {figure.id} gives the file {figure.image}, which is outside of the collection"
            )
        seen.add(figure.id)


def article_of(text: str) -> str:
    """The PubMed Central id in a text, "PMC" and its number; empty if there is none."""
    found = _ARTICLE.search(text)
    return f"PMC{found.group(1)}" if found else ""


def _licence_of(text: str) -> str:
    found = _LICENCE.search(text)
    return found.group().upper() if found else ""


def _captions(path: Path) -> Iterator[tuple[str, str]]:
    """(Id, caption) of each figure in a captions.txt."""
    id_, parts = "", [""]
    for number, line in enumerate(_lines(path), start=1):
        found = _LINE.fullmatch(line)
        if found and id_:
            yield id_, _joined(" ".join(parts))
        if found:
            id_, parts = found.group(1), [found.group(2)]
        elif id_:
            parts.append(line)
        elif line.strip():
            raise ValueError(f"{path}, line {number}: {line[:40]!r} isn't 'ROCO_<number><tab>caption'")
    if id_:
        yield id_, _joined(" ".join(parts))


def _origins(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Id -> article and file name ("PMC1_a.jpg"), and id -> licence, from whatever files the folder has."""
    names: dict[str, str] = {}
    licences: dict[str, str] = {}
    table, links = folder / "licences.txt", folder / "dlinks.txt"
    if not table.is_file() and not links.is_file():
        raise ValueError(
            f"{folder}: has neither licences.txt nor dlinks.txt, so the article of an image is not known; download "
            "ROCO again"
        )
    if links.is_file():
        for line in _lines(links):
            id_, *rest = line.split("\t")
            names[id_] = f"{article_of(line)}_{rest[-1].strip()}" if rest and article_of(line) else ""
    if table.is_file():
        for row in _rows(table, "ROCO_ID", "PMC_ID", "CC"):
            names[row["ROCO_ID"]], licences[row["ROCO_ID"]] = row["PMC_ID"], _licence_of(row["CC"])
    return names, licences


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        raise ValueError(f"{path}: the file is missing; unpack the collection there, or set source.root") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from error


def _rows(path: Path, *columns: str) -> Iterator[Mapping[str, str]]:
    """Rows of a CSV that has these columns; names and values without spaces round them."""
    reader = csv.DictReader(line + "\n" for line in _lines(path))
    names = [name.strip() for name in reader.fieldnames or ()]
    missing = [column for column in columns if column not in names]
    if missing:
        raise ValueError(f"{path}: has no column {' or '.join(missing)}; its columns are {', '.join(names) or 'none'}")
    for row in reader:
        # A row that is too long has its rest under None, one that is too short None for a value.
        yield {key.strip(): (value or "").strip() for key, value in row.items() if key is not None}


def _joined(text: str) -> str:
    return " ".join(text.split())
