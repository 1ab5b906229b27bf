"""Draws of labelled patients: in proportion, each within the next, enlarged until enough films are positive."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from anatomy_clip.stores.label_shares import draw_share

PATIENTS, FILMS = 200, 3
OWNERS = [("s", f"p{n // FILMS}") for n in range(PATIENTS * FILMS)]


def some_labels(positive=0.1):
    """A tenth of the patients show it, on two of three films; of the third film nothing is known."""
    labels = np.zeros(len(OWNERS), np.int8)
    for patient in range(round(PATIENTS * positive)):
        labels[patient * FILMS : patient * FILMS + 2] = 1
    labels[2::FILMS] = -1
    return labels


def drawn(labels, share, least=0, seed=0):
    """The owners that were drawn; all their known films must be, and no other."""
    rows = draw_share(OWNERS, labels, share, least, seed)
    owners = {OWNERS[n] for n in np.flatnonzero(rows)}
    assert [bool(row) for row in rows] == [
        label >= 0 and owner in owners for owner, label in zip(OWNERS, labels, strict=True)
    ]
    return owners


def test_each_share_lies_within_the_next_and_holds_both_kinds_of_patients_in_proportion():
    labels, shares = some_labels(), (0.05, 0.1, 0.3, 1.0)
    found = [drawn(labels, share) for share in shares]
    assert [len(one) for one in found] == [round(share * PATIENTS) for share in shares]
    assert all(small < large for small, large in pairwise(found))
    sick = {OWNERS[n] for n in np.flatnonzero(labels == 1)}
    for share, one in zip(shares, found, strict=True):
        assert abs(len(one & sick) - share * len(sick)) <= 1
    assert drawn(labels, 0.1) == found[1] and drawn(labels, 0.1, seed=1) != found[1]


@pytest.mark.parametrize(("least", "patients"), [(1, 1), (10, 5), (11, 6), (1000, 20)])
def test_a_share_is_enlarged_to_the_smallest_that_has_the_positives(least, patients):
    labels = some_labels()
    one = drawn(labels, 0.005, least)
    sick = [owner for owner in one if labels[OWNERS.index(owner)] == 1]
    assert len(sick) == patients  # two films each
    if least == 1000:
        assert len(one) == PATIENTS  # all there are
    else:  # no smaller share has as many: one patient less of the same order has one sick patient less
        smaller = next(n for n in range(1, PATIENTS) if drawn(labels, n / PATIENTS) == one) - 1
        assert smaller == 0 or sum(labels[OWNERS.index(o)] == 1 for o in drawn(labels, smaller / PATIENTS)) < patients


def test_patients_of_whom_nothing_is_known_have_no_part():
    labels = some_labels()
    labels[: 30 * FILMS] = -1
    labels[60 * FILMS] = 1
    one = drawn(labels, 1.0)
    assert len(one) == PATIENTS - 30 and ("s", "p0") not in one


def test_every_patient_is_drawn_about_as_often_as_any_other():
    counts = Counter(owner for seed in range(300) for owner in drawn(some_labels(), 0.1, seed=seed))
    assert len(counts) == PATIENTS and max(counts.values()) < 3 * 300 * 0.1
