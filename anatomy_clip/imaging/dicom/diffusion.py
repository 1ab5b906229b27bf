"""The b-value of a frame: the standard field, the makers' older private ones, or the sequence's name."""

from __future__ import annotations

import re

from anatomy_clip.imaging.dicom.fields import Fields, named

# b-values before Supplement 49: private creator, its tag, the value's tag.
PRIVATE_B = (
    ("SIEMENS MR HEADER", (0x0019, 0x0010), (0x0019, 0x100C)),
    ("GEMS_PARM_01", (0x0043, 0x0010), (0x0043, 0x1039)),
    ("PHILIPS IMAGING DD 001", (0x2001, 0x0010), (0x2001, 0x1003)),
)
_GE_MARK = 1e9  # GE adds it to some b-values
_NUMBER = re.compile(r"\s*(\d+(\.\d+)?)")
_SIEMENS_NAME = re.compile(r"ep_b(\d+)(?![\d_])")  # *ep_b400t; an ADC map's *ep_b50_800 names no single one


def b_value(fields: Fields) -> tuple[float | None, str]:
    """The b-value in s/mm2 and the field that says so, or (None, ""); a map made of several b-values has none.

    Raises:
        Refused: a field holds no number.
    """
    if "ADC" in fields.frame_type():
        return None, ""
    if (standard := fields.number("DiffusionBValue")) is not None:
        return standard, named("DiffusionBValue")
    if "EP" not in fields.texts("ScanningSequence") and "DIFFUSION" not in fields.frame_type():
        return None, ""  # makers fill their private fields for plain series too
    for creator, creator_tag, tag in PRIVATE_B:
        found = _NUMBER.match(fields.private(tag))
        if found and fields.private(creator_tag).upper() == creator:
            return float(found.group(1)) % _GE_MARK, f"{creator} (private {tag[0]:04X},{tag[1]:04X})"
    found = _SIEMENS_NAME.search(fields.text("SequenceName"))
    return (float(found.group(1)), named("SequenceName")) if found else (None, "")
