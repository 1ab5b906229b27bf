"""Supervised training on findings and classes against the definitions of cross entropy."""

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


def of_classes_by_hand(logits, labels):
    """Mean over the classes of the mean over their films."""
    terms = {}
    for row, shown in zip(logits.tolist(), labels.tolist(), strict=True):
        if max(shown) == 1:
            own = row[shown.index(1)]
            terms.setdefault(shown.index(1), []).append(math.log(sum(math.exp(x - own) for x in row)))
    return sum(sum(each) / len(each) for each in terms.values()) / len(terms)


@pytest.mark.parametrize("left", [7, 4])  # seven films: two of two classes, one of the third; four: one of two
def test_of_classes_all_weigh_the_same_and_films_without_one_nothing(left):
    model, objective = make("supervised_classes", dtype=torch.float64)
    data = batch("supervised_classes")
    data = replace(data, images=data.images[:left], labels={"class": data.labels["class"][:left]})
    known = [row for row in data.labels["class"].tolist() if max(row) == 1]
    assert len(known) == left - 2 and len({row.index(1) for row in known}) == min(3, left - 2)
    with torch.no_grad():
        pooled = model.encode_image(data.images).pooled
        assert float(objective(model, data).loss) == pytest.approx(
            of_classes_by_hand(objective.scores(pooled), data.labels["class"]), abs=1e-9
        )


def test_a_batch_without_a_class_teaches_nothing_and_breaks_nothing():
    model, objective = make("supervised_classes")
    data = batch("supervised_classes")
    loss = objective(model, replace(data, labels={"class": torch.full_like(data.labels["class"], -1)})).loss
    loss.backward()
    assert float(loss.detach()) == 0 and all(not p.grad.any() for p in objective.parameters())


def test_a_method_without_a_head_has_no_scores():
    _, simclr = make("simclr")
    assert not simclr.predicts and make("supervised")[1].predicts
    with pytest.raises(ValueError, match="SimCLR has no head that scores labels"):
        simclr.scores(torch.zeros(1, 32))
