"""Aggregation by hand: embeddings are axes of the label space, so that every cosine is known."""

import numpy as np
import pytest
from describe.studies import decisions

from anatomy_clip.anatomy.taxonomy import Taxonomy
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.describe.bundle.folder import Bundle, Sentence
from anatomy_clip.describe.bundle.preprocessing import Preprocessing
from anatomy_clip.describe.series import Embedded, SeriesFacts, describe_series
from anatomy_clip.imaging.intensity import Display
from anatomy_clip.inference.decisions import Decisions

TAXONOMY = Taxonomy.load("whole_body")
K, S = len(TAXONOMY.organs), len(TAXONOMY.stations)
CAPTIONS = [
    Sentence("CT of a chest", "CT", "axial"),
    Sentence("T1 of a chest", "MR T1", "axial"),
    Sentence("T2 of a chest", "MR T2", "axial"),
    Sentence("coronal CT", "CT", "coronal"),
]


@pytest.fixture(scope="module")
def bundle():
    plain = decisions(TAXONOMY).to_dict()  # any: its numbers are replaced
    for kind, labels in (("organ", TAXONOMY.organs), ("station", TAXONOMY.stations)):
        count = len(labels)
        plain[kind] |= {"slope": [40.0] * count, "intercept": [-5.0] * count, "threshold": [0.5] * count}
    plain |= {"abstain_below": 0.2}
    axes = np.eye(K + S + len(CAPTIONS), dtype=np.float32)
    return Bundle(
        "x", TAXONOMY, Decisions.from_dict(plain), Preprocessing(Display(), 8, 8), {}, tuple(CAPTIONS),
        {"organ": axes[:K], "station": axes[K : K + S], "caption": axes[K + S :]}, (), {},
    )  # fmt: skip


def looks(organs=(), stations=(), caption=None):
    """An embedding with cosine 0.8 for what is in view, 0 for the rest."""
    row = np.zeros(K + S + len(CAPTIONS), np.float32)
    for organ in organs:
        row[TAXONOMY.organs.index(organ)] = 0.8
    for station in stations:
        row[K + TAXONOMY.stations.index(station)] = 0.8
    if caption is not None:
        row[K + S + caption] = 0.8
    return row


def seen(*rows, blank=()):
    return Embedded(range(len(rows)), np.stack(rows), np.isin(np.arange(len(rows)), blank))


def axial(count, **changes):
    known = dict(modality=Modality.CT, orientation=Orientation.AXIAL, headwards=True)
    return SeriesFacts("s", positions_mm=tuple(10.0 * n for n in range(count)), **(known | changes))


def names(findings):
    return [one.name for one in findings]


def test_an_axial_stack_from_belly_to_chest(bundle):
    belly, chest = looks(["liver"], ["abdomen"], 0), looks(["lungs", "heart"], ["chest"], 0)
    one = describe_series(bundle, axial(20, body_part="CHEST"), seen(*[belly] * 8, *[chest] * 12))
    assert [(r.station, r.first, r.last, r.from_mm, r.to_mm) for r in one.ranges] == [
        ("abdomen", 0, 7, 0.0, 70.0), ("chest", 8, 19, 80.0, 190.0),
    ]  # fmt: skip
    alone = bundle.decisions.decide(*(row[None] for row in np.split(belly[: K + S], [K])))
    assert {f.name: f.score for f in one.stations}["abdomen"] == round(alone.station_probabilities.max(), 4)
    assert {f.name: f.score for f in one.organs}["liver"] == round(alone.organ_probabilities.max(), 4)
    assert {*names(one.stations), *names(one.organs)} == {"abdomen", "chest", "liver", "lungs", "heart"}
    assert (one.caption, one.abstained, one.agrees) == ("CT of a chest", False, True)
    assert names(one.slices[0].organs) == ["liver"]
    assert one.slices[3].position_mm == 30.0


def test_a_stray_slice_names_no_organ_of_the_series(bundle):
    chest, stray = looks(["lungs"], ["chest"]), looks(["brain", "neck"], ["head"])
    one = describe_series(bundle, axial(41), seen(*[chest] * 20, stray, *[chest] * 20))
    assert names(one.stations) == ["chest"]
    assert names(one.organs) == ["lungs"]  # the brain is in no station of the series, and one in 41 is under 5 %
    assert set(names(one.slices[20].organs)) == {"brain", "neck"}


def test_where_nothing_is_certain_nothing_is_named(bundle):
    one = describe_series(bundle, axial(3, body_part="CHEST"), seen(*[looks()] * 3))
    assert one.abstained
    assert (one.stations, one.organs, one.ranges, one.caption, one.agrees) == ((), (), (), "", None)
    assert all(each.abstained and not each.stations for each in one.slices)


def test_blank_slices_say_nothing_whatever_the_network_says(bundle):
    brain = looks(["brain"], ["head"])
    one = describe_series(bundle, axial(4), seen(brain, brain, brain, brain, blank=[0, 3]))
    assert [each.abstained for each in one.slices] == [True, False, False, True]
    assert [(r.first, r.last) for r in one.ranges] == [(1, 2)]
    all_blank = describe_series(bundle, axial(2), seen(brain, brain, blank=[0, 1]))
    assert all_blank.abstained


def test_other_planes_have_no_ranges_and_may_show_several_stations(bundle):
    row = looks(["liver", "lungs"], ["chest", "abdomen"], 3)
    one = describe_series(bundle, axial(3, orientation=Orientation.CORONAL, headwards=None), seen(row, row, row))
    assert not one.ranges
    assert set(names(one.stations)) == {"chest", "abdomen"}
    assert one.caption == "coronal CT"


@pytest.mark.parametrize(
    ("modality", "protocol", "caption"),
    [
        (Modality.CT, Protocol.NONE, "CT of a chest"),
        (Modality.MR, Protocol.T1, "T1 of a chest"),
        (Modality.MR, Protocol.OTHER, "T2 of a chest"),  # which MR isn't said: the best of them
        (Modality.MR, Protocol.STIR, "T2 of a chest"),  # no caption has it
    ],
)
def test_the_caption_never_contradicts_the_header(bundle, modality, protocol, caption):
    row = looks(["lungs"], ["chest"])
    row[K + S :] = [0.1, 0.2, 0.3, 0.9]
    one = describe_series(bundle, axial(1, modality=modality, protocol=protocol), seen(row))
    assert one.caption == caption


def test_slices_that_could_not_be_read_keep_their_places_free(bundle):
    row = looks(["lungs"], ["chest"])
    half = Embedded([1, 3], np.stack([row, row]), np.zeros(2, bool))
    one = describe_series(bundle, axial(4), half)
    assert [(each.index, each.position_mm) for each in one.slices] == [(1, 10.0), (3, 30.0)]
