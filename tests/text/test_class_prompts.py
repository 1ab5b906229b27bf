from __future__ import annotations

import pytest

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.text.class_prompts import EvaluationPrompts

BODY = Taxonomy.load("whole_body")


def test_one_list_a_label_in_the_taxonomys_order():
    prompts = EvaluationPrompts(["An image of {organ} organs", "{organ}"], ["An image of {station} region"])
    organs, stations = prompts.organ_prompts(BODY), prompts.station_prompts(BODY)
    assert len(organs) == 20 and organs[0] == ["An image of brain organs", "brain"]
    assert [texts[1] for texts in organs] == list(BODY.organs)
    assert stations[-1] == ["An image of lower body region"] and len(stations) == 5
    assert len({text for texts in organs + stations for text in texts}) == 45


@pytest.mark.parametrize("organ_templates", [[], "{organ}", ["no slot"], ["{organ} {station}"], ["{liver}"]])
def test_templates_with_other_slots_are_refused(organ_templates):
    with pytest.raises(ValueError, match=r"organ_templates|template"):
        EvaluationPrompts(organ_templates, ["{station}"])
