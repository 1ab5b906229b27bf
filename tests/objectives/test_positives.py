import numpy as np
import pytest
import torch
from batches import captions, make_batch
from ranks import on_two_ranks, share
from torch.nn.functional import normalize

from anatomy_clip.objectives.class_tokens import ClassTokens
from anatomy_clip.objectives.clip import CLIP
from anatomy_clip.objectives.losses import class_cross_entropy, image_text_contrastive
from anatomy_clip.objectives.positives import SameCaption, SharedLabels
from tests.objectives.test_clip import Stub, gradients

CAPTIONS = [[1, 2, 0], [1, 3, 0], [1, 2, 0], [2, 1, 0], [1, 2, 4], [1, 3, 0], [5, 5, 5], [0, 2, 1]]


def batch():
    generator = torch.Generator().manual_seed(2)
    n = len(CAPTIONS)
    images = torch.randint(0, 9, (n, 1, 2, 2), generator=generator, dtype=torch.uint8)
    tokens = torch.cat([torch.tensor(CAPTIONS), torch.zeros(n, 1, dtype=torch.long)], dim=1)
    organs = torch.rand(n, 5, generator=generator) > 0.5
    stations = torch.rand(n, 2, generator=generator) > 0.5
    organs[3] = stations[3] = False
    modalities = torch.tensor([0, 1, 0, 0, 1, 1, 0, 0])
    return make_batch(images, tokens, organs, stations, modalities)


def test_equal_captions_share_the_target_and_no_others():
    found = SameCaption()(batch())
    for n, one in enumerate(CAPTIONS):
        same = [m for m, other in enumerate(CAPTIONS) if other == one]
        assert found[n].tolist() == pytest.approx([1 / len(same) if m in same else 0.0 for m in range(len(CAPTIONS))])


@pytest.mark.parametrize("pad", [0, 1, 9])  # 0 and 1 are tokens of these captions too
def test_padding_makes_no_other_caption(pad):
    one = batch()
    longer = torch.nn.functional.pad(captions(one), (0, 3), value=pad)
    mask = torch.arange(longer.shape[1]) < captions(one).shape[1]
    padded = make_batch(one.images, longer, mask=mask.expand_as(longer))
    assert torch.equal(SameCaption()(one), SameCaption()(padded))


def test_a_token_of_the_paddings_id_is_text():
    tokens, lengths = torch.tensor([[1, 2, 0], [1, 2, 0], [1, 2, 0], [0, 1, 2]]), torch.tensor([2, 3, 2, 3])
    data = make_batch(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), tokens, mask=torch.arange(3) < lengths[:, None])
    assert ((SameCaption()(data) > 0) == torch.tensor([[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]])).all()


def test_soft_targets_follow_the_jaccard_index():
    data = batch()
    sets = [
        {f"o{k}" for k in np.flatnonzero(o)} | {f"s{k}" for k in np.flatnonzero(s)} | {f"m{m.argmax()}"}
        for o, s, m in zip(*(data.labels[space].numpy() for space in ("organ", "station", "modality")), strict=True)
    ]
    likeness = np.array([[len(a & b) / len(a | b) for b in sets] for a in sets])
    wanted = 0.6 * np.eye(len(sets)) + 0.4 * likeness / likeness.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(SharedLabels(0.4)(data).numpy(), wanted, atol=1e-6)
    assert torch.equal(SharedLabels(0.0)(data), torch.eye(len(sets)))
    with pytest.raises(ValueError, match="share=1"):
        SharedLabels(1)


def test_unknown_labels_take_no_part_in_the_likeness():
    organs, stations = torch.tensor([[1, 1], [1, 0], [-1, -1], [-1, -1]]), torch.tensor([[1], [-1], [0], [-1]])
    images = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    data = make_batch(images, None, organs, stations, torch.tensor([0, 0, 0, 1]))
    # {o0, o1, s, CT}, {o0, CT} of unknown stations, {CT} of unknown organs, {MR} of which nothing else is known
    likeness = np.array([[1, 2 / 3, 1 / 2, 0], [2 / 3, 1, 1, 0], [1 / 2, 1, 1, 0], [0, 0, 0, 1]])
    wanted = 0.6 * np.eye(4) + 0.4 * likeness / likeness.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(SharedLabels(0.4)(data).numpy(), wanted, atol=1e-6)


def test_so_do_labels_that_are_unknown_beside_known_ones():
    generator = torch.Generator().manual_seed(4)
    organs, stations = (torch.randint(-1, 2, (9, k), generator=generator) for k in (6, 3))
    data = make_batch(torch.zeros(9, 1, 2, 2, dtype=torch.uint8), None, organs, stations, torch.zeros(9).long())
    labels = np.concatenate([data.labels[space].numpy() for space in ("organ", "station", "modality")], axis=1)
    likeness = np.zeros((9, 9))
    for n, a in enumerate(labels):
        for m, b in enumerate(labels):
            known = [(x == 1, y == 1) for x, y in zip(a, b, strict=True) if x >= 0 and y >= 0]
            likeness[n, m] = sum(x and y for x, y in known) / sum(x or y for x, y in known)
    wanted = 0.6 * np.eye(9) + 0.4 * likeness / likeness.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(SharedLabels(0.4)(data).numpy(), wanted, atol=1e-6)


def test_the_loss_with_targets_is_the_cross_entropy_written_out():
    generator = torch.Generator().manual_seed(0)
    image, text = (normalize(torch.randn(8, 5, generator=generator), dim=-1) for _ in range(2))
    targets = SharedLabels(0.4)(batch())
    logits = 3.0 * image.double().numpy() @ text.double().numpy().T

    def by_hand(rows):
        return -(targets.numpy() * (rows - np.log(np.exp(rows).sum(axis=1, keepdims=True)))).sum(axis=1).mean()

    found = [float(term) for term in image_text_contrastive(image, text, torch.tensor(3.0), targets)]
    assert found == pytest.approx([by_hand(logits), by_hand(logits.T)], abs=1e-5)
    plain = image_text_contrastive(image, text, torch.tensor(3.0))
    torch.testing.assert_close(plain, image_text_contrastive(image, text, torch.tensor(3.0), torch.eye(8)))


def test_classes_compete_for_each_image_that_shows_one():
    logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 5.0]])
    targets = torch.tensor([[True, False, True], [False, False, False], [False, True, False]])
    share = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(axis=1, keepdims=True)
    wanted = (-(np.log(share[0, 0]) + np.log(share[0, 2])) / 2 - np.log(share[2, 1])) / 2
    assert float(class_cross_entropy(logits, targets)) == pytest.approx(wanted, abs=1e-6)
    assert float(class_cross_entropy(logits, torch.zeros(3, 3, dtype=torch.bool))) == 0.0
    labels = targets.to(torch.int8)
    for none_shown in ([-1, -1, -1], [0, 0, -1]):
        labels[1] = torch.tensor(none_shown)
        assert torch.equal(class_cross_entropy(logits, labels), class_cross_entropy(logits, targets))


def test_an_unknown_class_has_no_part_in_its_rows_softmax():
    generator = torch.Generator().manual_seed(3)
    logits = (4 * torch.randn(40, 6, generator=generator)).requires_grad_()
    labels = torch.randint(-1, 2, (40, 6), generator=generator, dtype=torch.int8)
    labels[:3] = torch.tensor([[-1] * 6, [0, 0, 0, -1, -1, -1], [1, -1, -1, -1, -1, -1]])
    rows = []
    for row, label in zip(logits.detach().double().numpy(), labels.numpy(), strict=True):
        known, shown = row[label >= 0], row[label == 1]
        if len(shown):
            rows.append(-np.mean([value - np.log(np.exp(known).sum()) for value in shown]))
    loss = class_cross_entropy(logits, labels)
    assert 0 < len(rows) < 40 and float(loss.detach()) == pytest.approx(np.mean(rows), abs=1e-5)
    loss.backward()
    counted = (labels == 1).any(dim=1, keepdim=True)
    assert torch.isfinite(logits.grad).all() and (logits.grad[(labels < 0) | ~counted] == 0).all()


def objectives(model):
    names = {"organ": torch.randint(1, 9, (5, 4)), "station": torch.randint(1, 9, (2, 4))}
    return [
        CLIP(model, positives=SameCaption()),
        CLIP(model, positives=SharedLabels(0.4)),
        ClassTokens(model, names, class_weight=0.5, positives=SameCaption()),
    ]


def step(model, objective, data):
    model.zero_grad()
    objective(model, data).loss.backward()
    return gradients(model, objective)


def mean_gradients(rank):
    """What DDP makes of this rank's half of the batch, for each objective."""
    model = Stub()
    found = [step(model, objective, share(batch(), rank)) for objective in objectives(model)]
    for gradient in (g for one in found for g in one):
        torch.distributed.all_reduce(gradient)
        gradient /= 2
    return found


def test_two_processes_have_the_gradients_of_one(tmp_path):
    model = Stub()
    alone = [step(model, objective, batch()) for objective in objectives(model)]
    for ranks in on_two_ranks(mean_gradients, tmp_path):
        for ours, expected in zip(ranks, alone, strict=True):
            for one, other in zip(ours, expected, strict=True):
                torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_class_names_add_their_own_term():
    model = Stub()
    *_, objective = objectives(model)
    losses = objective(model, batch())
    own = CLIP(model, positives=SameCaption())(model, batch())
    torch.testing.assert_close(losses.loss, own.loss + 0.5 * losses.terms["image_to_class"])
    assert "organ_tokens" not in objective.state_dict()  # the taxonomy makes them; a checkpoint doesn't carry them
