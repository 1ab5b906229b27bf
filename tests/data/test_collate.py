import numpy as np
import pytest
import torch

from anatomy_clip.data.collate import Collate
from anatomy_clip.data.dataset import Sample
from anatomy_clip.models.tokenizers import tokenize

TEXTS = ["", "An image of Axial CT scan", "a  knee, thigh", "humerus " * 20]


def make_sample(row, *captions):
    image = np.full((4, 4), row, np.uint8)
    return Sample(image, captions, np.eye(20, dtype=bool)[row], np.eye(5, dtype=bool)[row], row % 2, row)


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
    assert batch.tokens.dtype == torch.int64 and batch.tokens.shape == (2, 8)
    assert batch.tokens[0, 4:].tolist() == [0, 0, 0, 0]
    assert batch.organs.shape == (2, 20) and batch.organs.dtype == torch.bool
    assert batch.organs.int().argmax(1).tolist() == [2, 1] == batch.stations.int().argmax(1).tolist()
    assert batch.modalities.tolist() == [0, 1]
    assert len(batch) == 2


def test_several_captions_a_slice_stand_one_after_the_other():
    batch = Collate()([make_sample(2, "a liver", "two kidneys"), make_sample(1, "a knee", "a leg in two parts")])
    assert torch.equal(batch.tokens, tokenize(["a liver", "a knee", "two kidneys", "a leg in two parts"]))
    assert len(batch) == 2 and len(batch.by_caption()) == 2
    spoken = [["a liver", "a knee"], ["two kidneys", "a leg in two parts"]]
    for one, texts in zip(batch.by_caption(), spoken, strict=True):
        assert torch.equal(one.images, batch.images)
        assert torch.equal(one.tokens[:, : tokenize(texts).shape[1]], tokenize(texts))
