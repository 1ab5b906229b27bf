"""Contradicted captions against hand cases, and against a plain loop over all captions."""

from zlib import crc32

import numpy as np
import pytest
import torch
from support import TABLE1_ORGAN, TABLE1_STATION
from tested import FakeRun, OwnWay, embedded
from torch.nn.functional import normalize

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.evaluation.prompt_contrast import PromptContrast
from anatomy_clip.text.grid import MODALITIES, CaptionGrid, contradict

TAXONOMY = Taxonomy.load("whole_body")
ORGANS, STATIONS = list(TAXONOMY.organs), list(TAXONOMY.stations)


def record(protocol=Protocol.T2, plane=Orientation.CORONAL, patient="p"):
    modality = Modality.CT if protocol is Protocol.NONE else Modality.MR
    return SliceRecord("s", "t", patient, "s", "s", 0, modality, protocol, plane)


def shows(names, known):
    return np.array([name in names for name in known])


def test_only_real_contradictions_count():
    assert [MODALITIES[n] for n in contradict("CT")] == [m for m in MODALITIES if m != "CT"]
    assert [MODALITIES[n] for n in contradict("MR")] == ["CT"]
    found = [MODALITIES[n] for n in contradict("MR T2")]
    assert found == ["CT", "MR T1", "MR FLAIR", "MR DWI", "MR ADC", "MR STIR"]  # "MR" is true, if less exact


def test_a_score_for_right_words_wins_every_slot():
    contrast = PromptContrast(TABLE1_STATION, TAXONOMY)
    organs, stations = shows({"liver", "lungs"}, ORGANS), shows({"chest", "abdomen"}, STATIONS)
    scores = np.zeros(contrast.grid.shape)
    scores[1] += 0.1  # coronal
    scores[:, MODALITIES.index("MR T2")] += 0.1
    scores[:, :, organs] += 0.1
    scores[..., stations] += 0.1
    found = contrast.contrasts(scores, record(), organs, stations)
    assert {slot: (c.win, round(c.margin, 9)) for slot, c in found.items()} == dict.fromkeys(
        ("orientation", "modality", "organ", "station"), (1.0, 0.1)
    )
    found = contrast.contrasts(-scores, record(), organs, stations)
    assert {c.win for c in found.values()} == {0.0}
    found = contrast.contrasts(np.zeros_like(scores), record(), organs, stations)
    assert {c.win for c in found.values()} == {0.5}


def test_right_captions_pair_an_organ_with_its_own_station():
    contrast = PromptContrast(TABLE1_STATION, TAXONOMY)
    organs, stations = shows({"lungs", "pelvic bone"}, ORGANS), shows({"chest", "pelvis"}, STATIONS)
    scores = np.random.default_rng(0).normal(size=contrast.grid.shape)
    captions = np.array(contrast.grid.captions()).reshape(contrast.grid.shape)
    right = [
        f"A coronal oriented MR T2 image of {organ} organs belong to {station} region"
        for organ, station in (("lungs", "chest"), ("pelvic bone", "pelvis"))
    ]
    margins = []
    for caption in right:
        place = tuple(np.argwhere(captions == caption)[0])
        for other in ("head", "abdomen", "lower body"):
            wrong = caption.rsplit(" to ", 1)[0] + f" to {other} region"
            margins.append(scores[place] - scores[tuple(np.argwhere(captions == wrong)[0])])
    found = contrast.contrasts(scores, record(), organs, stations)["station"]
    assert found.margin == pytest.approx(np.mean(margins))
    assert found.win == pytest.approx(np.mean(np.array(margins) > 0))
    assert scores[found.right] - scores[found.wrong] == pytest.approx(min(margins))


def test_a_slot_that_nothing_contradicts_is_left_out():
    contrast = PromptContrast(TABLE1_STATION, TAXONOMY)
    everywhere = np.ones(len(STATIONS), bool)
    found = contrast.contrasts(np.zeros(contrast.grid.shape), record(), shows({"liver"}, ORGANS), everywhere)
    assert set(found) == {"orientation", "modality", "organ"}


def test_what_is_unknown_is_not_contradicted():
    contrast = PromptContrast(TABLE1_STATION, TAXONOMY)
    scores = np.random.default_rng(0).normal(size=contrast.grid.shape)
    organs, stations = (
        shows(names, known).astype(int) for names, known in (({"liver"}, ORGANS), ({"abdomen"}, STATIONS))
    )
    organs[organs == 0] = -1
    organs[ORGANS.index("brain")] = 0
    found = contrast.contrasts(scores, record(), organs, stations)["organ"]
    here = scores[1, MODALITIES.index("MR T2"), :, STATIONS.index("abdomen")]
    assert found.margin == pytest.approx(here[ORGANS.index("liver")] - here[ORGANS.index("brain")])


def test_a_template_needs_every_slot():
    with pytest.raises(ValueError, match="station missing"):
        CaptionGrid(TABLE1_ORGAN, TAXONOMY)


def test_predictions_match_captions_scored_one_by_one():
    torch.manual_seed(0)
    contrast, words = PromptContrast(TABLE1_STATION, TAXONOMY, resamples=20), torch.randn(999, 8).numpy()

    def embed(texts):
        sums = [words[[crc32(word.encode()) % 999 for word in text.split()]].sum(axis=0) for text in texts]
        return normalize(torch.tensor(np.stack(sums)), dim=-1)

    shown_organs, shown_stations = (
        ({"liver"}, set(), {"foot", "ankle"}, {"liver"}),
        ({"abdomen"}, {"head"}, {"lower body"}, set()),
    )
    organs = np.stack([shows(o, ORGANS) for o in shown_organs]).astype(int)
    stations = np.stack([shows(s, STATIONS) for s in shown_stations]).astype(int)
    stations[3] = -1
    records = [record(patient="b"), record(Protocol.NONE, patient="c"), record(patient="a"), record(patient="a")]
    shown = embedded(torch.randn(4, 8), records, [2, 0, 1, 3], organ=organs, station=stations)
    table = contrast.predict(FakeRun({"test": {"set1": shown}}, embed))
    assert sorted(set(table["row"])) == [1, 2]  # without an organ, and of unknown stations: left out
    for place, row in ((0, 2), (2, 1)):
        for entry in table[table["row"] == row].to_dict("records"):
            for kind in ("right", "wrong"):
                alone = float(shown.embeddings[place] @ embed([entry[kind]])[0])
                assert entry[f"{kind}_score"] == pytest.approx(alone, abs=1e-6)
    scores = {s.cell: s for s in contrast.score(table)}
    assert set(scores) == {f"contrast/{slot}/set1" for slot in ("orientation", "modality", "organ", "station")}
    assert scores["contrast/organ/set1"].value == pytest.approx(table[table["slot"] == "organ"]["win"].mean())
    assert scores["contrast/organ/set1"].n == 2
    own = contrast.predict(OwnWay({"test": {"set1": shown}}, embed))
    np.testing.assert_allclose(own["win"], 1 - table["win"])  # by a way to compare that turns cosines round
    np.testing.assert_allclose(own["margin"], -table["margin"])
