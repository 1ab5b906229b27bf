"""The accumulating metric against scikit-learn, and over two processes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.distributed as dist
from sklearn.metrics import roc_auc_score
from torch import multiprocessing

from anatomy_clip.metrics.streaming import ZeroShotMetric

LABELS = ["brain", "heart", "knee", "foot"]


def data(n=101):
    generator = torch.Generator().manual_seed(0)
    targets = torch.rand(n, 4, generator=generator) < 0.3
    targets[:, 3] = False  # a label that never occurs
    return torch.randn(n, 4, generator=generator) - 2 + targets, targets


def fed(scores, targets, sizes=(40, 40, 21)):
    metric = ZeroShotMetric(LABELS)
    for s, t in zip(scores.split(sizes), targets.split(sizes), strict=True):
        metric.update(s, t)
    return metric


def test_matches_scikit_learn_whatever_the_batches():
    scores, targets = data()
    values = fed(scores, targets).compute()
    for k, label in enumerate(LABELS[:3]):
        theirs = roc_auc_score(targets[:, k], scores[:, k])
        assert values[f"auroc/{label}"].item() == pytest.approx(theirs, abs=1e-6)
    shown = targets.any(dim=1)
    right = targets[torch.arange(101), scores.argmax(1)][shown]
    assert values["hit_at_1"].item() == pytest.approx(right.float().mean().item())
    assert values == fed(scores, targets, (1, 99, 1)).compute()


def test_absent_label_is_left_out_not_zero():
    values = fed(*data()).compute()
    assert "auroc/foot" not in values
    assert sorted(values) == ["auroc/brain", "auroc/heart", "auroc/knee", "hit_at_1"]


def test_nothing_seen_and_nothing_to_find_are_left_out():
    metric = ZeroShotMetric(LABELS)
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert metric.compute() == {}
    metric.update(torch.zeros(3, 4), torch.zeros(3, 4, dtype=torch.bool))
    assert metric.compute() == {}


def test_slices_of_unknown_labels_are_left_out():
    scores, targets = data()
    labels = targets.to(torch.int8)
    labels[::3] = -1
    known = (labels >= 0).all(dim=1)
    assert fed(scores, labels).compute() == fed(scores[known], targets[known], 40).compute()
    assert fed(scores, torch.full_like(labels, -1)).compute() == {}


def test_a_label_that_is_unknown_beside_known_ones_is_left_out_of_ranking_and_area():
    scores, targets = data()
    labels = targets.to(torch.int8)
    labels[torch.rand(labels.shape, generator=torch.Generator().manual_seed(1)) < 0.3] = -1
    values = fed(scores, labels).compute()
    right = []
    for row, label in zip(scores.numpy(), labels.numpy(), strict=True):
        ranking = [k for k in np.argsort(-row) if label[k] >= 0]
        if (label == 1).any():
            right.append(label[ranking[0]] == 1)
    assert values["hit_at_1"].item() == pytest.approx(np.mean(right))
    for k, name in enumerate(LABELS[:3]):
        known = labels[:, k] >= 0
        assert values[f"auroc/{name}"].item() == pytest.approx(
            roc_auc_score(labels[known, k] == 1, scores[known, k]), abs=1e-6
        )


def test_reset_and_bf16():
    metric = fed(*data())
    metric.reset()
    metric.update(torch.tensor([[0.0, 1, 0, 0]], dtype=torch.bfloat16), torch.tensor([[0, 1, 0, 0]]))
    assert {k: v.item() for k, v in metric.compute().items()} == {"hit_at_1": 1.0}


def test_bad_shapes_and_labels():
    with pytest.raises(ValueError, match="must both be"):
        ZeroShotMetric(LABELS).update(torch.zeros(2, 3), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="different names"):
        ZeroShotMetric(["a", "a"])


def _rank(rank, folder, cut):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    scores, targets = data()
    mine = slice(0, cut) if rank == 0 else slice(cut, 101)
    metric = ZeroShotMetric(LABELS)
    if mine.start < mine.stop:
        metric.update(scores[mine], targets[mine])
    values = {name: value.item() for name, value in metric.compute().items()}
    (folder / f"{rank}.json").write_text(json.dumps(values))
    dist.destroy_process_group()


@pytest.mark.parametrize("cut", [70, 101], ids=["unequal ranks", "a rank without slices"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_two_processes_give_the_numbers_of_one(tmp_path, cut):
    context = multiprocessing.get_context("fork")  # a fresh interpreter would import torch again
    workers = [context.Process(target=_rank, args=(rank, tmp_path, cut), daemon=True) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    alone = {name: value.item() for name, value in fed(*data()).compute().items()}
    for rank in range(2):
        synced = json.loads((tmp_path / f"{rank}.json").read_text())
        assert synced.keys() == alone.keys()
        np.testing.assert_allclose([synced[k] for k in alone], list(alone.values()), rtol=1e-6)
