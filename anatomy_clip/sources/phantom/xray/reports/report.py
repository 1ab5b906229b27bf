"""The report of a study of simulated films: findings and impression, worded by chance from a state table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anatomy_clip.core.radiographs import Finding, RadiographRecord
from anatomy_clip.core.terms import State
from anatomy_clip.sources.phantom.xray.reports.phrases import (
    CHEST,
    DEVICES,
    fill,
    joined,
    pick,
    sentence,
    slots_of,
    words_of,
)
from anatomy_clip.sources.phantom.xray.reports.study import blocks_of, to_say
from anatomy_clip.sources.phantom.xray.reports.words import Table, wordings

_ENOUGH = 4  # sentences, beyond which none that only calls something normal is added
_MANY = 3  # findings, from which all absent ones are named in one sentence
_VIEWS = 0.3  # share of chest reports that begin with their views
_MERGED = 0.5  # share of reports that name absent findings of lungs and pleura in one sentence


def write_report(
    films: Sequence[RadiographRecord], rng: np.random.Generator, *, held_out: bool = False
) -> dict[str, str]:
    """Write the report of a study: section ("findings", "impression") to its text.

    It says what `to_say` chooses, drawn first from the same generator.

    Args:
        films: of one study; they share patient and part.
        rng: generator.
        held_out: use the wordings that are kept for test reports, and no others.
    """
    writer = _Writer(films, rng, held_out)
    return {"findings": writer.findings(), "impression": writer.impression()}


class _Writer:
    def __init__(self, films: Sequence[RadiographRecord], rng: np.random.Generator, held_out: bool) -> None:
        self.films, self.rng, self.table = films, rng, wordings(held_out)
        self.said = to_say(films, rng)
        self.blocks = blocks_of(films, held_out)
        self.chest = films[0].part == CHEST
        self.part = f"{films[0].side or ''} {films[0].part}".strip()

    def findings(self) -> str:
        """Organ by organ: what is there, what is normal, and what isn't there."""
        lines = [] if self.chest and self.rng.uniform() >= _VIEWS else [self._views()]
        total = left = sum(one.state is not State.NEGATIVE for one in self.said.values())
        last = list(self.blocks.values())[-1]
        waiting: list[str] = []  # nouns of absent findings that go with those of a later block
        for name, block in self.blocks.items():
            stated = [finding for finding in block.get("findings", ()) if finding in self.said]
            there = [one for one in stated if self.said[one].state is not State.NEGATIVE]
            lines += [self._present(one) for one in there]
            left -= len(there)
            absent = [one for one in stated if one not in there]
            if self._normal(block, absent, there) and left + len(lines) < _ENOUGH:
                lines.append(pick(block["normal"], self.rng))
                absent = [one for one in absent if one not in block.get("says", ())]
            for words in (words_of(one, self.films[0].part, self.table) for one in absent):
                if "absent" in words:
                    lines.append(pick(words["absent"], self.rng))
                else:
                    waiting.append(words["none"].format(part=self.part))
            together = total >= _MANY or (name == "lungs" and self.rng.uniform() < _MERGED)
            if waiting and (block is last or not together):
                lines.append(self._absent(waiting))
                waiting = []
        return " ".join(sentence(one) for one in lines)

    def _normal(self, block: Table, absent: Sequence[str], there: Sequence[str]) -> bool:
        """Whether the block may be called normal: nothing is there, seen or not, and what that says is to be said."""
        if "normal" not in block or there or not set(block.get("says", ())) <= set(absent):
            return False
        named = block.get("findings", ())
        known = [film.findings[one] for film in self.films for one in named if one in film.findings]
        if named and not known:  # the films can't tell
            return False
        return all(one.state is State.NEGATIVE for one in known) and self.rng.uniform() < (0.6 if self.chest else 0.9)

    def _present(self, name: str) -> str:
        words, state = self.table["findings"][name], self.said[name].state
        if state.value in words and self.rng.uniform() < 0.6:
            return fill(pick(words[state.value], self.rng), self._slots(name))
        frames = self.table["present" if state is State.POSITIVE else "uncertain"]
        slots = self._slots(name)
        slots["phrase"] = fill(pick(words["phrases"], self.rng), slots)
        return fill(pick(frames, self.rng), slots)

    def _absent(self, nouns: list[str]) -> str:
        self.rng.shuffle(nouns)
        return fill(pick(self.table["absent"], self.rng), {"list": joined(nouns, "or")})

    def _slots(self, name: str) -> dict[str, str]:
        return slots_of(name, self.said[name], self.part, self.table, self.rng)

    def _views(self) -> str:
        names = list(dict.fromkeys(film.projection.value for film in self.films))
        one = len(names) == 1
        slots = {"views": f"{joined(names, 'and')} view{'' if one else 's'}", "part": self.part}
        slots |= {"is": "is", "was": "was"} if one else {"is": "are", "was": "were"}
        return fill(pick(self.table["views"], self.rng), slots)

    def impression(self) -> str:
        """What is there, by weight: the certain ones, then the uncertain ones; or that all is normal."""
        lines = [joined(one, "and") for one in self._listed(State.POSITIVE)]
        for one in self._listed(State.UNCERTAIN):
            lines.append(joined([f"{pick(self.table['maybe'], self.rng)} {phrase}" for phrase in one], "and"))
        if not self._abnormal():
            normal = self.table["impression"]["chest" if self.chest else "limb"]
            lines.append(fill(pick(normal, self.rng), {"part": self.part}))
        return " ".join(sentence(one) for one in lines)

    def _abnormal(self) -> bool:
        def counts(name: str, finding: Finding) -> bool:
            return finding.state is not State.NEGATIVE and not (self.chest and name == DEVICES)

        return any(counts(name, finding) for name, finding in self.said.items())

    def _listed(self, state: State) -> list[list[str]]:
        """Phrases of the findings of a state; apart those whose side isn't known, which would seem to share one."""
        lists: dict[bool, list[str]] = {}
        for name, finding in self.said.items():
            if finding.state is state:
                words = self.table["findings"][name]
                phrase = fill(pick(words["phrases"], self.rng), self._slots(name))
                lists.setdefault(bool(finding.side or words.get("unsided")), []).append(phrase)
        return list(lists.values())
