"""A small text tower that reads both ways, with a vector for each word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from open_clip.transformer import Transformer
from torch import Tensor, nn
from torch.nn.functional import normalize

from anatomy_clip.core.names import did_you_mean
from anatomy_clip.core.refusals import Refused
from anatomy_clip.core.types import Features
from anatomy_clip.models.tower import Tower
from anatomy_clip.models.words import PAD


def _mean(x: Tensor, text: Tensor) -> Tensor:
    return (x * text[..., None]).sum(dim=1) / text.sum(dim=1, keepdim=True)


def _max(x: Tensor, text: Tensor) -> Tensor:
    return x.masked_fill(~text[..., None], -torch.inf).amax(dim=1)


def _first(x: Tensor, text: Tensor) -> Tensor:
    return x[:, 0]


# from (T, L, W) vectors and the (T, L) mask of what is text to (T, W)
POOLS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"max": _max, "mean": _mean, "first": _first}


@dataclass(frozen=True)
class WordConfig:
    """Keys of `text` in a model's config that build this tower.

    Attributes:
        words: true: this tower.
        width: W, of the word vectors.
        heads: of attention.
        layers: transformer blocks.
        context_length: most tokens of a text.
        pool: a key of `POOLS`.
    """

    words: bool = True
    width: int = 128
    heads: int = 4
    layers: int = 1
    context_length: int = 96
    pool: str = "max"

    @classmethod
    def of(cls, text: Mapping[str, Any]) -> WordConfig:
        """Read the keys.

        Raises:
            Refused: a key or the pool is unknown.
        """
        known = [field.name for field in fields(cls)]
        for key in text:
            if key not in known:
                raise Refused(
                    f"model.text.{key}: this is unknown{did_you_mean(key, known)}", f"known: {', '.join(known)}"
                )
        config = cls(**text)
        if config.pool not in POOLS:
            raise Refused(f"model.text.pool={config.pool}: this is unknown", f"use one of {', '.join(POOLS)}")
        return config


class WordTower(Tower):
    """A transformer encoder over whole words: attention goes both ways and doesn't reach padding.

    Args:
        config: its sizes.
        size: number of ids.
        embed_dim: D, of the joint space; None: there is none.
    """

    def __init__(self, config: WordConfig, size: int, embed_dim: int | None) -> None:
        super().__init__()
        self.width = config.width
        self.context_length = config.context_length
        self.heads = config.heads
        self.pool = POOLS[config.pool]
        self.token_embedding = nn.Embedding(size, config.width)
        self.positional_embedding = nn.Parameter(torch.empty(config.context_length, config.width))
        self.transformer = Transformer(config.width, config.layers, config.heads, batch_first=True)
        self.ln_final = nn.LayerNorm(config.width)
        self.projection = None if embed_dim is None else nn.Linear(config.width, embed_dim, bias=False)
        nn.init.normal_(self.token_embedding.weight, std=0.02)  # as CLIP's
        nn.init.normal_(self.positional_embedding, std=0.01)

    def forward(self, tokens: Tensor) -> Features:
        """Embed (T, L) token ids, L at most the context length; `local` is (T, L, W), of padding too.

        Raises:
            ValueError: the texts are longer than the context.
        """
        length = tokens.shape[1]
        if length > self.context_length:
            raise ValueError(f"texts of {length} tokens don't fit the context of {self.context_length}")
        text = tokens != PAD  # (T, L)
        x = self.token_embedding(tokens) + self.positional_embedding[:length]  # (T, L, W)
        hidden = torch.zeros_like(text, dtype=x.dtype).masked_fill(~text, -torch.inf)  # (T, L)
        mask = hidden[:, None].repeat_interleave(self.heads, dim=0).expand(-1, length, -1)  # (T * heads, L, L)
        local = self.ln_final(self.transformer(x, attn_mask=mask))
        pooled = self.pool(local, text)  # (T, W)
        embedding = None if self.projection is None else normalize(self.projection(pooled), dim=-1)
        return Features(pooled, local, embedding)
