"""What seeds a step's draws, against the three libraries' own seeding."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from anatomy_clip.core.rng import sample_rng
from anatomy_clip.training.restarts import StepSeeds


def drawn():
    return random.random(), np.random.rand(3).tolist(), torch.rand(3).tolist(), torch.randperm(9).tolist()


def seed_step(seed, epoch, batch, rank=0, ranks=1, device="cpu"):
    trainer = SimpleNamespace(current_epoch=epoch, world_size=ranks, global_rank=rank)
    StepSeeds(seed).on_train_batch_start(trainer, SimpleNamespace(device=torch.device(device)), None, batch)


@pytest.mark.parametrize(("epoch", "batch", "rank", "ranks"), [(0, 0, 0, 1), (3, 17, 0, 1), (1, 5, 2, 4)])
def test_draws_are_those_after_each_librarys_own_seeding(epoch, batch, rank, ranks):
    rng = sample_rng(7, epoch, (1 << 61) + batch * ranks + rank)
    random.seed(int(rng.integers(1 << 62)))
    np.random.seed(int(rng.integers(1 << 32)))
    torch.manual_seed(int(rng.integers(1 << 62)))
    expected, state = drawn(), torch.get_rng_state()
    drawn()
    seed_step(7, epoch, batch, rank, ranks)
    assert drawn() == expected
    assert torch.equal(torch.get_rng_state(), state)


def test_every_step_and_rank_draws_its_own():
    found = []
    for where in ((0, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 0)):
        seed_step(7, *where, ranks=2)
        found.append(drawn())
    assert len({str(draws) for draws in found}) == 4


def test_on_another_device_every_kind_of_generator_is_seeded(monkeypatch):
    seeds = []
    monkeypatch.setattr(torch, "manual_seed", seeds.append)
    seed_step(7, 0, 0, device="cpu")
    assert seeds == []
    seed_step(7, 0, 0, device="cuda")
    rng = sample_rng(7, 0, 1 << 61)
    assert seeds == [[int(rng.integers(1 << n)) for n in (62, 32, 62)][2]]
