"""What a published caption says of its image, by conservative patterns, and how it is kept within a text tower."""

from __future__ import annotations

import re
from collections.abc import Callable

from anatomy_clip.core.terms import Modality, Orientation, Protocol

# "MR" alone may be mitral regurgitation, "CT" after "PE" or "O" another machine.
_MODALITY = {
    Modality.CT: re.compile(
        r"\b(?:HR|CE|NC|MD)?CT\b|\bCTA\b|\bcomput(?:ed|eri[sz]ed)(?: axial)? tomogra(?:ph|m)", re.IGNORECASE
    ),
    Modality.MR: re.compile(
        r"\bf?MRI\b|\bMRA\b|\bMRCP\b|\bMR[ -](?=imag|scan|sequenc|angio|venogra|enterogra|urogra|arthro|cholangio)"
        r"|\bmagnetic[ -]resonance|\bT[12][ -]?(?:weighted|WI?\b)|\bFLAIR\b|\bdiffusion[ -]weighted",
        re.IGNORECASE,
    ),
}
# A caption with one of these speaks, too, of an image that is neither.
_OTHER = re.compile(
    r"\b(?:x-?rays?|radiogra\w+|ultraso\w+|sonogra\w+|echocardiogra\w+|fluorosco\w+|mammogra\w+|PET|SPECT|scintigra\w+"
    r"|endoscop\w+|colonoscop\w+|photogra\w+|histolog\w+|histopatholog\w+|microscop\w+|cone[ -]beam|CBCT|spectroscop\w+"
    r"|schem\w+|diagram\w*|orthopantomogra\w+|panoramic)\b",
    re.IGNORECASE,
)
_PROTOCOL = {
    Protocol.T1: re.compile(r"\bT1(?:[ -]?(?:weighted|WI?))?\b", re.IGNORECASE),
    Protocol.T2: re.compile(r"\bT2(?:[ -]?(?:weighted|WI?))?\b", re.IGNORECASE),
    Protocol.FLAIR: re.compile(r"\bFLAIR\b|\bfluid[ -]attenuated", re.IGNORECASE),
    Protocol.DWI: re.compile(r"\bDWI\b|\bdiffusion[ -]weighted", re.IGNORECASE),
    Protocol.ADC: re.compile(r"\bADC\b|\bapparent diffusion", re.IGNORECASE),
    Protocol.STIR: re.compile(r"\bSTIR\b|\bshort[ -]tau", re.IGNORECASE),
}
_PLANE = {
    Orientation.AXIAL: re.compile(r"\b(?:trans)?axial(?:ly)?\b|\btransvers(?:e|al)\b", re.IGNORECASE),
    Orientation.CORONAL: re.compile(r"\bcoronal(?:ly)?\b", re.IGNORECASE),
    Orientation.SAGITTAL: re.compile(r"\b(?:mid)?sagittal(?:ly)?\b", re.IGNORECASE),
}
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z(0-9])")
_SHORT = 7  # letters of a word that is one token, as a rule
_PIECE = re.compile(r"[^\W\d_]+|\d|[^\s\w]|_")


def modality_of(caption: str) -> Modality | None:
    """CT or MR, if the caption names one of them and no other kind of image; else None."""
    named = [modality for modality, words in _MODALITY.items() if words.search(caption)]
    return named[0] if len(named) == 1 and not _OTHER.search(caption) else None


def protocol_of(caption: str, modality: Modality) -> Protocol:
    """The MR protocol, if the caption names just one; T2-FLAIR is FLAIR, and `OTHER` is no or several protocols."""
    if modality is Modality.CT:
        return Protocol.NONE
    named = {protocol for protocol, words in _PROTOCOL.items() if words.search(caption)}
    if Protocol.FLAIR in named:
        named.discard(Protocol.T2)
    return named.pop() if len(named) == 1 else Protocol.OTHER


def orientation_of(caption: str) -> Orientation | None:
    """The plane, if the caption names just one; else None."""
    named = [plane for plane, words in _PLANE.items() if words.search(caption)]
    return named[0] if len(named) == 1 else None


def most_tokens(text: str) -> int:
    """Guess how many tokens CLIP makes of a text, start and end counted, rather too many than too few.

    A short word, a digit and a sign count one, a long word one for three letters. It is a guess: whoever joins the data
    still refuses a caption that is really too long.
    """
    pieces = _PIECE.findall(text)
    return 2 + sum(1 if len(p) <= _SHORT and p.isascii() else max(2, len(p) // 3) for p in pieces)


def fitted(caption: str, count: Callable[[str], int], limit: int, cut_at_sentence: bool) -> str:
    """The caption, if it is no longer than the text tower takes.

    Args:
        caption: as published.
        count: number of a text's tokens, start and end counted.
        limit: most tokens.
        cut_at_sentence: leave out whole sentences at the end of a caption that is too long.

    Returns:
        The caption; or its first sentences, as many as fit, if cutting is allowed; or nothing.
    """
    if count(caption) <= limit:
        return caption
    ends = [found.start() for found in _SENTENCE.finditer(caption)] if cut_at_sentence else []
    return next((caption[:end] for end in reversed(ends) if count(caption[:end]) <= limit), "")
