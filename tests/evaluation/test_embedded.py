"""Test slices embedded once for all evaluators."""

import numpy as np
import pytest
import torch
from batches import make_batch
from torch.nn.functional import normalize

from anatomy_clip.core.manifest import Manifest
from anatomy_clip.core.records import SliceRecord
from anatomy_clip.core.terms import Modality, Orientation, Protocol
from anatomy_clip.core.types import Features, Wants
from anatomy_clip.evaluation.embedded import compare, embed_sets
from anatomy_clip.objectives.base import Objective


class Pixels(torch.nn.Module):
    """Embeds an image as its pixels; remembers how many it was given, and in which mode."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def encode_image(self, images):
        self.seen.append((len(images), self.training, torch.is_inference_mode_enabled()))
        pooled = images.flatten(1).float()
        return Features(pooled, pooled[:, None], normalize(pooled, dim=-1))


class Compares(Objective):
    wants = Wants(texts=("caption",), joint=True)


class LooksOnly(Objective):
    wants = Wants(views=2)


def test_every_slice_is_embedded_once_and_keeps_its_row_labels_and_record():
    torch.manual_seed(0)
    images = torch.randint(1, 200, (5, 1, 2, 2), dtype=torch.uint8)
    organs, stations = torch.randint(-1, 2, (5, 3)), torch.rand(5, 2) > 0.5
    rows = torch.tensor([4, 2, 0, 1, 3])
    records = [SliceRecord("test", "t", p, "s", "1", 0, Modality.CT, Protocol.NONE, Orientation.AXIAL) for p in "abcde"]
    batches = [make_batch(images[p], None, organs[p], stations[p], rows=rows[p]) for p in ([0, 1, 2], [3, 4])]
    model, objective = Pixels().train(), Compares().train()
    shown = embed_sets(model, objective, {"set1": (batches, Manifest(records))})["set1"]
    assert model.seen == [(3, False, True), (2, False, True)] and not objective.training
    pixels = images.flatten(1).double().numpy()
    np.testing.assert_array_equal(shown.pooled.numpy(), pixels)
    expected = pixels / np.linalg.norm(pixels, axis=1, keepdims=True)
    np.testing.assert_allclose(shown.embeddings.numpy(), expected, atol=1e-6)
    np.testing.assert_array_equal(shown.labels["organ"], organs.numpy())
    np.testing.assert_array_equal(shown.labels["station"], stations.numpy())
    assert [record.patient for record in shown.records] == ["e", "c", "a", "b", "d"]

    parts = list(shown.split(2))
    assert [len(part) for part in parts] == [2, 2, 1]
    assert [row for part in parts for row in part.rows] == [4, 2, 0, 1, 3]
    for field in ("pooled", "embeddings"):
        assert torch.equal(torch.cat([getattr(part, field) for part in parts]), getattr(shown, field))
    for space, labels in shown.labels.items():
        np.testing.assert_array_equal(np.concatenate([part.labels[space] for part in parts]), labels)


def test_a_set_without_slices_is_refused_by_name():
    with pytest.raises(ValueError, match="set empty: there is no slice to test on"):
        embed_sets(Pixels(), Compares(), {"empty": ([], Manifest([]))})


def test_a_method_that_compares_nothing_has_pooled_features_alone():
    record = SliceRecord("test", "t", "p", "s", "1", 0, Modality.CT, Protocol.NONE, Orientation.AXIAL)
    batches = [make_batch(torch.full((2, 1, 2, 2), n, dtype=torch.uint8), rows=[0, 0]) for n in (3, 5)]
    shown = embed_sets(Pixels(), LooksOnly(), {"set1": (batches, Manifest([record]))})["set1"]
    assert shown.pooled[:, 0].tolist() == [3, 3, 5, 5] and shown.embeddings is None
    assert [part.embeddings for part in shown.split(3)] == [None, None]
    with pytest.raises(ValueError, match="does not compare images with texts"):
        _ = shown.compared


@pytest.mark.parametrize("rows", [1, 7, 300])
def test_a_method_of_one_joint_space_compares_by_plain_products_to_the_bit(rows):
    generator = torch.Generator().manual_seed(rows)
    images, texts = (normalize(torch.randn(n, 128, generator=generator), dim=-1) for n in (rows, 45))
    (way,) = compare(Compares(), images, texts).items()
    np.testing.assert_array_equal(way[1], (images @ texts.T).double().numpy())
    assert way[0] == "global" and way[1].dtype == np.float64
