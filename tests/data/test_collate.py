import numpy as np
import pytest
import torch
from batches import captions

from anatomy_clip.data.collate import Collate
from anatomy_clip.data.dataset import Sample
from anatomy_clip.models.tokenizers import tokenize
from anatomy_clip.models.words import WordTokenizer

TEXTS = ["", "An image of Axial CT scan", "a  knee, thigh", "humerus " * 20]


def make_sample(row, *texts):
    image = np.full((4, 4), row, np.uint8)
    labels = {space: np.eye(k, dtype=np.int8)[row % k] for space, k in (("organ", 20), ("station", 5), ("modality", 2))}
    return Sample(image[None], {"caption": texts}, labels, row)


def test_tokens_are_open_clips():
    from open_clip.tokenizer import SimpleTokenizer

    expected = SimpleTokenizer(context_length=77)(TEXTS)
    assert torch.equal(tokenize(TEXTS, trim=False), expected)
    trimmed = tokenize(TEXTS)
    assert trimmed.shape == (4, int((expected != 0).sum(1).max()))
    assert torch.equal(trimmed, expected[:, : trimmed.shape[1]])
    assert tokenize([]).shape == (0, 0)


def test_a_caption_is_never_cut():
    fits = "knee " * 75
    assert tokenize([fits]).shape == (1, 77)
    with pytest.raises(ValueError, match=r"caption of 78 tokens.*context of 77.*'knee"):
        tokenize(["short", fits + "knee"])
    with pytest.raises(ValueError, match="context of 32"):
        Collate(32)([make_sample(0, fits)])


def test_batch():
    batch = Collate()([make_sample(2, "a liver"), make_sample(1, "a liver and two kidneys")])
    assert batch.images.shape == (2, 1, 4, 4) and batch.images.dtype == torch.uint8
    assert batch.images[:, 0, 0, 0].tolist() == [2, 1] == batch.rows.tolist()
    assert captions(batch).dtype == torch.int64 and captions(batch).shape == (2, 8)
    assert captions(batch)[0, 4:].tolist() == [0, 0, 0, 0]
    assert batch.texts["caption"].mask.tolist() == [[True] * 4 + [False] * 4, [True] * 8]
    assert batch.labels["organ"].shape == (2, 20) and batch.labels["organ"].dtype == torch.int8
    assert [batch.labels[space].argmax(1).tolist() for space in ("organ", "station")] == [[2, 1], [2, 1]]
    assert batch.labels["modality"].tolist() == [[1, 0], [0, 1]]
    assert len(batch) == 2


def test_several_captions_a_slice_stand_one_after_the_other():
    batch = Collate()([make_sample(2, "a liver", "two kidneys"), make_sample(1, "a knee", "a leg in two parts")])
    assert batch.texts["caption"].sample.tolist() == [0, 1, 0, 1]
    assert torch.equal(captions(batch), tokenize(["a liver", "a knee", "two kidneys", "a leg in two parts"]))
    assert batch.texts["caption"].mask.sum(dim=1).tolist() == [4, 4, 5, 7]
    assert [part.texts["caption"].mask.sum(dim=1).tolist() for part in batch.by_text("caption")] == [[4, 4], [5, 7]]
    assert len(batch) == 2 and len(batch.by_text("caption")) == 2
    spoken = [["a liver", "a knee"], ["two kidneys", "a leg in two parts"]]
    for one, texts in zip(batch.by_text("caption"), spoken, strict=True):
        assert torch.equal(one.images, batch.images)
        assert torch.equal(captions(one)[:, : tokenize(texts).shape[1]], tokenize(texts))


def test_views_stand_one_after_the_other():
    samples = [Sample(np.stack([np.full((4, 4), 10 * v + n, np.uint8) for v in range(2)]), {}, {}, n) for n in range(3)]
    batch = Collate()(samples)
    assert len(batch) == 3 and not batch.texts
    assert [view[:, 0, 0, 0].tolist() for view in batch.views()] == [[0, 1, 2], [10, 11, 12]]


def test_words_stay_beside_their_tokens():
    vocabulary = WordTokenizer(["a", "knee", "liver"])
    batch = Collate(8, vocabulary)([make_sample(2, "a liver", "knee"), make_sample(1, "a big knee", "a")])
    expected = [[-1, 0, 1, -1, -1], [-1, 0, 1, 2, -1], [-1, 0, -1, -1, -1], [-1, 0, -1, -1, -1]]
    assert batch.texts["caption"].word.tolist() == expected
    parts = [part.texts["caption"] for part in batch.to("cpu").by_text("caption")]
    assert torch.equal(torch.cat([part.word for part in parts]), batch.texts["caption"].word)
    assert all(torch.equal(part.word >= 0, part.ids > 2) for part in parts)
    assert Collate()([make_sample(2, "a liver")]).by_text("caption")[0].texts["caption"].word is None
