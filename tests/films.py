"""Stores of a few small films with reports."""

import numpy as np

from anatomy_clip.core.radiographs import Finding, RadiographRecord
from anatomy_clip.core.terms import Projection, Side, State, Visibility
from anatomy_clip.stores.store import write_store

SIDE = 32
REPORTS = (
    {"findings": "The heart is normal. There is a small left pleural effusion.", "impression": "Left effusion."},
    {"findings": "Lungs are clear. No pneumothorax.", "impression": "Normal."},
)
FINDINGS = (
    {"pleural_effusion": Finding(State.POSITIVE, Side.LEFT), "cardiomegaly": Finding(State.NEGATIVE)},
    {"pneumothorax": Finding(State.NEGATIVE), "nodule": Finding(State.POSITIVE, visibility=Visibility.INVISIBLE)},
)


def make_record(number, split="train", **changes):
    """The n-th film: even ones show an effusion on the left, odd ones nothing."""
    which = number % 2
    known = {
        "patient": f"{split}-{number}",
        "study": f"s{number}",
        "image": f"f{number}",
        "findings": FINDINGS[which],
        "report": REPORTS[which],
        "part": "chest",
        "projection": Projection.PA,
    }
    return RadiographRecord(source="films", split=split, **known | changes)


def make_film_store(path, count=8, **changes):
    """A store of films of random pixels, a patient each; its split is the folder's name."""
    records = [make_record(number, path.name, **changes) for number in range(count)]
    seed = sum(map(ord, path.name))
    write_store(path, np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE), np.uint8), records, {})
    return path
