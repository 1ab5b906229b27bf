"""Terms of images and reports: modality, MR protocol, orientation and their caption words; projection, side, state."""

from __future__ import annotations

from enum import StrEnum


class Modality(StrEnum):
    """Modality (0008,0060); the two that the paper uses."""

    CT = "CT"
    MR = "MR"


class Protocol(StrEnum):
    """MR protocol of a slice; `NONE` for CT, `OTHER` where an MR is none of the six."""

    T1 = "T1"
    T2 = "T2"
    FLAIR = "FLAIR"
    DWI = "DWI"
    ADC = "ADC"
    STIR = "STIR"
    OTHER = "other"
    NONE = ""


class Orientation(StrEnum):
    """The anatomical plane nearest to the slice."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


class Projection(StrEnum):
    """How a radiograph's beam runs."""

    PA = "PA"
    AP = "AP"
    LATERAL = "lateral"
    OTHER = "other"
    UNKNOWN = ""


class Side(StrEnum):
    """The patient's side."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"


class State(StrEnum):
    """Whether a finding is stated; where a text's sentences differ the earlier one wins, as in CheXpert's labeller."""

    POSITIVE = "positive"
    UNCERTAIN = "uncertain"
    NEGATIVE = "negative"
    UNMENTIONED = "unmentioned"


class Visibility(StrEnum):
    """How well a film shows a finding that is there."""

    CLEAR = "clear"
    SUBTLE = "subtle"
    INVISIBLE = "invisible"


def modality_words(modality: Modality, protocol: Protocol) -> str:
    """Word the modality as captions do: "CT", "MR T2", or "MR" where the protocol is not one of the six."""
    named = protocol not in (Protocol.NONE, Protocol.OTHER)
    return f"{modality.value} {protocol.value}" if named else modality.value
