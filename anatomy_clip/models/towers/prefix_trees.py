"""Captions as trees of tokens: a tree stores the common beginning of neighbouring captions once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

NODES = 256  # about as many a tree: attention looks at all pairs of them


class PrefixTrees(NamedTuple):
    """Captions of which each node, a token with all that comes before it, stands once.

    Attributes:
        tokens: (G, N) int64, token of each node of G trees; a smaller tree ends in copies of token 0.
        positions: (G, N) int64, how many tokens come before it.
        mask: (G, N, N) float, 0 where the row's node may look at the column's, itself and what comes before; else -inf.
        nodes: (B, L) int64, node of each caption's token, counted through all trees; past a caption's end, its last.
    """

    tokens: Tensor
    positions: Tensor
    mask: Tensor
    nodes: Tensor


@torch.compiler.disable  # type: ignore[untyped-decorator]  # its shapes follow what the captions say
@torch.no_grad()
def prefix_trees(tokens: Tensor, ends: Tensor, nodes: int = NODES) -> PrefixTrees:
    """Arrange captions as trees, in which a causal transformer has to run for each node once.

    Only neighbours share what they begin with, so sorted captions share most.

    Args:
        tokens: (B, L) int64, B at least 1.
        ends: (B,) int64, position of each caption's last token.
        nodes: about how many a tree may have; captions are split evenly over as many trees as that takes.
    """
    captions, length = tokens.shape
    needed = int(_first_seen(tokens[None], ends[None]).sum())
    each = -(-captions // -(-needed // nodes))  # captions a tree
    trees = -(-captions // each)
    filled = [*range(captions), *[captions - 1] * (trees * each - captions)]  # a repeated caption adds no node
    tokens, ends = tokens[filled].reshape(trees, each, length), ends[filled].reshape(trees, each)

    new = _first_seen(tokens, ends)  # (G, E, L)
    position = torch.arange(length, device=tokens.device)
    number = new.flatten(1).cumsum(1).reshape(new.shape) - 1
    # Where a token isn't new, its node is the last new one at its position among the captions before.
    node = number.where(new, -1).cummax(dim=1).values.gather(2, position.minimum(ends[..., None]))

    most = int(number.amax()) + 1
    tree, caption, depth = new.nonzero(as_tuple=True)  # of each node
    own = number[new]
    of_token, of_position = (tokens.new_zeros(trees, most) for _ in range(2))
    of_token[tree, own] = tokens[new]
    of_position[tree, own] = depth
    mask = torch.full((trees, most, most), -torch.inf, device=tokens.device)
    mask.diagonal(dim1=1, dim2=2).zero_()
    before = node[tree, caption].gather(1, position.minimum(depth[:, None]))  # (nodes, L), itself at the end
    mask[tree[:, None], own[:, None], before] = 0.0
    through = node + most * torch.arange(trees, device=tokens.device)[:, None, None]
    return PrefixTrees(of_token, of_position, mask, through.flatten(0, 1)[:captions])


def _first_seen(tokens: Tensor, ends: Tensor) -> Tensor:
    """Say of (G, E, L) tokens which ones follow a beginning that the caption before doesn't have."""
    differs = pad(tokens[:, 1:] != tokens[:, :-1], (0, 0, 1, 0), value=True)
    inside = torch.arange(tokens.shape[2], device=tokens.device) <= ends[..., None]
    return (differs.cumsum(2) > 0) & inside
