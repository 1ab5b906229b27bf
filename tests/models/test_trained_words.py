from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from anatomy_clip.models.adapt.trained_words import TrainedWords, tables_of, train_only
from anatomy_clip.models.towers.open_clip import from_config
from anatomy_clip.training.optim import adamw, warmup_cosine

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
VISION = {"image_size": 32, "timm_model_name": "test_resnet", "timm_pool": "avg", "timm_proj": "linear"}
CAPTIONS = torch.tensor(
    [[49406, 320, 2867, 539, 49407, 0], [49406, 320, 3156, 49407, 0, 0], [49406, 539, 49407, 0, 0, 0]]
)
WORDS = [320, 539, 2867, 3156, 49406, 49407]


@pytest.fixture
def tower():
    torch.manual_seed(0)
    return from_config(8, VISION, TEXT, quick_gelu=True, normalisation="clip").text


def steps(tower, n):
    """Train a tower towards fixed vectors as a run would; returns its optimiser."""
    optimizer = adamw([tower], lr=1e-2, weight_decay=1.0)
    schedule = warmup_cosine(optimizer, total_steps=20, warmup_steps=2)
    goal = torch.nn.functional.normalize(torch.randn(3, 8, generator=torch.Generator().manual_seed(1)), dim=-1)
    for step in range(n):
        optimizer.zero_grad()
        loss = -(tower(CAPTIONS[: 2 + step % 2]).embedding * goal[: 2 + step % 2]).sum()
        loss.backward()
        nn.utils.clip_grad_norm_(tower.parameters(), 0.1)  # the norm of all gradients goes into every step
        optimizer.step()
        schedule.step()
    return optimizer


def test_learns_as_the_whole_table_does(tower):
    whole = copy.deepcopy(tower)
    train_only(tower, WORDS)
    steps(whole, 12)
    optimizer = steps(tower, 12)
    expected, got = whole.state_dict(), tower.state_dict()
    assert expected.keys() == got.keys()
    table = tower.token_embedding
    assert (table.rows - table.weight[WORDS]).abs().max() > 0.01  # far more than the tolerance below
    for name in expected:
        torch.testing.assert_close(got[name], expected[name], rtol=1e-4, atol=1e-5)
    sizes = [p.numel() for group in optimizer.param_groups for p in group["params"]]
    assert max(sizes) < 49408  # no moments are kept, and no gradients exchanged, for words that no caption has


def test_a_word_outside_the_captions_is_read_and_decays(tower):
    whole = copy.deepcopy(tower)
    train_only(tower, WORDS)
    other = torch.tensor([[49406, 1000, 320, 49407]])
    torch.testing.assert_close(tower(other).embedding, whole(other).embedding)
    first = tower.token_embedding.weight[1000].clone()
    steps(tower, 4)
    rates = [1e-2 * share for share in (0.5, 1.0, 1.0, 0.5 * (1 + torch.cos(torch.tensor(torch.pi / 18)).item()))]
    expected = first * torch.tensor([1 - rate for rate in rates]).prod()
    torch.testing.assert_close(tower.token_embedding.weight[1000], expected)


def test_checkpoints_hold_the_whole_table(tower):
    whole = copy.deepcopy(tower)
    train_only(tower, WORDS)
    steps(tower, 3)
    whole.load_state_dict(tower.state_dict())
    torch.testing.assert_close(whole(CAPTIONS).embedding, tower(CAPTIONS).embedding)
    again = copy.deepcopy(whole)
    train_only(again, WORDS[::-1])
    state = {name: tensor * 0.5 for name, tensor in whole.state_dict().items()}
    again.load_state_dict(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.state_dict().items())
    with pytest.raises(RuntimeError, match=r"size mismatch for token_embedding\.weight"):
        again.load_state_dict({**state, "token_embedding.weight": torch.zeros(10, 16)})


def test_frozen_and_other_towers_stay_as_they_are(tower):
    tower.requires_grad_(False)
    train_only(tower, WORDS)
    other = nn.Linear(2, 2)
    train_only(other, WORDS)
    assert tables_of([tower, other]) == []
    tower.requires_grad_(True)
    train_only(tower, WORDS)
    assert tables_of([tower, nn.Sequential(tower)]) == [tower.token_embedding]
    assert isinstance(tower.token_embedding, TrainedWords)
