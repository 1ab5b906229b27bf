"""Damaged radiographs and the tables, JSON and XML beside them: each ends as a film or with a reason and a remedy.

A damaged text stands in an otherwise whole collection, so what it names is there.
"""

import io
import json
import shutil
from dataclasses import replace
from functools import cache

import numpy as np
import pydicom
import pytest
from fuzz.harness import count, drive
from fuzz.mutations import mutate
from fuzz.seeds import Seed, _elements
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.uid import JPEG2000Lossless, RLELossless
from sources.radiographs.dicom import dataset
from sources.radiographs.pictures import write_film

from anatomy_clip.core.refusals import Doubt, Refusal
from anatomy_clip.imaging.radiographs import square
from anatomy_clip.sources.radiographs.covid_segm import CovidSegm
from anatomy_clip.sources.radiographs.dicom import DicomFilms
from anatomy_clip.sources.radiographs.folder import FilmFolder
from anatomy_clip.sources.radiographs.nih import NihChestXray14
from anatomy_clip.sources.radiographs.openi import OpenI
from anatomy_clip.sources.radiographs.vqa_rad import IMAGES, QUESTIONS, VqaRad

SHARES = {"all": 1.0}
FILM = "a.png"
LABELS = "path,patient,part,projection,edema\na.png,1,chest,PA,1\n"
NIH = ("Image Index,Finding Labels,Patient ID,View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
       'bbox\na.png,Mass|Edema,1,PA,2000,2500,0.17,0.17,"Mass:10,20,30,40"\n')  # fmt: skip
FILMS = "patientid,finding,view,modality,filename,license,clinical_notes\n1,COVID-19,PA,X-ray,a.png,CC BY,Old.\n"
MASKS = "#,Class,Filename,Mask,Top,Left\n1,COVID-19 Left Lung,a.png,masks/m.png,3,4\n"
ASKED = json.dumps([{"image_name": "a.png", "image_organ": "CHEST", "image_case_url": "x?id=1", "question": "Is it?",
                     "answer": 3, "question_type": "PRES"}])  # fmt: skip
REPORT = ('<?xml version="1.0"?><eCitation><Abstract><AbstractText Label="FINDINGS">Clear.</AbstractText></Abstract>'
          '<parentImage id="a"/></eCitation>')  # fmt: skip
# Name of a text's seed -> where it stands in its collection, and what reads that.
PLACES = {
    "labels": ("labels.csv", lambda root: FilmFolder(root, labels="labels.csv", shares=SHARES, salt="s")),
    "nih": ("labels.csv", lambda root: NihChestXray14(root, shares=SHARES)),
    "films": ("metadata.csv", lambda root: CovidSegm(root, shares=SHARES)),
    "masks": ("structure.csv", lambda root: CovidSegm(root, shares=SHARES)),
    "questions": (QUESTIONS, lambda root: VqaRad(root, shares=SHARES)),
    "report": ("ecgen-radiology/1.xml", lambda root: OpenI(root, shares=SHARES)),
    "film": (FILM, lambda root: FilmFolder(root, shares=SHARES, salt="s")),
    "mask": ("masks/m.png", lambda root: CovidSegm(root, shares=SHARES)),
}


def encoded(data):
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()


def compressed(syntax, **how):
    data = pydicom.dcmread(io.BytesIO(encoded(dataset())))
    data.compress(syntax, **how)
    return data


def dicom_seeds():
    lut = pydicom.Dataset()
    lut.LUTDescriptor, lut.LUTData = [4096, 0, 12], np.arange(4096, dtype="<u2").tobytes()
    lut["LUTDescriptor"].VR, lut["LUTData"].VR = "US", "OW"
    lossless = pydicom.dcmread(get_testdata_file("JPEG-LL.dcm", download=False))
    lossless.Modality, lossless.SOPClassUID = "CR", "1.2.840.10008.5.1.4.1.1.1"
    made = {
        "film": dataset(),
        "film lut": dataset(VOILUTSequence=[lut], PhotometricInterpretation="MONOCHROME1", SOPInstanceUID="1.2"),
        "film padded": dataset(PixelPaddingValue=0, WindowCenter=None, PixelSpacing=[0.1, 0.05]),
        "film rle": compressed(RLELossless),
        "film jpeg 2000": compressed(JPEG2000Lossless, encoding_plugin="pylibjpeg"),
        "film jpeg lossless": lossless,
    }
    seeds = [Seed(name, ".dcm", encoded(data)) for name, data in made.items()]
    return [replace(seed, elements=_elements(seed.data)) for seed in seeds]


def png(pixels):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def text_seeds():
    grey = (np.arange(48 * 40).reshape(48, 40) % 251).astype(np.uint8)
    texts = {"labels": LABELS, "nih": NIH, "films": FILMS, "masks": MASKS, "questions": ASKED, "report": REPORT}
    suffixes = {"questions": ".json", "report": ".xml"}
    seeds = [Seed(name, suffixes.get(name, ".csv"), text.encode()) for name, text in texts.items()]
    return [*seeds, Seed("film", ".png", png(grey)), Seed("mask", ".png", png(grey[:20, :10]))]


DICOM, TEXTS = dicom_seeds(), text_seeds()


@cache
def collection(folder):
    """Whole collections of every kind in one folder: sources read only what is theirs."""
    roots = {}
    for name, (place, _) in PLACES.items():
        root = folder / name
        for film in (FILM,) if name in ("labels", "film") else (f"images/{FILM}", f"{IMAGES}/{FILM}"):
            write_film(root / film)
        if name in ("films", "masks", "mask"):
            for path, text in (("metadata.csv", FILMS), ("structure.csv", MASKS)):
                (root / path).write_text(text)
            (root / "masks").mkdir()
            (root / "masks" / "m.png").write_bytes(TEXTS[-1].data)
        (root / place).parent.mkdir(exist_ok=True)
        roots[name] = root
    return roots


def read(path, seed):
    """(films, reasons) of a collection with the damaged file in it, up to squares."""
    films, reasons = 0, []
    try:
        if seed.suffix == ".dcm":
            source = DicomFilms(path.parent, salt="s")
        else:
            place, make = PLACES[seed.name]
            root = collection(path.parent.with_name(f"{path.parent.name} whole"))[seed.name]
            shutil.copy(path, root / place)
            source = make(root)
        for split in source.splits():
            for volume in source.volumes(split):
                for item in source.films(split, volume):
                    if isinstance(item, Refusal):
                        reasons.append((item.reason, item.remedy and item.where))
                    elif not isinstance(item, Doubt):
                        check(*item)
                        films += 1
    except ValueError as error:  # the contract of a source; whatever else is raised is a fault
        assert "; " in str(error), error
        reasons.append((str(error), "in the message"))
    return films, reasons


def check(film, record):
    assert film.pixels.dtype == np.float32 and 0 <= film.pixels.min() < film.pixels.max() <= 1
    assert all(mask.shape == film.pixels.shape for mask in film.masks.values())
    image, squared, masks = square(film, record, 64)
    assert image.shape == (64, 64) and squared.patient and set(masks) == set(record.masks)
    assert record.spacing_mm is None or min(record.spacing_mm) > 0


@pytest.mark.parametrize("seed", [*DICOM, *TEXTS], ids=lambda seed: f"{seed.name}{seed.suffix}")
def test_what_fuzzing_starts_from_is_whole(tmp_path, seed):
    folder = tmp_path / "x"
    folder.mkdir()
    path = folder / f"file{seed.suffix}"
    path.write_bytes(seed.data)
    assert read(path, seed) == (1, [])


def test_texts_are_damaged_in_ways_of_their_own():
    made = {ways for n in range(300) for _, ways in [mutate(TEXTS[5], np.random.default_rng(n))]}
    assert {"word", "deep", "entities"} <= set("+".join(made).split("+"))


def test_every_damaged_film_ends_as_one_or_with_a_reason(tmp_path):
    drive(read, DICOM, tmp_path, count(300))


def test_every_damaged_text_ends_in_films_or_with_a_reason(tmp_path):
    drive(read, TEXTS, tmp_path, count(300))
