from __future__ import annotations

import pytest

from anatomy_clip.core.terms import Modality, Orientation, Protocol, modality_words


@pytest.mark.parametrize(
    ("modality", "protocol", "words"),
    [
        (Modality.CT, Protocol.NONE, "CT"),
        (Modality.MR, Protocol.T2, "MR T2"),
        (Modality.MR, Protocol.FLAIR, "MR FLAIR"),
        (Modality.MR, Protocol.OTHER, "MR"),
        (Modality.MR, Protocol.NONE, "MR"),
    ],
)
def test_modality_words(modality, protocol, words):
    assert modality_words(modality, protocol) == words


def test_terms_are_the_papers():
    assert {p.value for p in Protocol} == {"T1", "T2", "FLAIR", "DWI", "ADC", "STIR", "other", ""}
    assert {o.value for o in Orientation} == {"axial", "coronal", "sagittal"}
    assert str(Orientation.AXIAL) == "axial" and Modality("MR") is Modality.MR
