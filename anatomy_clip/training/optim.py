"""AdamW with decay groups, and a learning rate that warms up and then follows a cosine."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR


def decay_groups(modules: Iterable[nn.Module], weight_decay: float) -> list[dict[str, Any]]:
    """Split trainable parameters into decayed matrices and undecayed norms, biases and scalars.

    As open_clip's trainer does: weight decay is for tensors of two dimensions and more only.
    """
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def adamw(
    modules: Iterable[nn.Module],
    *,
    lr: float,
    weight_decay: float,
    betas: tuple[float, float] = (0.9, 0.98),
    eps: float = 1e-6,
) -> AdamW:
    """Make AdamW over the modules' decay groups; fused, which is the quick loop on CPU and GPU alike."""
    return AdamW(decay_groups(modules, weight_decay), lr=lr, betas=(betas[0], betas[1]), eps=eps, fused=True)


def warmup_cosine(optimizer: torch.optim.Optimizer, *, total_steps: int, warmup_steps: int) -> LambdaLR:
    """Raise the learning rate linearly over `warmup_steps`, then lower it to 0 along a cosine.

    Args:
        optimizer: the optimiser whose rates are scaled.
        total_steps: optimiser steps of the whole training.
        warmup_steps: steps until the full rate is reached.

    Raises:
        ValueError: the warm-up is as long as the training, or longer.
    """
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(
            f"optim.scheduler.warmup_steps={warmup_steps}: give fewer than the {total_steps} steps of the training"
        )

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        progress = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
        return 0.5 * (1 + math.cos(math.pi * progress))

    return LambdaLR(optimizer, factor)
