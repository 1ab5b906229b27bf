"""The source: deterministic by (seed, cohort, patient); labels are what the slice shows."""

import pickle

import numpy as np
import pytest

from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.sources.phantom.planes import make_plane
from anatomy_clip.sources.phantom.source import PhantomSource, structure_areas
from anatomy_clip.sources.phantom.structures import STRUCTURES, label_id

SMALL = {"patients": 2, "series_per_patient": 2, "slices_per_series": 3}
COHORTS = {
    "train": SMALL,
    "shifted": SMALL | {"ct": {"noise_hu": [9, 20]}, "mr": {"noise": [0.03, 0.08]}, "habitus": [0.6, 1.0]},
    "figures": SMALL | {"figures": True, "one_sided_weight": 0.1},
}


def make(seed=0):
    return PhantomSource(COHORTS, seed=seed, pixels=64)


def patient(source, split="train", number=0):
    return list(source.slices(split, source.volumes(split)[number]))


@pytest.fixture(scope="module")
def first():
    return patient(make())


def same(a, b):
    return len(a) == len(b) and all(
        np.array_equal(x.pixels, y.pixels) and r == s for (x, r), (y, s) in zip(a, b, strict=True)
    )


def test_the_same_seed_cohort_and_patient_give_the_same_slices(first):
    assert first
    assert same(first, patient(pickle.loads(pickle.dumps(make()))))


def test_other_seed_cohort_or_patient_give_others(first):
    assert not same(first, patient(make(seed=1)))
    assert not same(first, patient(make(), "shifted"))
    assert not same(first, patient(make(), number=1))


def test_a_patient_does_not_depend_on_those_before(first):
    source = make()
    patient(source, number=1)
    assert same(first, patient(source))


def test_slices_and_records_agree(first):
    for shown, record in first:
        assert max(shown.pixels.shape) == 64
        assert shown.pixels.dtype == np.float32
        assert np.isfinite(shown.pixels).all()
        assert (record.modality, record.protocol) == (shown.modality, shown.protocol)
        assert record.spacing_mm == shown.spacing_mm
        assert record.structures
        if record.modality is Modality.CT:
            assert record.protocol is Protocol.NONE
            assert -1024 <= shown.pixels.min() < shown.pixels.max() <= 3071
        h, w = np.array(shown.pixels.shape) * record.spacing_mm
        assert sum(record.structures.values()) <= h * w * 1.001


def test_areas_are_counted_pixels_summed_by_name():
    plane = make_plane((0, 0, 0), np.eye(3), Orientation.AXIAL, (100, 100), 50, 1.0)  # 4 mm2 a pixel
    labels = np.zeros((50, 50), np.uint8)
    labels[:5, :5] = label_id("heart", "blood")
    labels[5:7, :5] = label_id("heart", "heart_muscle")
    labels[10, :3] = label_id("liver")
    assert structure_areas(labels, plane) == pytest.approx({"heart": 35 * 4.0, "liver": 12.0})


def test_patients_are_never_shared_between_cohorts():
    source = make()
    manifests = {
        split: Manifest(r for v in source.volumes(split) for _, r in source.slices(split, v))
        for split in ("train", "shifted")
    }
    assert not manifests["train"].patients() & manifests["shifted"].patients()


def test_figures_have_captions():
    made = patient(make(), "figures")
    assert made
    assert all(record.caption for _, record in made)
    assert all(not record.caption for _, record in patient(make()))


def test_faults_are_named():
    with pytest.raises(ValueError, match=r"cohort 'train' has the unknown field.*patient;"):
        PhantomSource({"train": {"patient": 3}})
    with pytest.raises(ValueError, match=r"cohort 'train', ct has the unknown field.*noise;"):
        PhantomSource({"train": SMALL | {"ct": {"noise": 1}}})
    with pytest.raises(ValueError, match="no cohort 'test'; there are train"):
        make().volumes("test")
    with pytest.raises(ValueError, match="no patient 'phantom-train-00002'"):
        list(make().slices("train", "phantom-train-00002"))
    assert len(STRUCTURES) >= 40
