"""The findings that radiographs are labelled with, and what an uncertain one counts as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anatomy_clip.core.names import did_you_mean
from anatomy_clip.core.radiographs import RADIOGRAPHS, Finding, RadiographRecord
from anatomy_clip.core.refusals import Refused
from anatomy_clip.core.terms import State, Visibility

UNKNOWN = -1
Policy = Literal[0, 1, "ignore"]
_POLICIES: tuple[Policy, ...] = (0, 1, "ignore")


class FindingSet:
    """A fixed order of findings, and how a record's states become labels.

    "No finding" is none of them: it follows from the others, so a classifier would be asked the same twice.

    Attributes:
        name: name of the set.
        findings: their names, in the order of the label vectors.
        uncertain: finding -> what an uncertain statement counts as: 0 absent, 1 shown, "ignore" unknown (all that
            aren't named). Source of the three policies: Irvin et al. 2019, "CheXpert", section 4.
    """

    kind = RADIOGRAPHS

    def __init__(
        self, findings: Sequence[str], uncertain: Mapping[str, Policy] | None = None, name: str = "findings"
    ) -> None:
        """Check the names and policies.

        Raises:
            Refused: there is no finding, one stands twice, a policy is for none of them, or is unknown.
        """
        self.name = name
        self.findings = tuple(findings)
        self.uncertain = dict(uncertain or {})
        if not self.findings or len(set(self.findings)) < len(self.findings):
            raise Refused("taxonomy.findings: it is empty, or it has the same finding twice", "list each finding once")
        for finding, policy in self.uncertain.items():
            if finding not in self.findings:
                hint = did_you_mean(finding, self.findings) or f"; known: {', '.join(self.findings)}"
                raise Refused(f"taxonomy.uncertain.{finding}: is not one of the findings{hint}", "use one of them")
            if policy not in _POLICIES:
                raise Refused(f"taxonomy.uncertain.{finding}={policy}: isn't known", "give 0, 1 or ignore")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FindingSet:
        """Rebuild a set from what `to_dict` gave."""
        return cls(data["findings"], data["uncertain"], data["name"])

    def to_dict(self) -> dict[str, Any]:
        """The whole set as plain values, for checkpoints."""
        return {"name": self.name, "findings": list(self.findings), "uncertain": dict(self.uncertain)}

    def vector(self, record: RadiographRecord) -> NDArray[np.int8]:
        """Label one film.

        Returns:
            (F,) 1 shown, 0 absent, -1 unknown: not stated, uncertain where that is ignored, or there but known not to
            be seen on this film.
        """
        return np.array([self._label(name, record.findings.get(name)) for name in self.findings], dtype=np.int8)

    def _label(self, name: str, found: Finding | None) -> int:
        if found is None or found.visibility is Visibility.INVISIBLE:
            return UNKNOWN
        policy = self.uncertain.get(name, "ignore")
        counts = {State.POSITIVE: 1, State.NEGATIVE: 0, State.UNCERTAIN: UNKNOWN if policy == "ignore" else policy}
        return counts.get(found.state, UNKNOWN)
