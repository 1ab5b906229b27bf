"""Complete captions: which ones there are, the search against brute force, and the verdict slot by slot."""

from dataclasses import replace
from functools import cache, partial
from itertools import combinations
from zlib import crc32

import numpy as np
import pytest
import torch
from support import PMC_MS, compose_config
from tested import FakeRun, OwnWay, embedded
from torch.nn.functional import normalize

from anatomy_clip.anatomy.labels import label_matrices
from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.evaluation.caption_retrieval import CaptionRetrieval, Truth, judge
from anatomy_clip.evaluation.caption_search import CaptionBank, CaptionBeam
from anatomy_clip.text import captions as caption_texts
from anatomy_clip.text.captions import WAYS, Caption
from anatomy_clip.text.grid import MODALITIES

make_caption = partial(caption_texts.make_caption, wording=PMC_MS)
plausible_captions = partial(caption_texts.plausible_captions, wording=PMC_MS)
TAXONOMY = Taxonomy.load("whole_body")
WIDTH = 32


def record(organs, stations, protocol=Protocol.NONE, plane=Orientation.AXIAL, patient="p"):
    modality = Modality.CT if protocol is Protocol.NONE else Modality.MR
    return SliceRecord("s", "t", patient, "s", "s", 0, modality, protocol, plane, organs=organs, stations=stations)


@cache
def word(text):
    return np.random.default_rng(crc32(text.encode())).normal(size=WIDTH)


def words_embedding(text):
    """A direction that depends on the set of words alone."""
    return np.sum([word(w) for w in sorted(set(text.replace(",", "").split()))], axis=0)


def embed(texts):
    return (
        normalize(torch.tensor(np.stack([words_embedding(t) for t in texts])).float(), dim=1)
        if texts
        else torch.empty(0, WIDTH)
    )


def cosines(images, texts):
    return (images @ texts.T).double().numpy()


def test_the_wording_is_that_of_pmc_ms():
    assert tuple(compose_config("config").eval.captions.wording) == PMC_MS


def test_captions_are_distinct_and_the_commonest_come_first():
    records = [record(("liver",), ("abdomen",))] * 2 + [record((), ("chest",)), record((), (), Protocol.T2)]
    found = plausible_captions(Manifest(records), TAXONOMY)
    assert [c.text for c in found] == [
        "A axial oriented CT image of liver organs belong to abdomen region",
        "A axial oriented CT image of chest region",
        "A axial oriented MR T2 image",
    ]
    assert found[0] == Caption(found[0].text, "CT", "axial", ("liver",), ("abdomen",))
    assert plausible_captions(records, TAXONOMY, most=1) == found[:1]


def test_the_bank_finds_what_numpy_finds():
    captions = [make_caption(m, p.value, (o,), ()) for m in MODALITIES for p in Orientation for o in TAXONOMY.organs]
    bank = CaptionBank(embed, cosines, 10_000)
    bank.places(captions)
    images = normalize(torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(0)), dim=1)
    scores = images.numpy() @ embed([c.text for c in captions]).numpy().T
    for found, row in zip(bank.best(images), scores, strict=True):
        assert found.caption == captions[row.argmax()]
        assert found.score == pytest.approx(row.max(), abs=1e-6)


def test_a_bank_embeds_each_caption_once_and_refuses_what_has_no_room():
    asked = []

    def counted(texts):
        asked.extend(texts)
        return embed(texts)

    captions = [make_caption("CT", "axial", (organ,), ()) for organ in TAXONOMY.organs]
    bank = CaptionBank(counted, cosines, 5)
    assert bank.places([captions[0], captions[1], captions[0]]) == [0, 1, 0]
    assert bank.places(captions) == [0, 1, 2, 3, 4]
    assert len(asked) == 5 and bank.refused == set(captions[5:])
    with pytest.raises(ValueError, match="no caption to choose from"):
        CaptionBank(embed, cosines, 5).best(torch.ones(1, WIDTH))


def every_caption(longest):
    for station in TAXONOMY.stations:
        belong = [o for o in TAXONOMY.organs if station in TAXONOMY.organ_stations[o]]
        for size in range(1, longest + 1):
            for organs in combinations(belong, size):
                for modality in MODALITIES:
                    yield from (make_caption(modality, p.value, organs, (station,)) for p in Orientation)


def test_a_beam_that_drops_nothing_is_brute_force():
    captions = list(every_caption(2))
    images = normalize(torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(1)), dim=1)
    table = embed([c.text for c in captions])
    beam = CaptionBeam(CaptionBank(embed, cosines, 10**6), TAXONOMY, PMC_MS, width=10**6, longest=2)
    for found, scores in zip(beam.best(images), images @ table.T, strict=True):
        assert found.score == pytest.approx(float(scores.max()), abs=1e-6)
        assert found.caption == captions[int(scores.argmax())]


def test_a_narrow_beam_grows_an_unseen_set_of_organs_inside_its_station():
    truth = make_caption("MR T2", "coronal", ("lungs", "heart", "liver"), ("chest",))
    images = embed([truth.text])
    found = CaptionBeam(CaptionBank(embed, cosines, 20_000), TAXONOMY, PMC_MS, width=8, longest=4).best(images)[0]
    assert found.caption == truth and found.score == pytest.approx(1.0, abs=1e-5)
    short = CaptionBeam(CaptionBank(embed, cosines, 20_000), TAXONOMY, PMC_MS, width=8, longest=2).best(images)[0]
    assert len(short.caption.organs) == 2
    everywhere = embed(["MR T2 coronal brain knee lungs liver chest image of organs"])
    for n in range(1, 4):
        caption = (
            CaptionBeam(CaptionBank(embed, cosines, 20_000), TAXONOMY, PMC_MS, width=n, longest=5)
            .best(everywhere)[0]
            .caption
        )
        assert all(caption.stations[0] in TAXONOMY.organ_stations[organ] for organ in caption.organs)


def test_no_room_stops_the_growth_not_the_search():
    starts = sum(map(len, TAXONOMY.organ_stations.values())) * len(MODALITIES) * len(Orientation)
    bank = CaptionBank(embed, cosines, starts)
    found = CaptionBeam(bank, TAXONOMY, PMC_MS, width=2, longest=3).best(embed(["CT axial liver kidneys abdomen"]))
    assert len(found[0].caption.organs) == 1 and bank.refused


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (("MR T2", "axial", ("liver", "kidneys"), ("abdomen",)), (1, 1, 1, 1, 1, 1)),
        (("MR", "axial", ("kidneys", "liver"), ("abdomen", "pelvis")), (1, 1, 1, 1, 1, 0)),  # one station too many
        (("MR T1", "coronal", ("liver", "lungs"), ("chest",)), (0, 0, 0, 0.5, 0, 0)),
        (("CT", "axial", (), ()), (0, 1, 0, 0, 0, 0)),
    ],
)
def test_slots_by_hand(named, expected):
    truth = make_caption("MR T2", "axial", ("liver", "kidneys"), ("abdomen",))
    assert tuple(judge(make_caption(*named), Truth(truth)).values()) == expected


def test_a_slice_without_labels_is_right_where_nothing_is_named():
    bare = make_caption("MR", "axial", (), ())
    verdict = judge(make_caption("MR STIR", "axial", (), ()), Truth(bare))
    assert (verdict["organ_f1"], verdict["organ_exact"], verdict["all"]) == (1.0, 1.0, 1.0)
    assert np.isnan(verdict["station"])


@pytest.mark.parametrize(
    ("organs", "stations", "counted"),
    [
        (None, ("abdomen",), {"modality", "orientation", "station"}),
        (("liver",), None, {"modality", "orientation", "organ_f1", "organ_exact"}),
        (None, None, {"modality", "orientation"}),
        ((), ("abdomen",), {"modality", "orientation", "station", "organ_f1", "organ_exact", "all"}),
    ],
)
def test_each_slot_counts_only_where_it_is_known(organs, stations, counted):
    train = [record(("liver",), ("abdomen",)), record((), ("abdomen",))]
    shown = [record(organs, stations)]
    images = embedded(embed(["A axial oriented CT image"]), shown, **label_matrices(shown, TAXONOMY))
    retrieval = CaptionRetrieval(TAXONOMY, wording=PMC_MS, beam=0)
    table = retrieval.predict(FakeRun({"test": {"set1": images}}, embed, train))
    scores = {score.cell.split("/")[2]: score for score in retrieval.score(table)}
    assert {slot for slot, score in scores.items() if score.n} == counted
    assert {slot for slot, score in scores.items() if not np.isnan(score.value)} == counted
    assert table["reachable"].isna().tolist() == ["all" not in counted]
    (truth,) = table["truth"]
    assert ("liver" in truth, "abdomen" in truth) == (organs == ("liver",), stations is not None)


@pytest.mark.parametrize(
    ("named", "f1", "exact"),
    [
        (("liver",), 1.0, 1.0),
        (("liver", "kidneys"), 1.0, 1.0),
        (("kidneys",), 0.0, 0.0),
        (("liver", "kidneys", "lungs"), 2 / 3, 0.0),
    ],
)
def test_a_caption_with_an_organ_that_is_left_open_is_no_less_right(named, f1, exact):
    truth = Truth(make_caption("CT", "axial", ("liver",), ("abdomen",)), unsure=frozenset({"kidneys"}))
    found = judge(make_caption("CT", "axial", named, ("abdomen",)), truth)
    assert (found["organ_f1"], found["organ_exact"], found["all"]) == (pytest.approx(f1), exact, exact)


def test_what_is_left_open_is_said_in_no_caption():
    shown = [replace(record(("liver",), ("abdomen",)), unsure=("kidneys",))]
    train = [record(("liver", "kidneys"), ("abdomen",))]
    images = embedded(embed(["liver kidneys abdomen"]), shown, **label_matrices(shown, TAXONOMY))
    table = CaptionRetrieval(TAXONOMY, wording=PMC_MS, beam=0).predict(FakeRun({"test": {"s": images}}, embed, train))
    assert "kidneys" in table["caption"][0] and "kidneys" not in table["truth"][0]
    assert table[["organ_f1_right", "organ_exact_right", "all_right"]].to_numpy().tolist() == [[1.0, 1.0, 1.0]]
    stated_too = replace(shown[0], organs=("liver", "kidneys"))  # whatever else its source says of them
    assert {c.organs for c in plausible_captions([*shown, stated_too], TAXONOMY)} == {("liver",)}


def test_a_wording_must_do_without_organs_and_stations():
    with pytest.raises(ValueError, match="must need neither organ nor station"):
        CaptionRetrieval(TAXONOMY, wording=PMC_MS[:1])


def test_rows_and_cells_of_a_test_set():
    train = [record(("liver",), ("abdomen",)), record(("brain",), ("head",), Protocol.T1)]
    shown = [*train, record(("liver", "kidneys"), ("abdomen",), patient="q"), record((), (), patient="q")]
    truths = [c.text for r in shown for c in plausible_captions([r], TAXONOMY)]
    images = embedded(embed(truths), shown, **label_matrices(shown, TAXONOMY))
    retrieval = CaptionRetrieval(TAXONOMY, wording=PMC_MS, grown=5000, resamples=50)
    table = retrieval.predict(FakeRun({"test": {"set1": images}}, embed, train))
    assert len(table) == len(shown) * len(WAYS)
    seen = table[table["way"] == "seen"]
    assert seen["reachable"].tolist() == [1.0, 1.0, 0.0, 0.0]
    assert seen["all_right"].tolist() == [1.0, 1.0, 0.0, 0.0]
    assert seen["organ_f1_right"].tolist()[:3] == [1.0, 1.0, pytest.approx(2 / 3)]
    assert table["truth"].tolist() == truths * 2
    scores = {score.cell: score for score in retrieval.score(table)}
    assert scores["caption/seen/all/set1"].value == 0.5
    assert scores["caption/seen/station/set1"].n == 3  # the last slice has none
    own = retrieval.predict(OwnWay({"test": {"set1": images}}, embed, train))  # the caption that is least alike
    worst = [min(plausible_captions(train, TAXONOMY), key=lambda c: float(x @ embed([c.text])[0])).text
             for x in images.embeddings]  # fmt: skip
    assert own[own["way"] == "seen"]["caption"].tolist() == worst != seen["caption"].tolist()
    with pytest.raises(ValueError, match=r"data\.train has no slice"):
        retrieval.predict(FakeRun({"test": {"set1": images}}, embed, []))
