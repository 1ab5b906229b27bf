"""Projections of pooled features into the space in which a method compares them."""

from __future__ import annotations

import itertools

from torch import nn


def mlp(width: int, hidden: int, out: int, layers: int = 2, *, norm: bool = False) -> nn.Sequential:
    """Linear layers with ReLU between them: (B, width) -> (B, out).

    Args:
        width: of the input.
        hidden: of the layers between.
        out: of the output.
        layers: linear layers, 1 or more.
        norm: a LayerNorm after each linear layer but the last. BatchNorm, which papers have there, would let samples of
            a batch know of each other, and differ between one process and several.
    """
    widths = [width, *[hidden] * (layers - 1), out]
    parts: list[nn.Module] = []
    for n, (before, after) in enumerate(itertools.pairwise(widths), start=1):
        parts.append(nn.Linear(before, after))
        if n < layers:
            parts += [nn.LayerNorm(after), nn.ReLU()] if norm else [nn.ReLU()]
    return nn.Sequential(*parts)
