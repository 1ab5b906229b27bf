import math

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from open_clip import ClipLoss
from torch import nn
from torch.nn.functional import normalize

from anatomy_clip.objectives.base import gather_with_grad
from anatomy_clip.objectives.image_text import CLIP
from anatomy_clip.objectives.losses import image_text_contrastive
from anatomy_clip.types import Batch, Features


def embeddings(n=6, d=5):
    generator = torch.Generator().manual_seed(0)
    return (normalize(torch.randn(n, d, generator=generator), dim=-1) for _ in range(2))


def test_loss_equals_eq_1_written_out_in_numpy():
    image, text = (e.numpy().astype(float) for e in embeddings())
    logits = 7.0 * image @ text.T

    def cross_entropy(rows):
        rows = rows - rows.max(axis=1, keepdims=True)
        return -np.mean(np.diag(rows) - np.log(np.exp(rows).sum(axis=1)))

    terms = image_text_contrastive(*(torch.tensor(e) for e in (image, text)), torch.tensor(7.0))
    assert [float(t) for t in terms] == pytest.approx([cross_entropy(logits), cross_entropy(logits.T)], abs=1e-6)


class Stub(nn.Module):
    """A linear model in place of two towers; tokens are made floats."""

    initial_logit_scale = math.log(1 / 0.07)

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.image, self.text = nn.Linear(4, 3), nn.Linear(4, 3)

    def encode_image(self, images):
        pooled = self.image(images.float().flatten(1))
        return Features(pooled, normalize(pooled, dim=-1))

    def encode_text(self, tokens):
        pooled = self.text(tokens.float())
        return Features(pooled, normalize(pooled, dim=-1))


def batch(n=8):
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 9, (n, 1, 2, 2), generator=generator, dtype=torch.uint8)
    tokens = torch.randint(0, 9, (n, 4), generator=generator)
    empty = torch.zeros(n, 1, dtype=torch.bool)
    return Batch(images, tokens, empty, empty, torch.zeros(n), torch.arange(n))


def gradients(model, objective):
    return [p.grad.clone() for p in [*model.parameters(), *objective.parameters()]]


def test_objective_equals_open_clip_loss_and_clamps_its_temperature():
    model = Stub()
    objective = CLIP(model)
    losses = objective(model, batch())
    image, text = model.encode_image(batch().images).embedding, model.encode_text(batch().tokens).embedding
    torch.testing.assert_close(losses.loss, ClipLoss()(image, text, torch.tensor(1 / 0.07)))
    with torch.no_grad():
        objective.logit_scale.fill_(9.0)
    objective.after_step(model)
    assert objective.logit_scale.exp().item() == pytest.approx(100.0)


def _rank(rank, folder):
    torch.set_num_threads(1)  # a forked process has lost the threads that its parent's pool counts on
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    model = Stub()
    objective = CLIP(model)
    whole = batch()
    rows = slice(4 * rank, 4 * rank + 4)
    mine = Batch(*(getattr(whole, f)[rows] for f in ("images", "tokens", "organs", "stations", "modalities", "rows")))
    objective(model, mine).loss.backward()
    mean = []
    for gradient in gradients(model, objective):
        torch.distributed.all_reduce(gradient)  # what DDP does: the mean over ranks
        mean.append(gradient / 2)
    if rank == 0:
        torch.save(mean, f"{folder}/gradients.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_have_the_gradients_of_one(tmp_path):
    mp.start_processes(_rank, args=(str(tmp_path),), nprocs=2, start_method="fork")
    model = Stub()
    objective = CLIP(model)
    objective(model, batch()).loss.backward()
    for ours, expected in zip(torch.load(tmp_path / "gradients.pt"), gradients(model, objective), strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)


def test_gather_is_the_identity_in_one_process():
    x = torch.randn(2, 3)
    assert gather_with_grad(x) is x
