"""MixStyle: images borrow contrast and brightness of feature maps from each other: style tells less of a label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Beta

_CONCENTRATION = 0.1  # of the Beta distribution that the shares are drawn from: mostly near 0 or 1


def mix_styles(tower: nn.Module, blocks: Sequence[nn.Module], probability: float) -> None:
    """Mix the styles of a batch's feature maps behind some blocks, in training mode alone.

    Zhou et al. 2021, "Domain Generalization with MixStyle", eqs. 2 to 4: each image's channel means and deviations are
    mixed with those of another image of the batch.

    Args:
        tower: the image tower; it says whether this is training.
        blocks: blocks whose output is (B, C, H, W).
        probability: that a batch is mixed, behind each block on its own.
    """

    def hook(_: nn.Module, __: Any, out: Tensor) -> Tensor:
        if not tower.training or torch.rand(()) >= probability:
            return out
        return mixed(out, Beta(_CONCENTRATION, _CONCENTRATION).sample((len(out),)), torch.randperm(len(out)))

    for block in blocks:
        block.register_forward_hook(hook)


def mixed(maps: Tensor, shares: Tensor, partners: Tensor) -> Tensor:
    """Give maps (B, C, H, W) the style of themselves by a share (B,), and of their partners (B,) by the rest."""
    deviation, mean = torch.std_mean(maps, dim=(2, 3), keepdim=True, correction=0)
    deviation = (deviation + 1e-6).detach()
    mean, partners = mean.detach(), partners.to(maps.device)
    kept = shares.to(maps)[:, None, None, None]
    style = kept * deviation + (1 - kept) * deviation[partners]
    return (maps - mean) / deviation * style + kept * mean + (1 - kept) * mean[partners]
