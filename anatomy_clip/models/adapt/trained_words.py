"""A text tower that learns only the words of its captions; the rest of the vocabulary costs next to nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding


class TrainedWords(nn.Module):
    """An embedding table of which only some rows are trained.

    They learn as they would in the whole table. That table has a row for each of CLIP's 49,408 tokens; its gradient,
    the gradient's norm and the optimiser's step are a good part of a small model's training step, though nearly all of
    its rows are of words that no caption has. Checkpoints hold the whole table under its usual name.

    Args:
        table: the whole table.
        tokens: ids of the rows that are trained, distinct.

    Attributes:
        weight: (V, W) the whole table, without what the trained rows have learned since.
        rows: (R, W) the trained rows, the only parameter with a gradient.
    """

    tokens: Tensor
    place: Tensor

    def __init__(self, table: nn.Embedding, tokens: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(table.weight.detach(), requires_grad=False)
        self.rows = nn.Parameter(table.weight.detach()[tokens])
        place = torch.full((len(table.weight),), -1)
        place[tokens] = torch.arange(len(tokens))
        self.register_buffer("tokens", tokens, persistent=False)
        self.register_buffer("place", place, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Look up token ids of any shape: their vectors, along one more axis."""
        place = self.place[tokens]
        trained = embedding(place.clamp(min=0), self.rows)
        return torch.where(place[..., None] >= 0, trained, embedding(tokens, self.weight))

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        rows, whole = destination.pop(prefix + "rows"), destination[prefix + "weight"]
        destination[prefix + "weight"] = whole.index_copy(0, self.tokens, rows)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        whole = state_dict.get(prefix + "weight")
        if whole is not None and whole.shape == self.weight.shape:  # anything else is told by the loader
            state_dict[prefix + "rows"] = whole[self.tokens.to(whole.device)]
        super()._load_from_state_dict(state_dict, prefix, *args)


def train_only(tower: nn.Module, tokens: Sequence[int]) -> None:
    """Let a text tower learn the vectors of some tokens only.

    Args:
        tower: a text tower, changed in place; one that isn't CLIP's, or whose words are frozen, stays as it is.
        tokens: their ids, distinct.
    """
    table = getattr(tower, "token_embedding", None)
    if isinstance(table, nn.Embedding) and table.weight.requires_grad:
        tower.token_embedding = TrainedWords(table, torch.tensor(tokens))


def tables_of(modules: Iterable[nn.Module]) -> list[TrainedWords]:
    """The tables of which only some rows are trained, each once."""
    parts = (part for module in modules for part in module.modules())
    return list(dict.fromkeys(part for part in parts if isinstance(part, TrainedWords)))
