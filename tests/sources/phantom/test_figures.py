"""Figures: as wide as a slice, captioned within CLIP's limit, with the faults of figure collections."""

from dataclasses import replace

import numpy as np
import pytest

from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.imaging.slices import Slice
from anatomy_clip.sources.phantom.captions import MAX_WORDS, write_caption
from anatomy_clip.sources.phantom.figures import make_figure, make_figures

RECORD = SliceRecord(
    "phantom", "figures", "p0", "s0", "s0-0", 0, Modality.CT, Protocol.NONE, Orientation.AXIAL,
    {"liver": 9000.0, "spleen": 2000.0}, (3.0, 3.0), 3.0, "Apache-2.0",
)  # fmt: skip


def pair(seed=0, modality=Modality.CT):
    pixels = np.random.default_rng(seed).normal(50, 60, (80, 64)).astype(np.float32)
    protocol = Protocol.NONE if modality is Modality.CT else Protocol.T2
    shown = Slice(pixels, (3.0, 3.0), 3.0, modality, protocol, Orientation.AXIAL)
    return shown, replace(RECORD, modality=modality, protocol=protocol)


@pytest.fixture(scope="module")
def captions():
    rng = np.random.default_rng(0)
    return [write_caption([RECORD], ["arrow" if n % 2 else ""], rng) for n in range(600)]


def test_captions_are_short_varied_sentences(captions):
    assert len(set(captions)) > 300
    assert all(len(c.split()) <= MAX_WORDS and c[0].isupper() and c.endswith(".") for c in captions)


def test_captions_have_the_faults_of_figure_collections(captions):
    organ = np.mean(["liver" in c.lower() for c in captions])
    modality = np.mean(["CT" in c or "omputed" in c for c in captions])
    station = np.mean([any(w in c.lower() for w in ("abdomen", "chest", "pelvis", "lower limbs")) for c in captions])
    assert 0.4 < organ < 0.8  # the organ isn't always named
    assert 0.75 < modality < 0.95  # some captions say nothing of the picture
    assert station < 0.06


def test_many_panels_still_fit(captions):
    rng = np.random.default_rng(1)
    made = [write_caption([RECORD] * 4, ["arrow"] * 4, rng) for _ in range(200)]
    assert all(len(c.split()) <= MAX_WORDS for c in made)
    assert any("(d)" in c for c in made)


@pytest.mark.parametrize("modality", Modality)
@pytest.mark.parametrize("panels", [1, 2, 3, 4])
def test_a_figure_is_one_picture_in_the_displayed_range(modality, panels):
    shown, record = make_figure([pair(n, modality) for n in range(panels)], np.random.default_rng(panels))
    assert 64 <= max(shown.pixels.shape) <= 100
    low, high = (-160, 240) if modality is Modality.CT else (0, 255)
    assert low <= shown.pixels.min() < shown.pixels.max() <= high
    assert record.caption
    assert record.structures["liver"] == pytest.approx(9000 * panels)


def test_figures_use_every_slice_once_and_repeat_with_the_seed():
    pairs = [pair(n) for n in range(20)]
    a, b = (list(make_figures(iter(pairs), np.random.default_rng(3))) for _ in range(2))
    assert sum(r.structures["liver"] for _, r in a) == pytest.approx(20 * 9000)
    assert [r.caption for _, r in a] == [r.caption for _, r in b]
    assert all(np.array_equal(x.pixels, y.pixels) for (x, _), (y, _) in zip(a, b, strict=True))
