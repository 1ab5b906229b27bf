"""Contrastive-binary against a plain computation, and its false pairs."""

import math

import numpy as np
import pytest
import torch
from batches import make_prompts
from methods import END, START, batch, make

from anatomy_clip.objectives import contrastive_binary
from anatomy_clip.objectives.contrastive_binary import false_partners


def logits_by_hand(model, objective, data):
    """(N, M) each image's and each text's pooled features joined, through the two layers of an MLP."""
    with torch.no_grad():
        image = model.encode_image(data.images).pooled.numpy()
        text = model.encode_text(data.texts["caption"].ids).pooled.numpy()
    weights = {name: value.detach().numpy() for name, value in objective.named_parameters()}
    first = np.concatenate([weights["image_half.weight"], weights["text_half.weight"]], axis=1)  # (H, W + W')
    found = np.zeros((len(image), len(text)))
    for n, v in enumerate(image):
        for m, u in enumerate(text):
            hidden = np.maximum(first @ np.concatenate([v, u]) + weights["image_half.bias"], 0)
            found[n, m] = (weights["last.weight"] @ hidden + weights["last.bias"]).item()
    return found


def test_the_loss_is_that_of_true_pairs_and_of_as_many_false_ones():
    model, objective = make("contrastive_binary", dtype=torch.float64)
    data = batch("contrastive_binary")
    logits = logits_by_hand(model, objective, data)
    partners = false_partners(data.rows).tolist()
    right = [-math.log(1 / (1 + math.exp(-logits[n, n]))) for n in range(8)]
    wrong = [-math.log(1 - 1 / (1 + math.exp(-logits[n, m]))) for n, m in enumerate(partners)]
    found = objective(model, data)
    assert float(found.loss.detach()) == pytest.approx(sum(right + wrong) / 16, abs=1e-6)
    assert float(found.terms["false_pairs"]) == pytest.approx(sum(wrong) / 8, abs=1e-6)


def test_similarity_is_the_logit_of_every_pair_however_many_at_once(monkeypatch):
    model, objective = make("contrastive_binary", dtype=torch.float64)
    data = batch("contrastive_binary")
    texts = data.texts["caption"]
    with torch.no_grad():
        images = objective.embed_images(model.encode_image(data.images))
        spoken = objective.embed_texts(model.encode_text(texts.ids), texts)
        expected = logits_by_hand(model, objective, data)
        np.testing.assert_allclose(objective.similarity(images, spoken).numpy(), expected, atol=1e-6)
        monkeypatch.setattr(contrastive_binary, "_NUMBERS", 300)  # three images of 8 texts x 12 units
        np.testing.assert_allclose(objective.similarity(images, spoken).numpy(), expected, atol=1e-6)
        same = torch.tensor([[[START, 5, 6, END]] * 3])  # a class of three equal prompts is as one prompt
        one = objective.embed_classes(model, make_prompts(same[:, :1]))
        torch.testing.assert_close(objective.embed_classes(model, make_prompts(same)), one)
        assert objective.similarity(images, one).shape == (8, 1)


def test_false_partners_are_others_each_as_often_and_the_same_in_whatever_order():
    generator = np.random.default_rng(0)
    counts = np.zeros((6, 6))
    for _ in range(3000):
        rows = torch.from_numpy(generator.permutation(1000)[:6])
        partners = false_partners(rows)
        order = torch.from_numpy(generator.permutation(6))
        assert dict(zip(rows[order].tolist(), rows[order][false_partners(rows[order])].tolist(), strict=True)) == dict(
            zip(rows.tolist(), rows[partners].tolist(), strict=True)
        )
        np.add.at(counts, (np.arange(6), partners.numpy()), 1)
    assert (np.diag(counts) == 0).all()
    others = counts[~np.eye(6, dtype=bool)]  # 600 expected of each, deviation 22
    assert others.min() > 500 and others.max() < 700
    assert false_partners(torch.tensor([3, 8])).tolist() == [1, 0]
