"""Muscles that grow into the fat between them, against a plain nearest-belly search."""

import numpy as np

from anatomy_clip.sources.phantom.muscles import fill_compartments
from anatomy_clip.sources.phantom.source import PhantomSource
from anatomy_clip.sources.phantom.structures import STRUCTURES

ID = {one.name: n for n, one in reversed(list(enumerate(STRUCTURES)))}
FAT, MUSCLE, SKIN_FAT = ID["intermuscular_fat"], ID["skeletal_muscle"], ID["subcutaneous_fat"]
GLUTEUS = ID["gluteus_maximus_left"]


def limb():
    """A ring of subcutaneous fat, fat within, and two bellies."""
    y, x = np.mgrid[-30:31, -30:31]
    labels = np.full(y.shape, SKIN_FAT, np.uint8)
    labels[np.hypot(y, x) < 26] = FAT
    labels[np.hypot(y, x + 12) < 8] = MUSCLE
    labels[np.hypot(y, x - 12) < 8] = GLUTEUS
    return labels


def test_all_fat_between_muscles_becomes_the_nearest_belly():
    labels = limb()
    grown = fill_compartments(labels, (1.0, 1.0), 0.0)
    left, right = np.argwhere(labels == MUSCLE), np.argwhere(labels == GLUTEUS)
    for at in np.argwhere(labels == FAT):
        near = [np.sqrt(((group - at) ** 2).sum(axis=1)).min() for group in (left, right)]
        if abs(near[0] - near[1]) > 1:  # OpenCV's distances are good to a few percent
            assert grown[tuple(at)] == (MUSCLE, GLUTEUS)[int(np.argmin(near))]
    other = labels != FAT
    assert (grown[other] == labels[other]).all()


def test_a_septum_of_the_given_width_stays_between_two_muscles():
    grown = fill_compartments(limb(), (0.5, 0.5), 2.0)
    middle = grown[30, 18:43]
    width = (middle == FAT).sum() * 0.5
    assert 1.5 <= width <= 3.0
    assert grown[30, 26] == MUSCLE and grown[30, 34] == GLUTEUS


def test_without_muscle_or_without_fat_nothing_changes():
    labels = np.full((8, 8), FAT, np.uint8)
    assert fill_compartments(labels, (1.0, 1.0), 1.0) is labels
    labels = np.full((8, 8), MUSCLE, np.uint8)
    assert fill_compartments(labels, (1.0, 1.0), 1.0) is labels


def test_a_cohort_of_filled_muscles_has_less_fat_between_them():
    def fat(filled_share):
        cohort = {"patients": 1, "series_per_patient": 12, "filled_share": filled_share, "septum_mm": [0, 0]}
        source = PhantomSource({"train": cohort}, pixels=64)
        return sum(r.structures.get("intermuscular_fat", 0) for _, r in source.slices("train", "phantom-train-00000"))

    assert fat(1.0) < 0.5 * fat(0.0)
