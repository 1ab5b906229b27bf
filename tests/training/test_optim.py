import math

import pytest
import torch
from torch import nn

from anatomy_clip.training.optim import adamw, decay_groups, warmup_cosine


def test_only_matrices_decay():
    layer, norm = nn.Linear(3, 2), nn.LayerNorm(2)
    scale = nn.ParameterList([nn.Parameter(torch.tensor(1.0))])
    decayed, rest = decay_groups([layer, norm, scale], weight_decay=0.2)
    assert [p.shape for p in decayed["params"]] == [layer.weight.shape]
    assert decayed["weight_decay"] == 0.2
    assert rest["weight_decay"] == 0.0
    assert len(rest["params"]) == 4


def test_frozen_parameters_are_left_out():
    layer = nn.Linear(3, 2).requires_grad_(False)
    assert not any(group["params"] for group in decay_groups([layer], 0.1))


def test_rate_warms_up_then_follows_the_cosine():
    optimizer = adamw([nn.Linear(2, 2)], lr=1.0, weight_decay=0.0)
    schedule = warmup_cosine(optimizer, total_steps=20, warmup_steps=4)
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[4:] == pytest.approx([0.5 * (1 + math.cos(math.pi * n / 16)) for n in range(16)])


def test_warm_up_longer_than_training_is_refused():
    with pytest.raises(ValueError, match=r"optim\.scheduler\.warmup_steps=50: give fewer than the 10 steps"):
        warmup_cosine(adamw([nn.Linear(2, 2)], lr=1.0, weight_decay=0.0), total_steps=10, warmup_steps=50)
