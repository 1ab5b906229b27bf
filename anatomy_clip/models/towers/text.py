"""CLIP's text tower, for captions of any length."""

from __future__ import annotations

from open_clip.model import CLIP
from torch import Tensor
from torch.nn.functional import normalize

from anatomy_clip.core.types import Features
from anatomy_clip.models.tower import Tower
from anatomy_clip.models.towers.prefix_trees import prefix_trees


class TextTower(Tower):
    """CLIP's causal text transformer; it computes common beginnings of captions once, and no padding.

    Attention is causal, so what follows a token can't change what the tower makes of it: captions that begin alike
    share that part, and what follows the end-of-text token isn't needed. The embeddings are the same.

    Args:
        clip: open_clip's model.
        joint: keep its projection into the joint space.
    """

    def __init__(self, clip: CLIP, joint: bool = True) -> None:
        super().__init__()
        self.width = int(clip.text_projection.shape[0])
        self.context_length = clip.context_length
        self.transformer = clip.transformer
        self.token_embedding = clip.token_embedding
        self.positional_embedding = clip.positional_embedding
        self.ln_final = clip.ln_final
        self.text_projection = clip.text_projection if joint else None
        self.heads = clip.transformer.resblocks[0].attn.num_heads

    def forward(self, tokens: Tensor) -> Features:
        """Embed (B, L) token ids, L at most the context length; sorted ones, neighbours alike, are quickest.

        `local` is (B, L, W); past a caption's end it repeats the end's vector.

        Raises:
            ValueError: the captions are longer than the context.
        """
        length = tokens.shape[1]
        if length > self.context_length:
            raise ValueError(f"captions of {length} tokens don't fit the context of {self.context_length}")
        trees = prefix_trees(tokens, tokens.argmax(dim=1))  # a caption ends with the largest id
        x = self.token_embedding(trees.tokens) + self.positional_embedding[trees.positions]  # (G, N, W)
        x = self.transformer(x, attn_mask=trees.mask.repeat_interleave(self.heads, dim=0))
        x = self.ln_final(x).flatten(0, 1)  # (G * N, W)
        pooled = x[trees.nodes[:, -1]]
        embedding = None if self.text_projection is None else normalize(pooled @ self.text_projection, dim=-1)
        return Features(pooled, x[trees.nodes], embedding)
