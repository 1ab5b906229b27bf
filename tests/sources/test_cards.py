from pathlib import Path

import pytest
import yaml

from anatomy_clip.core.terms import Modality
from anatomy_clip.sources.cards import cards, read_cards
from anatomy_clip.sources.download.collections import collections
from anatomy_clip.sources.scans import visible_human
from anatomy_clip.sources.scans.totalsegmentator import TotalSegmentator

CONF = Path(__file__).resolve().parents[2] / "conf" / "source"
RADIOGRAPHS = ("nih_chestxray14", "vqa_rad", "covid_segm", "openi")
GOOD = {"what": "x.", "licence": "MIT", "url": "", "citation": "c", "counts": {"a": 1}, "limits": ["l"]}


def test_every_public_source_and_download_has_a_card():
    sources = {f"totalsegmentator_{m.lower()}" for m in Modality} | {
        "phantom",
        "samples",
        "visible_human",
        "roco",
        "rocov2",
        *RADIOGRAPHS,
    }
    assert {TotalSegmentator(".", m, {"axial": 1}).name for m in Modality} <= sources
    assert set(cards()) == sources | set(collections())


def test_cards_agree_with_the_rest():
    for name, collection in collections().items():
        assert (cards()[name].licence, cards()[name].url) == (collection.licence, collection.page), name
    assert cards()["visible_human"].licence == visible_human.LICENCE
    cohorts = yaml.safe_load((CONF / "phantom.yaml").read_text())["cohorts"]
    assert cards()["phantom"].counts == {name: cohort["patients"] for name, cohort in cohorts.items()}
    for name in RADIOGRAPHS:
        config = yaml.safe_load((CONF / f"{name}.yaml").read_text())
        assert config["name"] == name and config["licence"] in ("", cards()[name].licence)
    for name in ("totalsegmentator_ct", "totalsegmentator_mr"):
        counts = dict(cards()[name].counts)
        assert counts.pop("subjects") == sum(counts.values())


def test_known_bad_subjects_are_named_with_their_issues():
    ct, mr = cards()["totalsegmentator_ct"], cards()["totalsegmentator_mr"]
    assert {"s0092", "s0201", "s0513", "s0605", "s0143", "s1196"} <= ct.bad_subjects()
    assert {bad.issue.rsplit("/", 1)[1] for bad in ct.known_bad} == {"245", "299", "317", "394"}
    assert len(mr.bad_subjects()) == 50
    assert all(len(s) == 5 and s[0] == "s" and s[1:].isdigit() for s in ct.bad_subjects() | mr.bad_subjects())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"licence": ""}, "card toy: licence is missing or empty"),
        ({"licence": None}, "licence is missing"),
        ({"lisence": "MIT"}, "unknown field lisence; fields are citation"),
        ({"what": {"a": "b"}}, "what is .* not text"),
        ({"counts": {"a": 0}}, r"counts\.a is 0"),
        ({"counts": {"a": "many"}}, r"counts\.a is 'many'"),
        ({"limits": [{"a": "b"}]}, "not a list of sentences"),
        ({"limits": "one"}, "not a list of sentences"),
        ({"known_bad": [{"subjects": ["s1"], "what": "x", "issue": "issue 1"}]}, "https address"),
    ],
)
def test_bad_cards_are_refused(change, message):
    assert read_cards(yaml.safe_dump({"toy": GOOD}))["toy"].bad_subjects() == frozenset()
    with pytest.raises(ValueError, match=message):
        read_cards(yaml.safe_dump({"toy": GOOD | change}))
