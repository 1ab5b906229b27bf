"""What a film tells, as answers that may be asked for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from anatomy_clip.core.radiographs import RadiographRecord
from anatomy_clip.core.terms import Projection, State
from anatomy_clip.sources.phantom.xray.reports.phrases import CHEST, DEVICES, devices_of
from anatomy_clip.sources.phantom.xray.reports.study import sided_by
from anatomy_clip.sources.phantom.xray.reports.words import asked, wordings


class Topic(NamedTuple):
    """What films may be asked about.

    Attributes:
        kind: of the question.
        finding: that it is about; empty where it is about none or several.
        scope: films are compared within it: part, projection (but for views), the two findings to choose from.
    """

    kind: str
    finding: str
    scope: tuple[str, ...]


def facts(film: RadiographRecord) -> Iterator[tuple[Topic, str]]:
    """What may be asked about a film, each with its answer; a finding that is there and not shown is left out."""
    scope = (film.part, film.projection.value)
    known = [name for name in wordings(False)["findings"] if name in film.findings]
    shown = [name for name in known if film.findings[name].shown]
    absent = [name for name in known if film.findings[name].state is State.NEGATIVE]
    yield from ((Topic("presence", name, scope), "yes") for name in shown)
    yield from ((Topic("presence", name, scope), "no") for name in absent)
    for name, other in product(shown, absent):
        if DEVICES not in (name, other):  # they are no abnormality
            yield Topic("finding", "", (*scope, *sorted((name, other)))), name
    for name in shown:
        yield from ((Topic(kind, name, scope), answer) for kind, answer in _details(film, name))
    if film.projection in (Projection.PA, Projection.AP, Projection.LATERAL):
        yield Topic("view", "", (film.part,)), film.projection.value
    if known:
        yield Topic("number", "", scope), asked(False)["numbers"][sum(name != DEVICES for name in shown)]


def _details(film: RadiographRecord, name: str) -> Iterator[tuple[str, str]]:
    """Kind and answer of what a film tells of a finding that it shows."""
    finding, sizes = film.findings[name], wordings(False)["findings"][name]["sizes"]
    if finding.side and film.part == CHEST and sided_by(film):
        yield "side", finding.side.value
    if finding.severity in sizes:
        yield "severity", sizes[finding.severity]
    if name == DEVICES and finding.zone:
        yield "number", asked(False)["numbers"][len(devices_of(finding))]
