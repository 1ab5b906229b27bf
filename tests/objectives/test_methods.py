"""ConVIRT, SimCLR and MoCo v2, each against a plain computation in float64; all methods on two ranks."""

import math
import sys
from functools import partial

import pytest
import torch
from batches import captions, make_batch
from methods import METHODS, RESNET, VIT, batch, make
from ranks import on_two_ranks, share

from anatomy_clip.objectives import base


def unit(rows):
    return [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in rows]


def cross_entropy(logits, right):
    """Of one row, by the definition."""
    return math.log(sum(math.exp(x) for x in logits)) - logits[right]


def dots(row, rows, scale):
    return [scale * sum(a * b for a, b in zip(row, other, strict=True)) for other in rows]


def test_convirt_is_the_papers_equations_written_out():
    model, objective = make("convirt", dtype=torch.float64)
    data = batch("convirt")
    with torch.no_grad():
        image = unit(objective.image_head(model.encode_image(data.images).pooled).tolist())
        text = unit(objective.text_head(model.encode_text(captions(data)).pooled).tolist())
        found = objective(model, data)
    to_text = sum(cross_entropy(dots(v, text, 10), n) for n, v in enumerate(image)) / len(image)
    to_image = sum(cross_entropy(dots(u, image, 10), n) for n, u in enumerate(text)) / len(text)
    assert float(found.loss) == pytest.approx(0.75 * to_text + 0.25 * to_image, abs=1e-6)
    similar = objective.similarity(objective.embed_images(model.encode_image(data.images)), torch.tensor(text).double())
    torch.testing.assert_close(similar, torch.tensor([dots(v, text, 1) for v in image], dtype=torch.float64))


def test_convirt_takes_the_first_of_several_captions():
    model, objective = make("convirt")
    data = batch("convirt")
    more = make_batch(data.images, torch.cat([captions(data), captions(data).roll(1, 0)]))
    assert torch.equal(objective(model, more).loss, objective(model, data).loss)


def test_simclr_is_equation_1_written_out():
    model, objective = make("simclr", dtype=torch.float64)
    data = batch("simclr")
    with torch.no_grad():
        z = unit(objective.head(model.encode_image(data.images).pooled).tolist())
        found = float(objective(model, data).loss)
    losses = []
    for n, view in enumerate(z):
        others = [m for m in range(len(z)) if m != n]
        losses.append(cross_entropy(dots(view, [z[m] for m in others], 10), others.index((n + 8) % 16)))
    assert found == pytest.approx(sum(losses) / len(losses), abs=1e-6)


def test_moco_is_equation_1_written_out_and_its_queue_wraps_round():
    model, objective = make("moco", dtype=torch.float64)
    data = batch("moco")
    queue, before = objective.queue.tolist(), [p.clone() for p in objective.momentum_encoder.parameters()]
    with torch.no_grad():
        first, second = (model.pixels(view) for view in data.views())
        query = unit(objective.head(model.image(first).pooled).tolist())
        tower, head = (objective.momentum_encoder[part] for part in ("tower", "head"))
        key = unit(head(tower(second).pooled).tolist())  # no norm in this tower knows of the others, whatever the parts
    found = objective(model, data)
    losses = [cross_entropy(dots(q, [key[n], *queue], 5), 0) for n, q in enumerate(query)]
    assert float(found.loss) == pytest.approx(sum(losses) / len(losses), abs=1e-6)
    found.loss.backward()
    assert all(p.grad is None for p in objective.momentum_encoder.parameters())
    torch.optim.SGD([*model.parameters(), *objective.parameters()], lr=0.1).step()
    objective.after_optimizer_step(model)
    now = [*model.image.parameters(), *objective.head.parameters()]
    for old, moved, followed in zip(before, objective.momentum_encoder.parameters(), now, strict=True):
        torch.testing.assert_close(moved, 0.9 * old + 0.1 * followed)
    torch.testing.assert_close(objective.queue[:8], torch.tensor(key).double())
    assert objective.queue[8:].tolist() == queue[8:] and int(objective.cursor) == 8
    for _ in range(2):  # rows 8 to 23 of 20
        objective(model, data)
        objective.after_optimizer_step(model)
    assert int(objective.cursor) == 4
    torch.testing.assert_close(objective.queue.norm(dim=1), torch.ones(20).double())


def test_accumulated_batches_move_the_momentum_encoder_once_and_all_enter_the_queue():
    model, objective = make("moco")
    data = batch("moco", n=4)
    torch.manual_seed(3)
    keys = []
    for part in range(4):
        one = make_batch(data.images.roll(part, 0), rows=range(4))
        objective(model, one)
        keys.append(objective._pending[-1])
    moves = []
    lerp = torch._foreach_lerp_
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "_foreach_lerp_", lambda *given: (moves.append(1), lerp(*given)))
        objective.after_optimizer_step(model)
    assert moves == [1] and int(objective.cursor) == 16
    assert torch.equal(objective.queue[:16], torch.cat(keys))


def test_the_momentum_encoder_trains_its_own_norm_statistics_in_shuffled_parts():
    model, objective = make("moco", RESNET)
    norms = [m for m in objective.momentum_encoder.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(norm.training for norm in norms)
    objective(model, batch("moco", side=32))
    assert {int(norm.num_batches_tracked) for norm in norms} == {2}  # once a part
    own = [m for m in model.image.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {int(norm.num_batches_tracked) for norm in own} == {1}


def step(method, data, vision=VIT):
    """Loss and gradients of a batch, and MoCo's queue after the step."""
    model, objective = make(method, vision, torch.float64)  # rounding differs between one process and two
    losses = objective(model, data)
    losses.loss.backward()
    objective.after_optimizer_step(model)
    trained = {n: p for n, p in [*model.named_parameters(), *objective.named_parameters()] if p.requires_grad}
    return losses.loss.detach(), {n: p.grad for n, p in trained.items()}, getattr(objective, "queue", torch.zeros(0))


def mean_of_ranks(method, rank):
    loss, gradients, queue = step(method, share(batch(method), rank))
    for value in (loss, *gradients.values()):
        torch.distributed.all_reduce(value)
        value /= 2
    return loss, gradients, queue


@pytest.mark.parametrize("method", METHODS)
def test_two_ranks_have_the_gradients_and_the_queue_of_one_process(method, tmp_path):
    loss, gradients, queue = step(method, batch(method))
    assert all(gradient is not None for gradient in gradients.values())  # all that is said to be trained is
    for rank_loss, rank_gradients, rank_queue in on_two_ranks(partial(mean_of_ranks, method), tmp_path):
        torch.testing.assert_close(rank_loss, loss)
        torch.testing.assert_close(rank_queue, queue)
        for name, gradient in gradients.items():
            torch.testing.assert_close(rank_gradients[name], gradient, atol=1e-6, rtol=1e-5, msg=name)


def queues(rank):
    return step("moco", share(batch("moco", side=32), rank), RESNET)[2]


def test_queues_agree_between_ranks_with_batch_statistics_too(tmp_path):
    one, other = on_two_ranks(queues, tmp_path)
    assert torch.equal(one, other)
    torch.testing.assert_close(one.norm(dim=1), torch.ones(20).double())


@pytest.mark.parametrize(
    "method", ["simclr", "moco", "caption_transformer", "caption_lstm", "supervised", "supervised_classes"]
)
def test_a_method_that_compares_no_texts_builds_no_text_tower(method):
    model, objective = make(method)
    assert not objective.compares
    assert model.text is None and not any("text" in name for name in model.state_dict())
    with pytest.raises(ValueError, match="has no text tower"):
        model.encode_text(torch.ones(1, 3, dtype=torch.int64))


@pytest.mark.parametrize("method", ["convirt", "simclr", "gloria", "contrastive_binary"])
def test_a_batch_of_one_is_refused_but_where_another_rank_has_one_too(method, monkeypatch):
    model, objective = make(method)
    model.eval(), objective.eval()  # norm layers refuse one row in training mode
    one = batch(method, 1)
    with pytest.raises(ValueError, match=r"^data\.batch_size: a batch of one sample .* to 2 or more"):
        objective(model, one)
    monkeypatch.setattr(base, "_ranks", lambda: 2)
    for name in ("gather_with_grad", "gather"):
        monkeypatch.setattr(sys.modules[type(objective).__module__], name, lambda x: torch.cat([x, x]), raising=False)
    assert torch.isfinite(objective(model, one).loss)
