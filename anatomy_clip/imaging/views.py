"""How a radiograph's beam runs, from the words of headers and tables."""

from __future__ import annotations

import re

from anatomy_clip.core.terms import Projection

# View Position (0018,5101) and what tables write; the first that fits. LLD and RLD are decubitus,
# LAO and its like oblique.
_WORDS = (
    (Projection.OTHER, r"oblique|decubitus|tangential|axial|[lr](ld|lo|ao|po)"),
    (Projection.LATERAL, r"lat(eral)?|ll|rl|l|lateromedial|mediolateral"),
    (Projection.PA, r"pa|postero ?anterior"),
    (Projection.AP, r"ap|antero ?posterior"),
)


def projection_of(words: str) -> Projection:
    """The projection that a field names, as "PA", "LL", "AP supine" or "postero-anterior".

    Returns:
        `OTHER` for words that name none of the three, `UNKNOWN` where there is no word.
    """
    plain = re.sub(r"[^a-z]+", " ", words.lower()).strip()
    for projection, pattern in _WORDS:
        if re.search(rf"(?<!\S)({pattern})(?!\S)", plain):
            return projection
    return Projection.OTHER if plain else Projection.UNKNOWN
