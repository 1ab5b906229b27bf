from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.text.sampler import OwnCaption, PromptSampler

CONF = str(Path(__file__).resolve().parents[2] / "conf")
BODY = Taxonomy.load("whole_body")
ABDOMEN = SliceRecord(
    source="s",
    split="train",
    patient="p",
    study="1",
    series="1",
    index=0,
    modality=Modality.CT,
    protocol=Protocol.NONE,
    orientation=Orientation.AXIAL,
    structures={"liver": 9000.0, "kidney_left": 900.0, "colon": 900.0, "vertebrae_L2": 900.0},
)
WRIST = replace(ABDOMEN, modality=Modality.MR, protocol=Protocol.T1, structures={"carpal": 900.0})
BOWEL_EDGE = replace(ABDOMEN, structures={"vertebrae_L4": 1500.0})  # a station, no organ
AIR = replace(ABDOMEN, structures={})


def config(name):
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(CONF, version_base="1.3"):
        return OmegaConf.to_container(compose(f"prompts/{name}").prompts)


def sampler(name, **changes):
    keys = config(name) | {"taxonomy": BODY} | changes
    assert keys.pop("_target_") == "anatomy_clip.text.sampler.PromptSampler"
    return PromptSampler(**keys)


def caption(prompts, record, seed=0):
    organs = BODY.organs_of(record.structures, record.orientation)
    stations = BODY.stations_of(record.structures, record.orientation)
    return prompts.texts(record, {"organ": organs, "station": stations}, np.random.default_rng(seed))["caption"][0]


def many(prompts, record, n=2000):
    return Counter(caption(prompts, record, seed) for seed in range(n))


def test_columns_word_for_word():
    organs, stations = sampler("organs"), sampler("organs_stations")
    assert caption(organs, ABDOMEN) == "An image of axial CT scan consisting of liver, kidneys, intestine organs"
    assert caption(stations, ABDOMEN) == (
        "A axial oriented CT image of liver, kidneys, intestine organs belong to abdomen region"
    )
    assert caption(organs, AIR) == "An image of axial CT scan"
    assert caption(stations, AIR) == "A axial oriented CT image"
    assert caption(stations, WRIST) == "A axial oriented MR T1 image of wrist organs"
    assert caption(stations, BOWEL_EDGE) == "A axial oriented CT image of abdomen region"


def test_the_plain_columns_draw_nothing_from_the_caption():
    assert len(many(sampler("organs_stations"), ABDOMEN, 50)) == 1


def test_the_configs_are_a_chain():
    m, ms, msa = config("organs"), config("organs_stations"), config("augmented")
    assert {key for key in m if m[key] != ms[key]} == {"templates"}
    assert m.keys() == ms.keys() == msa.keys()
    assert {key for key in ms if ms[key] != msa[key]} == set(ms) - {"_target_", "templates"}


def test_same_generator_same_caption():
    prompts = sampler("augmented")
    assert [caption(prompts, ABDOMEN, s) for s in range(50)] == [caption(prompts, ABDOMEN, s) for s in range(50)]
    np.random.seed(0)
    first = caption(prompts, ABDOMEN, 7)
    np.random.seed(1)
    assert caption(prompts, ABDOMEN, 7) == first


def test_missing_station_and_missing_organs_come_as_often_as_asked():
    prompts = sampler("organs_stations", missing_station=0.3, missing_organs=0.2)
    counts = many(prompts, ABDOMEN)
    assert set(counts) == {
        "A axial oriented CT image of liver, kidneys, intestine organs belong to abdomen region",
        "A axial oriented CT image of liver, kidneys, intestine organs",
        "A axial oriented CT image of abdomen region",
    }
    assert counts["A axial oriented CT image of liver, kidneys, intestine organs"] == pytest.approx(600, abs=80)
    assert counts["A axial oriented CT image of abdomen region"] == pytest.approx(400, abs=70)


def test_the_last_label_is_never_left_out():
    prompts = sampler("organs_stations", missing_station=0.5, missing_organs=0.5)
    assert set(many(prompts, WRIST, 50)) == {"A axial oriented MR T1 image of wrist organs"}
    assert set(many(prompts, BOWEL_EDGE, 50)) == {"A axial oriented CT image of abdomen region"}


def test_organ_order_is_shuffled_evenly():
    counts = many(sampler("organs", shuffle_organs=1.0), ABDOMEN)
    assert len(counts) == 6 and min(counts.values()) > 2000 / 6 * 0.75


def test_some_organs_are_a_proper_subset_in_order():
    counts = many(sampler("organs", some_organs=1.0), ABDOMEN)
    named = {re.search("consisting of (.*) organs", text).group(1) for text in counts}
    assert named == {
        "liver",
        "kidneys",
        "intestine",
        "liver, kidneys",
        "liver, intestine",
        "kidneys, intestine",
    }


def test_the_largest_organs_are_the_ones_that_are_kept():
    prompts = sampler("organs", some_organs=1.0, largest_organs=True)
    # 9000, 1200 and 900 mm2, both kidneys and all of the bowel counted together
    slice_ = replace(ABDOMEN, structures={
        "colon": 500.0, "kidney_left": 450.0, "kidney_right": 450.0, "liver": 9000.0, "small_bowel": 700.0,
    })  # fmt: skip
    named = {re.search("consisting of (.*) organs", text).group(1): n for text, n in many(prompts, slice_).items()}
    assert set(named) == {"liver", "liver, intestine"}
    assert min(named.values()) > 900
    stated = replace(slice_, organs=("liver", "kidneys", "intestine"))  # no areas
    assert len(many(prompts, stated)) == 6


def test_some_stations_are_named_with_the_organs_that_belong_there():
    prompts = sampler("organs_stations", some_stations=0.6)

    def counts(organs, stations):
        return Counter(prompts.caption(ABDOMEN, organs, stations, np.random.default_rng(seed)) for seed in range(2000))

    # named stations -> the organs of brain, neck, heart and knee that belong to one of them
    belong = {
        "head": "brain, neck",
        "chest": "neck, heart",
        "lower body": "knee",
        "head and chest": "brain, neck, heart",
        "head and lower body": "brain, neck, knee",
        "chest and lower body": "neck, heart, knee",
        "head and chest and lower body": "brain, neck, heart, knee",
    }
    found = counts(["brain", "neck", "heart", "knee"], ["head", "chest", "lower body"])
    whole = found.pop(f"A axial oriented CT image of {belong['head and chest and lower body']} organs belong to "
                      "head and chest and lower body region")  # fmt: skip
    assert whole == pytest.approx(800, abs=80)
    del belong["head and chest and lower body"]
    assert set(found) == {f"A axial oriented CT image of {o} organs belong to {s} region" for s, o in belong.items()}
    assert min(found.values()) > 200 * 0.75
    assert set(counts(["knee"], ["head", "lower body"])) == {
        "A axial oriented CT image of head region",  # no organ that belongs there
        "A axial oriented CT image of knee organs belong to lower body region",
        "A axial oriented CT image of knee organs belong to head and lower body region",
    }


def test_entities_are_shuffled():
    prompts = sampler("augmented", shuffle_entities=1.0, missing_station=0, missing_organs=0, some_organs=0)
    counts = many(prompts, replace(ABDOMEN, structures={"liver": 9000.0}))
    assert len(counts) == 24
    assert "CT image, abdomen region, axial oriented, liver organs" in counts


def test_no_caption_names_what_the_slice_does_not_show():
    prompts = sampler("augmented")
    for record in (ABDOMEN, WRIST, BOWEL_EDGE, AIR):
        shown = {*BODY.organs_of(record.structures, record.orientation)}
        shown |= {*BODY.stations_of(record.structures, record.orientation)}
        for text in many(prompts, record, 300):
            assert "{" not in text and "  " not in text and text == text.strip()
            named = {label for label in BODY.organs + BODY.stations if re.search(rf"\b{label}\b", text)}
            assert named <= shown
            assert "left" not in text and "right" not in text  # images may be flipped


def test_augmentation_gives_many_captions():
    assert len(many(sampler("augmented"), ABDOMEN, 1000)) > 100


def test_no_caption_is_cut_by_the_tokenizer():
    open_clip = pytest.importorskip("open_clip")
    tokenizer = open_clip.SimpleTokenizer(context_length=77)
    length = 0
    for name in ("organs", "organs_stations", "augmented"):
        prompts = sampler(name)
        texts = prompts.vocabulary(BODY)
        whole = replace(ABDOMEN, modality=Modality.MR, protocol=Protocol.FLAIR, orientation=Orientation.SAGITTAL)
        rng = np.random.default_rng(0)
        drawn = [prompts.caption(whole, BODY.organs, BODY.stations, rng) for _ in range(200)]
        longest = max(len(tokenizer.encode(text)) + 2 for text in texts)  # start and end of text
        assert max(len(tokenizer.encode(text)) + 2 for text in drawn) <= longest
        # and what training takes for all words of its captions is all of them
        assert {token for text in drawn for token in tokenizer.encode(text)} <= {
            token for text in texts for token in tokenizer.encode(text)
        }
        length = max(length, longest)
    assert length <= 77


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"missing_station": 1.2}, "missing_station is 1.2"),
        ({"missing_station": 0.6, "missing_organs": 0.6}, r"missing_station \+ missing_organs"),
        ({"other_wording": 0.1}, "wordings is empty"),
        ({"shuffle_entities": 0.1}, "entities is empty"),
        ({"some_stations": 0.1, "taxonomy": None}, "some_stations is 0.1, but taxonomy is empty"),
        ({"entities": ["{organ}", "{station}"]}, "one phrase for each"),
        ({"largest_organs": True, "taxonomy": None}, "largest_organs is true, but taxonomy is empty"),
        ({"captions_per_image": 0}, "captions_per_image is 0"),
        ({"templates": ["{organ}"]}, "neither organ nor station"),
        ({"wordings": [["{organs}", "x"]]}, "unknown slot 'organs'"),
    ],
)
def test_faults_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        sampler("organs", **changes)


def test_own_caption_is_returned_as_it_is():
    own = OwnCaption()
    figure = replace(ABDOMEN, caption="Axial CT: hypodense lesion (arrow).")
    assert caption(own, figure) == figure.caption
    assert own.vocabulary(BODY, [figure, figure]) == [figure.caption]
    with pytest.raises(ValueError, match="patient p, series 1, slice 0"):
        caption(own, ABDOMEN)
