"""The MR protocol of a frame from ranked evidence: what the scanner says it did, then how, then what people wrote."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import acos, degrees, exp

from anatomy_clip.core.terms import Protocol
from anatomy_clip.imaging.dicom.fields import Fields, named

Verdict = tuple[Protocol, str]

# Acquisition Contrast (0008,9209), PS3.3 C.8.13.3.1.1; UNKNOWN and MIXED say nothing.
_CONTRASTS = {
    "T1": Protocol.T1,
    "T2": Protocol.T2,
    "FLUID_ATTENUATED": Protocol.FLAIR,
    "STIR": Protocol.STIR,
    "DIFFUSION": Protocol.DWI,
    **dict.fromkeys(("PROTON_DENSITY", "T2_STAR", "PERFUSION", "TOF", "FLOW_ENCODED", "TAGGING"), Protocol.OTHER),
}
# Words of Image Type (0008,0008): maps that are computed, and images that show no plain contrast.
_DERIVED = {"FA", "EADC", "EXP", "TENSOR", "COLFA", "PERFUSION", "SWI", "PHASE MAP", "T1 MAP", "T2 MAP", "T2_STAR MAP"}
_DIFFUSION = {"DIFFUSION", "TRACEW", "TRACE"}
# What people write, the more telling word first. A word must not begin inside another ("st1" is no T1).
_WORDS = (
    (Protocol.ADC, r"adc|apparent.?diffusion"),
    (Protocol.DWI, r"dwi|dti|diff|ep2d.?diff|trace"),
    (Protocol.T1, r"t1.{0,6}flair"),
    (Protocol.FLAIR, r"(t2.?)?flair|dark.?fluid"),
    (Protocol.STIR, r"stir"),
    (Protocol.OTHER, r"t2.?(\*|star|gre)|swi|medic|hemo|bold|fmri|tof|pd(?![a-z])|proton|survey|scout|locali[sz]er"),
    (Protocol.T1, r"t1|mp.?rage|spgr|bravo|vibe|thrive|lava"),
    (Protocol.T2, r"t2|haste|ssfse|blade"),
)
_BRAIN_T1_MS = 1000.0  # of soft tissue, roughly; enough to tell a flip angle above Ernst's from one below


@dataclass(frozen=True)
class Facts:
    """What a header says about an MR frame.

    Attributes:
        frame_type: words of Frame Type or Image Type.
        contrast: Acquisition Contrast.
        b_value: diffusion weighting, s/mm2; None where not stated.
        b_source: the field that stated it.
        sequence: SE, GR, EP, IR as in Scanning Sequence.
        variant: words of Sequence Variant; SP is spoiled.
        tr, te, ti: repetition, echo and inversion time, ms.
        flip: flip angle, degrees.
        written: (field, text) that people wrote; kept out of `repr`.
    """

    frame_type: tuple[str, ...] = ()
    contrast: str = ""
    b_value: float | None = None
    b_source: str = ""
    sequence: frozenset[str] = frozenset()
    variant: frozenset[str] = frozenset()
    tr: float | None = None
    te: float | None = None
    ti: float | None = None
    flip: float | None = None
    written: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def facts(fields: Fields, b_value: float | None, b_source: str) -> Facts:
    """Gather what a frame's header says, classic or Enhanced.

    Raises:
        Refused: a field doesn't hold what its VR promises.
    """
    enhanced = {"SPIN": {"SE"}, "GRADIENT": {"GR"}, "BOTH": {"SE", "GR"}}.get(fields.text("EchoPulseSequence"), set())
    if fields.text("EchoPlanarPulseSequence") == "YES":
        enhanced = enhanced | {"EP"}
    if fields.text("InversionRecovery") == "YES":
        enhanced = enhanced | {"IR"}
    spoiled = {"SP"} if fields.text("Spoiling") in ("RF", "RF_AND_GRADIENT") else set()
    keywords = ("SeriesDescription", "ProtocolName", "PulseSequenceName", "SequenceName")
    return Facts(
        fields.frame_type(),
        fields.text("AcquisitionContrast").upper(),
        b_value,
        b_source,
        frozenset(fields.texts("ScanningSequence")) | enhanced,
        frozenset(fields.texts("SequenceVariant")) | spoiled,
        fields.number("RepetitionTime"),
        fields.number("EffectiveEchoTime") or fields.number("EchoTime"),
        fields.number("InversionTimes") or fields.number("InversionTime"),
        fields.number("FlipAngle"),
        tuple((named(keyword), fields.text(keyword).lower()) for keyword in keywords if fields.text(keyword)),
    )


def decide(said: Facts) -> Verdict:
    """Name the protocol of an MR frame.

    Returns:
        The protocol and the evidence that decided it: the field, and what in it. `Protocol.OTHER` where nothing does.
    """
    for rule in _RULES:
        verdict = rule(said)
        if verdict is not None:
            return verdict
    return Protocol.OTHER, "no header field names one of the six protocols"


def _by_contrast(said: Facts) -> Verdict | None:
    protocol = _CONTRASTS.get(said.contrast)
    if protocol is None:
        return None
    if protocol is Protocol.DWI and (verdict := _by_map(said)):
        return verdict
    return protocol, f"{named('AcquisitionContrast')} is {said.contrast}"


def _by_map(said: Facts) -> Verdict | None:
    """A computed map keeps the b-value of the images it came from, so it is looked for before."""
    words = set(said.frame_type)
    if "ADC" in words:
        return Protocol.ADC, f"{named('ImageType')} holds ADC"
    other = sorted(words & _DERIVED)
    return (Protocol.OTHER, f"{named('ImageType')} holds {other[0]}") if other else None


def _by_b_value(said: Facts) -> Verdict | None:
    # A b-value of 0 is written into plain series too: alone it proves nothing.
    if not said.b_value:
        return None
    return _by_map(said) or (Protocol.DWI, f"{said.b_source} is {said.b_value:g}")


def _by_image_type(said: Facts) -> Verdict | None:
    words = sorted(set(said.frame_type) & _DIFFUSION)
    return _by_map(said) or ((Protocol.DWI, f"{named('ImageType')} holds {words[0]}") if words else None)


def _by_timing(said: Facts) -> Verdict | None:
    """Textbook ranges, left open between them: what lies there is left to the descriptions."""
    if said.te is None or said.tr is None or "EP" in said.sequence:
        return None
    protocol = _inverted(said) if said.ti else _spin_echo(said) if "SE" in said.sequence else _gradient_echo(said)
    if protocol is None:
        return None
    times = [("InversionTime", said.ti), ("EchoTime", said.te), ("RepetitionTime", said.tr)]
    stated = ", ".join(f"{named(keyword)} {ms:g} ms" for keyword, ms in times if ms)
    return protocol, f"{named('ScanningSequence')} {'/'.join(sorted(said.sequence))}, {stated}"


def _inverted(said: Facts) -> Protocol | None:
    te, ti = said.te or 0.0, said.ti or 0.0
    if ti >= 1500 and te >= 70:
        return Protocol.FLAIR
    if ti <= 300 and "GR" not in said.sequence:  # a gradient echo this soon after inversion is cardiac
        return Protocol.STIR
    return Protocol.T1 if 300 < ti < 1500 and te < 35 else None


def _spin_echo(said: Facts) -> Protocol | None:
    te, tr = said.te or 0.0, said.tr or 0.0
    if te <= 35:
        return Protocol.T1 if tr <= 1200 else Protocol.OTHER if tr >= 1800 else None  # long and short: proton density
    return Protocol.T2 if te >= 60 and tr >= 800 else None


def _gradient_echo(said: Facts) -> Protocol | None:
    te, tr, flip = said.te or 0.0, said.tr or 0.0, said.flip or 0.0
    if "GR" not in said.sequence or not flip:
        return None
    ernst = degrees(acos(exp(-tr / _BRAIN_T1_MS)))
    return Protocol.T1 if "SP" in said.variant and te <= 7 and flip > 1.3 * ernst else None


def _by_words(said: Facts) -> Verdict | None:
    for protocol, pattern in _WORDS:
        for name, text in said.written:
            if found := re.search(rf"(?<![a-z0-9])({pattern})", text):
                return protocol, f"{name} says {found.group(1)}"
    return None


_RULES: tuple[Callable[[Facts], Verdict | None], ...] = (
    _by_contrast, _by_b_value, _by_image_type, _by_timing, _by_words,
)  # fmt: skip
