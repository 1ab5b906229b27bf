"""Captions in the free style of publications, written by a small grammar."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from anatomy_clip.anatomy.labels import organs_in
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Protocol

MAX_WORDS = 38  # fewer than CLIP's 77 tokens with room for long words

_CT = (
    "CT",
    "CT scan",
    "computed tomography",
    "computed tomography scan",
    "CT image",
    "contrast-enhanced CT",
    "CECT",
)
_MR = ("MRI", "magnetic resonance imaging", "MR image", "magnetic resonance image", "MRI scan")
_WEIGHTED = {
    Protocol.T1: ("T1-weighted MRI", "T1-weighted image", "T1 MRI", "T1W sequence"),
    Protocol.T2: ("T2-weighted MRI", "T2-weighted image", "T2 MRI", "T2W sequence"),
    Protocol.FLAIR: ("FLAIR image", "FLAIR MRI", "fluid-attenuated inversion recovery image"),
    Protocol.STIR: ("STIR image", "STIR sequence", "fat-suppressed MRI"),
    Protocol.DWI: ("diffusion-weighted image", "DWI", "diffusion-weighted MRI"),
    Protocol.ADC: ("ADC map", "apparent diffusion coefficient map"),
}
# Words of an organ as papers use them; most are the organ's own, some a part of it.
_WORDS = {
    "brain": ("brain", "brain", "cerebrum"),
    "neck": ("neck", "neck", "thyroid"),
    "lungs": ("lungs", "lung", "thorax"),
    "kidneys": ("kidneys", "kidney", "left kidney", "right kidney"),
    "intestine": ("bowel", "intestine", "small bowel", "colon"),
    "pelvic bone": ("pelvic bone", "hip bone", "ilium"),
    "thigh": ("thigh", "femur"),
    "leg": ("leg", "calf", "tibia"),
    "forearm": ("forearm", "radius"),
}
_STATION_WORDS = ("abdomen", "chest", "pelvis", "head", "lower limbs")
_LESIONS = (
    "a hypodense lesion", "a well-defined mass", "an enhancing mass", "multiple nodules", "a cystic lesion",
    "a small calcification", "a large tumour", "an abscess", "a focal abnormality", "a heterogeneous mass",
    "metastases", "a haematoma", "oedema", "inflammatory changes", "a foreign body",
)  # fmt: skip
_PLACELESS = (
    "free fluid", "lymphadenopathy", "a soft tissue mass", "a fracture", "postoperative changes", "no abnormality",
    "complete resolution of the lesion", "progression of disease", "a fluid collection", "an aneurysm",
    "atrophy", "a fistula", "thrombosis", "diffuse infiltration", "bone destruction",
)  # fmt: skip
_EMPTY = (
    "Preoperative imaging.", "Follow-up after six months.", "Imaging at presentation.", "Postoperative result.",
    "Case 2.", "Initial examination of the patient.", "Response to treatment after three cycles.",
    "Radiological findings.", "See text for details.", "Same patient as in the previous figure.",
    "Measurement of the lesion.", "Comparison before and after surgery.", "Imaging findings on admission.",
)  # fmt: skip
_WHO = ("man", "woman", "male patient", "female patient", "patient", "man", "woman")
_CHILD = ("boy", "girl", "child", "patient")
_SHOWS = ("showing", "demonstrating", "revealing", "with", "shows", "demonstrates", "depicting")
_MARKED = {
    "arrow": ("(arrow)", "(white arrow)", "(black arrow)", "(red arrow)"),
    "arrows": ("(arrows)", "(white arrows)"),
    "arrowhead": ("(arrowhead)",),
    "asterisk": ("(asterisk)", "(*)"),
    "circle": ("(circle)", "(circled)"),
    "": ("",),
}


def write_caption(records: Sequence[SliceRecord], marks: Sequence[str], rng: np.random.Generator) -> str:
    """Write the caption of a figure.

    Args:
        records: one record a panel.
        marks: what each panel is marked with: "", arrow, arrows, arrowhead, asterisk or circle.
        rng: generator.
    """
    if rng.uniform() < 0.12:
        return _pick(_EMPTY, rng)
    if len(records) == 1 or rng.uniform() < 0.4:
        return _cut(_sentence(records[0], marks[0], rng))
    parts = [
        f"({chr(ord('a') + k)}) {_sentence(record, mark, rng, short=True)}"
        for k, (record, mark) in enumerate(zip(records, marks, strict=True))
    ]
    return _cut(" ".join(parts))


def _sentence(record: SliceRecord, mark: str, rng: np.random.Generator, *, short: bool = False) -> str:
    words = [_modality(record, rng)]
    if rng.uniform() < 0.55:
        words.insert(0, record.orientation.value)
    organ = _organ(record, rng)
    named = bool(organ) and rng.uniform() < 0.5
    if named:
        words += ["of the", organ]
    elif rng.uniform() < 0.06:
        words += ["of the", _pick(_STATION_WORDS, rng)]
    if not short and rng.uniform() < 0.3:
        age = int(rng.integers(4, 90))
        article = "an" if age in (11, 18) or age // 10 == 8 else "a"
        words += [
            f"{'in' if named else 'of'} {article} {age}-year-old",
            _pick(_CHILD if age < 16 else _WHO, rng),
        ]
    if mark or rng.uniform() < 0.55:
        words += [_pick(_SHOWS, rng), _finding(organ, named, rng), _pick(_MARKED[mark], rng)]
    text = " ".join(word for word in words if word)
    return f"{text[0].upper()}{text[1:]}."


def _modality(record: SliceRecord, rng: np.random.Generator) -> str:
    if record.modality is Modality.CT:
        return _pick(_CT, rng)
    if record.protocol in _WEIGHTED and rng.uniform() < 0.6:
        return _pick(_WEIGHTED[record.protocol], rng)
    return _pick(_MR, rng)


def _organ(record: SliceRecord, rng: np.random.Generator) -> str:
    """One organ that the picture shows (often the largest), seldom a wrong one, in the words of papers."""
    taxonomy = _taxonomy()
    organs = organs_in(record, taxonomy)
    if rng.uniform() < 0.04:
        organs = taxonomy.organs
    if not organs:
        return ""
    organ = _pick(organs, rng)
    return _pick(_WORDS.get(organ, (organ,)), rng)


def _finding(organ: str, named: bool, rng: np.random.Generator) -> str:
    if organ and not named and rng.uniform() < 0.45:
        return f"{_pick(_LESIONS, rng)} in the {organ}"
    return _pick(_LESIONS + _PLACELESS, rng)


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _cut(text: str) -> str:
    words = text.split()
    return text if len(words) <= MAX_WORDS else " ".join(words[:MAX_WORDS]).rstrip(",.") + "."


@cache
def _taxonomy() -> Taxonomy:
    return Taxonomy.load("whole_body")
