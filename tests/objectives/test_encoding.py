"""Every quicker or smaller way to take a step has the loss and the gradients of the plain one."""

import pytest
import torch
from batches import captions, make_batch
from ranks import on_two_ranks, share
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from anatomy_clip.models.adapt.freeze import prepare_towers
from anatomy_clip.models.towers.open_clip import from_config
from anatomy_clip.objectives.clip import CLIP
from anatomy_clip.objectives.encoding import CaptionCache, in_chunks

VIT = {"image_size": 16, "patch_size": 8, "width": 32, "layers": 3, "head_width": 16}
RESNET = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None, "head_width": 8}
TEXT = {"context_length": 16, "vocab_size": 99, "width": 32, "heads": 2, "layers": 3}


def clip(vision=VIT, **changes):
    torch.manual_seed(0)
    return from_config(16, {**vision, **changes}, TEXT)


def batch(n=16, side=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 1, side, side), generator=generator, dtype=torch.uint8)
    captions = torch.randint(1, 98, (n // 2 + 1, 7), generator=generator)  # so that some of them repeat
    captions[:, 5] = 98  # end of text
    captions[:, 6] = 0
    tokens = captions[torch.randint(0, len(captions), (n,), generator=generator)]
    return make_batch(images, tokens)


def step(model, objective, data):
    """Loss and gradients; None where nothing is trained."""
    model.zero_grad()
    objective.zero_grad()
    loss = objective(model, data).loss
    loss.backward()
    return loss.detach(), gradients(model, objective)


def gradients(model, objective):
    return [None if p.grad is None else p.grad.clone() for p in (*model.parameters(), *objective.parameters())]


def same(ours, plain):
    """The same loss and, beside the largest entry of all gradients, the same gradients."""
    (loss, grads), (plain_loss, plain_grads) = ours, plain
    # float32 kernels of some processors differ with the batch size; float64 is the proof
    close = 1e-5 if loss.dtype == torch.float32 else 1e-13
    assert abs(loss - plain_loss) <= close * plain_loss
    assert [g is None for g in grads] == [g is None for g in plain_grads]
    pairs = [(a, b) for a, b in zip(grads, plain_grads, strict=True) if b is not None]
    assert max((a - b).abs().max() for a, b in pairs) <= close * max(b.abs().max() for _, b in pairs)


def test_each_distinct_caption_encoded_once_equals_encoding_all():
    model, data = clip(), batch()
    objective = CLIP(model)
    ours = step(model, objective, data)
    model.zero_grad()
    objective.zero_grad()
    image, text = model.encode_image(data.images).embedding, model.encode_text(captions(data)).embedding
    logits = objective.logit_scale.exp() * image @ text.T
    target = torch.arange(16)
    loss = (nn.functional.cross_entropy(logits, target) + nn.functional.cross_entropy(logits.T, target)) / 2
    loss.backward()
    same(ours, (loss, gradients(model, objective)))
    assert len(captions(data).unique(dim=0)) < 16


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1, 5, 16])
def test_chunks_equal_the_whole_batch(size, dtype):
    model, data = clip().to(dtype), batch()
    chunks, plain = (CLIP(model, chunk_size=c).to(dtype) for c in (size, None))
    same(step(model, chunks, data), step(model, plain, data))


def test_chunks_replay_the_random_draws():
    layer = nn.Sequential(nn.Linear(4, 64), nn.Dropout(0.5), nn.Linear(64, 3))
    x = torch.randn(10, 4)
    gradients = []
    for encode in (lambda: in_chunks(layer, x, 4), lambda: torch.cat([layer(part) for part in x.split(4)])):
        torch.manual_seed(3)
        layer.zero_grad()
        encode().pow(2).sum().backward()
        gradients.append([p.grad.clone() for p in layer.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_one_chunk_after_the_other_is_embedded_again_and_left():
    layer, order = nn.Linear(4, 3), []

    def encode(part):
        order.append(("embed", len(part)))
        out = layer(part)
        if out.requires_grad:
            out.register_hook(lambda gradient: order.append(("gradient", len(gradient))))
        return out

    in_chunks(encode, torch.randn(6, 4, requires_grad=True), 3).sum().backward()
    assert order == [("embed", 3)] * 2 + [("gradient", 3), ("embed", 3)] * 2


def test_chunks_with_batch_statistics_are_refused_unless_frozen():
    model, data = clip(RESNET).double(), batch(side=32)
    objective = CLIP(model, chunk_size=4)
    with pytest.raises(ValueError, match=r"objective.chunk_size: the model has BatchNorm layers"):
        objective(model, data)
    model.image.requires_grad_(False).eval()
    same(step(model, objective, data), step(model, CLIP(model), data))


def test_chunk_size_below_one_is_refused():
    with pytest.raises(ValueError, match=r"objective.chunk_size=0 must be 1 or more"):
        CLIP(clip(), chunk_size=0)


def test_captions_of_a_frozen_tower_are_encoded_once_until_its_weights_change():
    model, data = clip().double(), batch()
    prepare_towers(model, frozen_text="all")
    objective = CLIP(model, cached_captions=100)
    plain = step(model, CLIP(model), data)
    distinct = len(captions(data).unique(dim=0))
    for _ in range(2):
        same(step(model, objective, data), plain)
        assert objective.captions.misses == distinct
    model.text.load_state_dict({k: v + 0.1 for k, v in model.text.state_dict().items()})
    same(step(model, objective, data), step(model, CLIP(model), data))
    assert objective.captions.misses == 2 * distinct


def test_a_cached_caption_depends_on_no_other_and_the_limit_holds():
    model, data = clip(), batch()
    prepare_towers(model, frozen_text="all")
    distinct = captions(data).unique(dim=0)
    full, small = CaptionCache(100), CaptionCache(2)
    together = full(model, distinct)
    alone = torch.cat([CaptionCache(100)(model, row[None]) for row in distinct])
    assert torch.equal(together, alone)
    for _ in range(2):
        assert torch.equal(small(model, distinct), together)
    assert small.misses == 2 * len(distinct) - 2


def test_a_trained_text_tower_is_never_cached():
    model, data = clip(), batch()
    objective = CLIP(model, cached_captions=100)
    same(step(model, objective, data), step(model, CLIP(model), data))
    assert objective.captions.misses == 0


def _chunked_rank(rank):
    model = clip().double()
    prepare_towers(model, frozen_image=1)
    objective = CLIP(model, chunk_size=3)
    wrapped = DistributedDataParallel(_Step(model, objective))
    wrapped(share(batch(), rank)).backward()
    return gradients(model, objective)


class _Step(nn.Module):
    def __init__(self, model, objective):
        super().__init__()
        self.model, self.objective = model, objective

    def forward(self, data):
        return self.objective(self.model, data).loss


def test_two_ranks_in_chunks_under_ddp_equal_one_process_in_one_piece(tmp_path):
    ranks = on_two_ranks(_chunked_rank, tmp_path)
    model = clip().double()
    prepare_towers(model, frozen_image=1)
    loss, plain = step(model, CLIP(model), batch())
    for ours in ranks:
        same((loss, ours), (loss, plain))
