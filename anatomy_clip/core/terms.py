"""Modality, MR protocol and orientation: the DICOM standard's terms and their caption words."""

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


def modality_words(modality: Modality, protocol: Protocol) -> str:
    """Word the modality as captions do: "CT", "MR T2", or "MR" where the protocol is not one of the six."""
    named = protocol not in (Protocol.NONE, Protocol.OTHER)
    return f"{modality.value} {protocol.value}" if named else modality.value
