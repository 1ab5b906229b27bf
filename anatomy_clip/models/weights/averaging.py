"""Weights between those of several checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from anatomy_clip.models.weights.read import read_checkpoint


def average(paths: Sequence[str | Path], shares: Sequence[float]) -> dict[str, Tensor]:
    """Average the weights of checkpoints of one network.

    Two checkpoints, the second fine-tuned from the first, give WiSE-FT (Wortsman et al. 2022, "Robust fine-tuning of
    zero-shot models", eq. 1). Running statistics of norms are averaged like weights; whole numbers, such as counts,
    are the last checkpoint's.

    Args:
        paths: two or more of our own checkpoints.
        shares: share of each, any numbers of sum 1.

    Returns:
        Name -> tensor, in the precision of the last checkpoint.

    Raises:
        ValueError: the shares don't fit, or a checkpoint is missing, damaged or of another network.
    """
    if len(paths) < 2 or len(paths) != len(shares) or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"average.shares={list(shares)}: give one for each of two or more checkpoints, of sum 1")
    states = [_weights(path) for path in paths]
    last = states[-1]
    for path, state in zip(paths, states, strict=True):
        differing = sorted(n for n in last.keys() | state.keys() if _shape(state, n) != _shape(last, n))
        if differing:
            raise ValueError(f"{path}: it has a different network from {paths[-1]} ({', '.join(differing[:4])} differ)")
    mixed = {}
    for name, tensor in last.items():
        if not tensor.is_floating_point():
            mixed[name] = tensor
            continue
        parts = (share * state[name].double() for share, state in zip(shares, states, strict=True))
        mixed[name] = sum(parts, start=tensor.double() * 0).to(tensor.dtype)
    return mixed


def _weights(path: str | Path) -> dict[str, Tensor]:
    state = read_checkpoint(path).get("state_dict")
    if not isinstance(state, dict):
        raise ValueError(f"{path}: has no `state_dict`; give a `last.ckpt` that a run wrote")
    return {name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}


def _shape(state: Mapping[str, Tensor], name: str) -> tuple[int, ...] | None:
    return tuple(state[name].shape) if name in state else None
