"""The MR protocol of a frame from ranked evidence: what the scanner says it did, then how, then what people wrote."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
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
_DERIVED = {
    "FA", "EADC", "EXP", "TENSOR", "COLFA", "PERFUSION", "SWI", "TOF", "PCA", "M_PCA", "FLOW", "VELOCITY", "SUB",
    "SUBTRACTION", "FAT_FRACTION", "T2_STAR",
}  # fmt: skip
_DIFFUSION = {"DIFFUSION", "TRACEW", "TRACE"}
# Parts of the complex signal, by the words of Complex Image Component (0008,9208), by how Image Type writes them
# (alone, or before the sequence: R_IR), and as GE counts them.
_PARTS = {"R": "REAL", "I": "IMAGINARY", "P": "PHASE"}
_GE_PARTS = {"1": "PHASE", "2": "REAL", "3": "IMAGINARY"}
PRIVATE_COMPONENT = ("GEMS_PARM_01", (0x0043, 0x0010), (0x0043, 0x102F))
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
# Words for what timing takes for T1: vessels by their flow, phases, field maps. And for two inversions.
_NO_CONTRAST = (
    r"tof|time.?of.?flight|mra(?![a-z])|angio|pca?(?![a-z])|phase.?(contrast|map|diff)|venc|veloc|flow(?!.?comp)|"
    r"(gre.?)?field.?map|b[01].?map|swi|subtract"
)
_TWO_INVERSIONS = r"dir(?![a-z])|double.?(inversion|ir)"
_FLOW_NAMES = r"tof|_v\d+|_t\d+(?!\d)|pc[23]d"  # Siemens: _v150in encodes a velocity, _t70 is a tilted pulse
_BRAIN_T1_MS = 1000.0  # of soft tissue, roughly; enough to tell a flip angle above Ernst's from one below


@dataclass(frozen=True)
class Facts:
    """What a header says about an MR frame.

    Attributes:
        frame_type: words of Frame Type or Image Type.
        contrast: Acquisition Contrast.
        b_value: diffusion weighting, s/mm2; None where not stated.
        b_source: the field that stated it.
        part, part_source: of the complex signal (PHASE, REAL, IMAGINARY; "" for its magnitude), and the field.
        sequence: SE, GR, EP, IR as in Scanning Sequence.
        variant: words of Sequence Variant; SP is spoiled, MTC has magnetization transfer.
        options: words of Scan Options.
        angio: Angio Flag is Y.
        tr, te, ti: repetition, echo and first inversion time, ms.
        inversions: how many inversion times are stated.
        flip: flip angle, degrees.
        written: (field, text) that people wrote; kept out of `repr`.
    """

    frame_type: tuple[str, ...] = ()
    contrast: str = ""
    b_value: float | None = None
    b_source: str = ""
    part: str = ""
    part_source: str = ""
    sequence: frozenset[str] = frozenset()
    variant: frozenset[str] = frozenset()
    options: tuple[str, ...] = ()
    angio: bool = False
    tr: float | None = None
    te: float | None = None
    ti: float | None = None
    inversions: int = 0
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
    inversions = [ms for ms in fields.numbers("InversionTimes") or fields.numbers("InversionTime") if ms > 0]
    part, part_source = _part(fields)
    return Facts(
        frame_type=fields.frame_type(),
        contrast=fields.text("AcquisitionContrast").upper(),
        b_value=b_value, b_source=b_source, part=part, part_source=part_source,
        sequence=frozenset(fields.texts("ScanningSequence")) | enhanced,
        variant=frozenset(fields.texts("SequenceVariant")) | spoiled,
        options=fields.texts("ScanOptions"), angio=fields.text("AngioFlag").upper() == "Y",
        tr=fields.number("RepetitionTime"), te=fields.number("EffectiveEchoTime") or fields.number("EchoTime"),
        ti=inversions[0] if inversions else None, inversions=len(inversions), flip=fields.number("FlipAngle"),
        written=tuple((named(keyword), fields.text(keyword).lower()) for keyword in keywords if fields.text(keyword)),
    )  # fmt: skip


def _part(fields: Fields) -> tuple[str, str]:
    """Which part of the complex signal a frame shows, and the field that says so; ("", "") for its magnitude."""
    known = set(_PARTS.values())
    if (said := fields.of_frame("ComplexImageComponent")) and said[0] in known:
        return said[0], named("ComplexImageComponent")
    for word in fields.frame_type()[2:]:
        if (part := _PARTS.get(word.split("_")[0], word)) in known:
            return part, named("ImageType")
    creator, creator_tag, tag = PRIVATE_COMPONENT
    part = _GE_PARTS.get(fields.private(tag), "") if fields.private(creator_tag).upper() == creator else ""
    return (part, f"{creator} (private 0043,102F)") if part else ("", "")


def decide(said: Facts) -> Verdict:
    """Name the protocol of an MR frame.

    Returns:
        The protocol and the evidence that decided it: the field, and what in it. `Protocol.OTHER` where nothing does.
    """
    for rule in _RULES:
        verdict = rule(said)
        if verdict is not None:
            return verdict
    return Protocol.OTHER, "no header field gives one of the six protocols"


def _by_part(said: Facts) -> Verdict | None:
    return (Protocol.OTHER, f"{said.part_source} says {said.part}") if said.part else None


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
    if words & {"ADC", "ADC MAP", "ADC_MAP"}:
        return Protocol.ADC, f"{named('ImageType')} holds ADC"
    other = sorted(word for word in words if word in _DERIVED or re.fullmatch(r"[A-Z0-9_ ]{1,20}[ _]MAP", word))
    return (Protocol.OTHER, f"{named('ImageType')} holds {other[0]}") if other else None


def _by_b_value(said: Facts) -> Verdict | None:
    # A b-value of 0 is written into plain series too: alone it proves nothing.
    if not said.b_value:
        return None
    return _by_map(said) or (Protocol.DWI, f"{said.b_source} is {said.b_value:g}")


def _by_image_type(said: Facts) -> Verdict | None:
    words = sorted(set(said.frame_type) & _DIFFUSION)
    return _by_map(said) or ((Protocol.DWI, f"{named('ImageType')} holds {words[0]}") if words else None)


def _by_preparation(said: Facts) -> Verdict | None:
    """What a header says outright, and what timing would take for T1 or FLAIR; echo planar images are left to words."""
    if "EP" in said.sequence:
        return None
    if said.inversions > 1:
        return Protocol.OTHER, f"{named('InversionTimes')} are {said.inversions}"
    if said.ti and (found := _written(said, _TWO_INVERSIONS)):
        return Protocol.OTHER, found
    if vessels := [word for word in said.options if word.startswith("VASC") or "TOF" in word]:  # GE: VASCTOF_GEMS
        return Protocol.OTHER, f"{named('ScanOptions')} holds {'TOF' if 'TOF' in vessels[0] else 'VASC'}"
    if "GR" not in said.sequence or said.ti:  # with an inversion, Angio Flag is set for hearts too
        return None
    if said.angio:
        return Protocol.OTHER, f"{named('AngioFlag')} is Y"
    names = tuple(one for one in said.written if one[0] in (named("SequenceName"), named("PulseSequenceName")))
    found = _written(said, _NO_CONTRAST) or _written(replace(said, written=names), _FLOW_NAMES, inside=True)
    return (Protocol.OTHER, found) if found else None


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
    plain = "SP" in said.variant and "MTC" not in said.variant  # magnetization transfer is a contrast of its own
    return Protocol.T1 if plain and te <= 7 and flip > 1.3 * ernst else None


def _by_words(said: Facts) -> Verdict | None:
    for protocol, pattern in _WORDS:
        if found := _written(said, pattern):
            return protocol, found
    return None


def _written(said: Facts, pattern: str, inside: bool = False) -> str:
    """The first field in which people wrote it, and the word; nothing more is quoted. `inside`: anywhere in a word."""
    for name, text in said.written:
        if found := re.search(f"({pattern})" if inside else rf"(?<![a-z0-9])({pattern})", text):
            return f"{name} says {found.group(1)}"
    return ""


_RULES: tuple[Callable[[Facts], Verdict | None], ...] = (
    _by_part, _by_contrast, _by_b_value, _by_image_type, _by_preparation, _by_timing, _by_words,
)  # fmt: skip
