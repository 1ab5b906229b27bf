"""Low-rank adaptation: a tower's weights stay, and a product of two thin matrices is learned beside each."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

_LAYERS = (nn.Linear, nn.Conv2d)
_ORIGINAL = ".original"
_PLACE = "parametrizations."


class LowRank(nn.Module):
    """Adds `scale * up @ down` to a weight (Hu et al. 2021, "LoRA", eq. 3); at first nothing, as `up` is zero.

    Args:
        weight: (out, ...) the weight; all but its first axis count as one.
        rank: columns of `up`.
        scale: factor of the product.
    """

    scale: Tensor

    def __init__(self, weight: Tensor, rank: int, scale: float) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(rank, weight[0].numel()))
        self.up = nn.Parameter(torch.zeros(len(weight), rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self.register_buffer("scale", torch.tensor(scale))  # a checkpoint must tell it

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with what was learned, in its shape."""
        return _adapted(weight, self.up, self.down, self.scale)


def adapt(tower: nn.Module, rank: int, scale: float = 1.0) -> None:
    """Freeze a tower, and learn a low-rank change of every linear, convolution and attention weight.

    Args:
        tower: image or text tower, changed in place.
        rank: rank of each change; a weight that is no larger than `rank` along an axis stays as it is.
        scale: factor of each change.

    Raises:
        ValueError: `rank` is less than 1.
    """
    if rank < 1:
        raise ValueError(f"optim.prepare.low_rank={rank}: give a rank of 1 or more, or null")
    tower.requires_grad_(False)
    for module in list(tower.modules()):
        name = "in_proj_weight" if isinstance(module, nn.MultiheadAttention) else "weight"
        weight = getattr(module, name, None)
        if not isinstance(module, (*_LAYERS, nn.MultiheadAttention)) or not isinstance(weight, Tensor):
            continue
        if min(len(weight), weight[0].numel()) > rank:
            register_parametrization(module, name, LowRank(weight, rank, scale))


def merged(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put what was learned into the weights, under the names that the network has without it.

    Args:
        tensors: a network's state; one that `adapt` never saw comes back as it is.
    """
    plain = {name: tensor for name, tensor in tensors.items() if _PLACE not in name}
    for name, weight in tensors.items():
        if _PLACE in name and name.endswith(_ORIGINAL):
            stem = name.removesuffix(_ORIGINAL)
            parts = (tensors[f"{stem}.0.{part}"] for part in ("up", "down", "scale"))
            plain[stem.replace(_PLACE, "")] = _adapted(weight, *parts)
    return plain


def _adapted(weight: Tensor, up: Tensor, down: Tensor, scale: Tensor) -> Tensor:
    return weight + scale * (up @ down).view_as(weight)
