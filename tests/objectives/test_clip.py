import math
from functools import partial

import numpy as np
import pytest
import torch
from batches import captions as captions_of
from batches import make_batch
from open_clip import ClipLoss
from ranks import on_two_ranks, share
from torch import nn
from torch.nn.functional import normalize

from anatomy_clip.core.types import Features
from anatomy_clip.objectives.base import gather_with_grad
from anatomy_clip.objectives.clip import CLIP
from anatomy_clip.objectives.losses import image_text_contrastive
from anatomy_clip.objectives.positives import SameCaption


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_leaves_the_logits_in_full_precision(dtype):
    image, text = (e.to(dtype) for e in embeddings())
    wanted = image_text_contrastive(image.double(), text.double(), torch.tensor(100.0).double())
    with torch.autocast("cpu", torch.bfloat16):
        found = image_text_contrastive(image, text, torch.tensor(100.0))
    torch.testing.assert_close(torch.stack(found).double(), torch.stack(wanted), rtol=1e-5, atol=0)


class Stub(nn.Module):
    """A linear model in place of two towers; tokens are made floats."""

    initial_logit_scale = math.log(1 / 0.07)

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.image, self.text = nn.Linear(4, 3), nn.Linear(4, 3)

    def encode_image(self, images):
        pooled = self.image(images.float().flatten(1))
        return Features(pooled, pooled[:, None], normalize(pooled, dim=-1))

    def encode_text(self, tokens):
        pooled = self.text(tokens.float())
        return Features(pooled, pooled[:, None], normalize(pooled, dim=-1))


def batch(n=8, captions=1):
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 9, (n, 1, 2, 2), generator=generator, dtype=torch.uint8)
    tokens = torch.randint(0, 9, (captions * n, 4), generator=generator)
    return make_batch(images, tokens)


def gradients(model, objective):
    return [p.grad.clone() for p in [*model.parameters(), *objective.parameters()]]


def test_objective_equals_open_clip_loss_and_clamps_its_temperature():
    model = Stub()
    objective = CLIP(model)
    losses = objective(model, batch())
    image, text = model.encode_image(batch().images).embedding, model.encode_text(captions_of(batch())).embedding
    torch.testing.assert_close(losses.loss, ClipLoss()(image, text, torch.tensor(1 / 0.07)))
    with torch.no_grad():
        objective.logit_scale.fill_(9.0)
    objective.after_optimizer_step(model)
    assert objective.logit_scale.exp().item() == pytest.approx(100.0)


def test_several_captions_a_slice_are_the_mean_of_open_clips_loss_over_them():
    model, data = Stub(), batch(captions=3)
    losses = CLIP(model)(model, data)
    image = model.encode_image(data.images).embedding
    texts = model.encode_text(captions_of(data)).embedding.reshape(3, len(data), -1)
    each = [ClipLoss()(image, text, torch.tensor(1 / 0.07)) for text in texts]
    torch.testing.assert_close(losses.loss, sum(each) / 3)
    own = [CLIP(model, positives=SameCaption())(model, one).loss for one in data.by_text("caption")]
    torch.testing.assert_close(CLIP(model, positives=SameCaption())(model, data).loss, sum(own) / 3)


def mean_gradients(rank, captions=1):
    """What DDP makes of this rank's half of the batch: the mean over ranks."""
    model = Stub()
    objective = CLIP(model)
    objective(model, share(batch(captions=captions), rank)).loss.backward()
    found = gradients(model, objective)
    for gradient in found:
        torch.distributed.all_reduce(gradient)
        gradient /= 2
    return found


@pytest.mark.parametrize("captions", [1, 2])
def test_two_processes_have_the_gradients_of_one(tmp_path, captions):
    model = Stub()
    objective = CLIP(model)
    objective(model, batch(captions=captions)).loss.backward()
    for ranks in on_two_ranks(partial(mean_gradients, captions=captions), tmp_path):
        for ours, expected in zip(ranks, gradients(model, objective), strict=True):
            torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)


def test_a_batch_of_one_is_refused():
    model = Stub()
    with pytest.raises(ValueError, match=r"^data\.batch_size: a batch of one sample has no other"):
        CLIP(model)(model, batch(1))


def test_gather_is_the_identity_in_one_process():
    x = torch.randn(2, 3)
    assert gather_with_grad(x) is x
