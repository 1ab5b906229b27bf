"""Frames that aren't one slice, by what their header calls them: mosaics, projections, renderings, captured screens."""

from __future__ import annotations

import re

from anatomy_clip.core.refusals import Refused
from anatomy_clip.imaging.dicom.fields import Fields, named

PRIVATE_TILES = ("SIEMENS MR HEADER", (0x0019, 0x0010), (0x0019, 0x100A))  # NumberOfImagesInMosaic
RADIOGRAPHS = ("CR", "DX", "RG", "MG", "IO", "PX", "RF", "XA")  # Modality (0008,0060) of projections by X-rays
_LEAVE = "leave it out"
_MOSAIC = (
    "it shows many slices side by side in one frame",
    "convert it to one frame a slice (dcm2niix does), or leave it out",
)
_PROJECTION = ("it is a projection through many slices, not a slice", _LEAVE)
_RENDERING = ("it is a rendering of a surface or a volume, not a slice", _LEAVE)
_CURVED = ("it is a reformat along a curve, not a plane", _LEAVE)
_PICTURE = ("it is a picture of a screen, a film or a page, not a slice", _LEAVE)
# Words of Image Type (0008,0008), written with spaces, underscores or neither. A word stands alone: "MIPS" is none.
# CT localizers are projections; those of MR are slices.
_WORDS = (
    (_MOSAIC, r"mosaic"),
    (_PROJECTION, r"projection( image)?|mip|m(ax|in|n) ?ip|ray ?sum"),
    (_RENDERING, r"vrt|ssd|vol(ume)? ?ren(d(er(ing|ed)?)?)?|surface ?rend(er(ing|ed)?)?|3d ?(render(ing|ed)?|saved)"),
    (_CURVED, r"cpr|curved|mpr ?curved"),
    (_PICTURE, r"screen ?(save|shot|capture)?|sec(ondary)? ?capture|capture|dose ?(info|report)|prot(ocol)?"),
)
_CALCULATED = {  # Volume Based Calculation Technique (0008,9207), PS3.3 C.8.16.2.1.3
    "MAX_IP": _PROJECTION, "MIN_IP": _PROJECTION, "VOLUME_RENDER": _RENDERING, "SURFACE_RENDER": _RENDERING,
    "CURVED_MPR": _CURVED,
}  # fmt: skip
_VOLUMETRIC = {"SAMPLED": _PROJECTION, "DISTORTED": _CURVED}  # Volumetric Properties (0008,9206), C.8.16.2.1.2
_CONVERTED = dict.fromkeys(("DF", "DRW", "DV", "SD", "SI"), _PICTURE)  # Conversion Type (0008,0064), C.8.6.1
_SLAB = r"thick|average|mean ip|slab"
_WRITTEN = r"(?<![a-z0-9])(m(ax|in)?[- _]?ip|vrt|mosaic)(?![a-z0-9])"


def check_slice(fields: Fields, ct: bool) -> None:
    """Refuse a frame that its header says to be no slice.

    Args:
        fields: of the frame.
        ct: it is a CT.

    Raises:
        Refused: says which field, its word, and what that means.
    """
    for keyword, meanings in (
        ("VolumeBasedCalculationTechnique", _CALCULATED), ("VolumetricProperties", _VOLUMETRIC),
        ("ConversionType", _CONVERTED),
    ):  # fmt: skip
        said = fields.of_frame(keyword)
        if said and said[0] in meanings:
            _refuse(keyword, said[0], meanings[said[0]])
    words = fields.frame_type()
    if ct and "LOCALIZER" in words:
        raise Refused(f"{named('ImageType')} says LOCALIZER: a CT localizer is a projection", _LEAVE)
    for meaning, pattern in _WORDS:
        if word := _found(pattern, words):
            _refuse("ImageType", word, meaning)
    creator, creator_tag, tag = PRIVATE_TILES
    tiles = fields.private(tag)
    if fields.private(creator_tag).upper() == creator and tiles.isdigit() and int(tiles) > 1:
        raise Refused(f"{creator} (private 0019,100A) states {tiles} slices side by side in one frame", _MOSAIC[1])


def slice_doubts(fields: Fields) -> tuple[str, ...]:
    """What a user should know of a frame that may be no plain slice: a slab, or one that people called a projection."""
    doubts = []
    if word := _found(_SLAB, fields.frame_type()):
        doubts.append(f"{named('ImageType')} says {word}: each frame may be made of a slab of slices")
    if found := re.search(_WRITTEN, fields.text("SeriesDescription").lower()):
        doubts.append(f"{named('SeriesDescription')} says {found.group(1)}: it may not be a single slice")
    return tuple(doubts)


def _found(pattern: str, words: tuple[str, ...]) -> str:
    """The word of the header in which a pattern stands alone, or ""; only the words that it means are quoted."""
    for word in words:
        plain = re.sub(r"[^a-z0-9]+", " ", word.lower())
        if found := re.search(rf"(?<!\S)({pattern})(?!\S)", plain):
            return found.group(1).upper()
    return ""


def _refuse(keyword: str, word: str, meaning: tuple[str, str]) -> None:
    raise Refused(f"{named(keyword)} says {word}: {meaning[0]}", meaning[1])
