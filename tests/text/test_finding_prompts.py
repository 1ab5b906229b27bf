"""Prompts of findings: all combinations, in words that our labeller reads as they are meant."""

import pytest
import yaml
from support import CONF

from anatomy_clip.core.refusals import Refused
from anatomy_clip.core.terms import State
from anatomy_clip.text.finding_prompts import finding_prompts
from anatomy_clip.text.reports.labeller import label_text

FINDINGS = yaml.safe_load((CONF / "taxonomy/findings.yaml").read_text())["findings"]


def test_every_severity_meets_every_subtype_and_location():
    present, absent, names = finding_prompts(["pleural_effusion"])["pleural_effusion"]
    assert len(present) == len(set(present)) == 3 * 2 * 4
    assert {"small pleural effusion.", "large effusion on both sides."} < set(present)
    assert "No pleural effusion." in absent and names == ("pleural effusion", "effusion")


@pytest.mark.parametrize("finding", FINDINGS)
def test_prompts_say_of_their_finding_what_they_are_meant_to_say(finding):
    prompts = finding_prompts(FINDINGS)[finding]
    for state, texts in ((State.POSITIVE, prompts.present), (State.NEGATIVE, prompts.absent)):
        for text in texts:
            assert label_text(text)[finding].state is state, text


def test_a_finding_without_prompts_is_refused():
    with pytest.raises(Refused, match=r"there are no prompts for the finding hernia; add them to"):
        finding_prompts(["nodule", "hernia"])
