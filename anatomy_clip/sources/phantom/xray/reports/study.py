"""What a report says of a study's films: which findings, in which state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from anatomy_clip.core.radiographs import Finding, RadiographRecord
from anatomy_clip.core.terms import Projection, State, Visibility
from anatomy_clip.sources.phantom.xray.reports.phrases import CHEST
from anatomy_clip.sources.phantom.xray.reports.words import Table, wordings

_UNMENTIONED = 0.3  # share of the absent findings that a report leaves out


def to_say(films: Sequence[RadiographRecord], rng: np.random.Generator) -> dict[str, Finding]:
    """Findings that the report of a study states, by their weight; the labeller should find just these in it.

    A finding is stated as positive if one film shows it clearly, as uncertain if films show it only subtly, and as
    negative if it is absent; some absent ones are left out. One that is there and that no film shows is left out.

    Args:
        films: of one study.
        rng: draws which absent findings are left out.
    """
    said = {}
    blocks = blocks_of(films).values()
    for name, words in wordings(False)["findings"].items():
        left_out = rng.uniform() < words.get("unmentioned", _UNMENTIONED)
        known = [_seen(film, name, words) for film in films if name in film.findings]
        if not any(name in block.get("findings", ()) for block in blocks) or not known:
            continue
        shown = [one for one in known if one.shown]
        if shown:
            best = min(shown, key=lambda one: (one.visibility is Visibility.SUBTLE, one.side is None))
            subtle = best.visibility is Visibility.SUBTLE
            said[name] = replace(best, state=State.UNCERTAIN if subtle else State.POSITIVE)
        elif not left_out and all(one.state is State.NEGATIVE for one in known):
            said[name] = Finding(State.NEGATIVE)
    return said


def blocks_of(films: Sequence[RadiographRecord], held_out: bool = False) -> Table:
    """The blocks of organs that a report of these films goes through, in their order."""
    blocks: Table = wordings(held_out)["blocks"]["chest" if films[0].part == CHEST else "limb"]
    return blocks


def sided_by(film: RadiographRecord) -> bool:
    """Whether a film tells the side of what it shows: a lateral of the chest doesn't."""
    return not (film.part == CHEST and film.projection is Projection.LATERAL)


def _seen(film: RadiographRecord, name: str, words: Table) -> Finding:
    """A finding as a report tells it of one film: with a side only where film and words tell one."""
    finding = film.findings[name]
    if words.get("unsided") or not sided_by(film):
        return replace(finding, side=None)
    return finding if film.part == CHEST else replace(finding, side=finding.side or film.side)
