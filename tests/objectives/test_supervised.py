"""Supervised training on findings against the definition of binary cross entropy."""

import math
from dataclasses import replace

import pytest
import torch
from methods import FINDINGS, batch, make


def by_hand(logits, labels):
    """Mean over the known labels alone."""
    terms = []
    for row, stated in zip(logits.tolist(), labels.tolist(), strict=True):
        for x, label in zip(row, stated, strict=True):
            if label >= 0:
                share = 1 / (1 + math.exp(-x))
                terms.append(-math.log(share if label else 1 - share))
    return sum(terms) / len(terms)


def test_the_loss_is_the_mean_over_known_labels():
    model, objective = make("supervised", dtype=torch.float64)
    data = batch("supervised")
    labels = data.labels["finding"]
    assert set(labels.unique().tolist()) == {-1, 0, 1} and labels.shape == (8, len(FINDINGS))
    with torch.no_grad():
        logits = objective.head(model.encode_image(data.images).pooled)
        assert float(objective(model, data).loss) == pytest.approx(by_hand(logits, labels), abs=1e-6)


def test_a_batch_of_unknown_labels_teaches_nothing_and_breaks_nothing():
    model, objective = make("supervised")
    data = batch("supervised")
    unknown = replace(data, labels={"finding": torch.full_like(data.labels["finding"], -1)})
    loss = objective(model, unknown).loss
    loss.backward()
    assert float(loss.detach()) == 0
    assert all(not p.grad.any() for p in objective.parameters())
