"""Words of texts against regions of images: the attention between them and how well they agree, for many pairs at once.

Padding is a word vector of zeros, so that words can be stored, gathered and cut without a mask beside them.
Source: Huang et al. 2021 (GLoRIA), section 3.2.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import pad

from anatomy_clip.core.types import Texts
from anatomy_clip.objectives.encoding import in_chunks

_NUMBERS = 1 << 22  # of words x images x regions at once: 16 MB a copy in float32
_SMALLEST = 1e-8  # product of norms, as in the authors' code


def words_of(local: Tensor, texts: Texts) -> Tensor:
    """Sum the vectors of each word's pieces; start, end and padding are left out.

    Args:
        local: (T, L, W) vectors of the tokens.
        texts: the T texts.

    Returns:
        (T, N, W), N = most words of a text; zeros past a text's last word.
    """
    word = _words_between(texts.mask) if texts.word is None else texts.word  # (T, L)
    most = int(word.max()) + 1
    sums = local.new_zeros(len(local), most + 1, local.shape[-1])  # what is no word goes into the last row
    rows = torch.where(word < 0, most, word)[..., None].expand_as(local)
    return sums.scatter_add(1, rows, local)[:, :most]


def _words_between(mask: Tensor) -> Tensor:
    """Number the tokens between start and end, each a word: (T, L) mask -> (T, L), -1 elsewhere."""
    place = torch.arange(mask.shape[1], device=mask.device)
    inside = (place > 0) & (place < mask.sum(dim=1, keepdim=True) - 1)
    return torch.where(inside, place - 1, -1)


def pad_words(words: Tensor, most: int) -> Tensor:
    """Fill (T, N, D) words up with padding to (T, most, D)."""
    return pad(words, (0, 0, 0, most - words.shape[1]))


def are_words(words: Tensor) -> Tensor:
    """(T, N) which of (T, N, D) words aren't padding."""
    return (words != 0).any(dim=-1)


def attend(products: Tensor, real: Tensor, scale: float) -> Tensor:
    """Attention of words over regions: softmax over the words of each region, then over the regions of each word.

    Args:
        products: (..., T, R) inner products of words and regions.
        real: (..., T) which words aren't padding.
        scale: the first softmax is multiplied by it before the second.

    Returns:
        (..., T, R), each row sums to 1.
    """
    shares = products.masked_fill(~real[..., None], float("-inf")).softmax(dim=-2)
    return (scale * shares).softmax(dim=-1)


def word_cosines(words: Tensor, regions: Tensor, scale: float) -> Tensor:
    """Cosine of each word of each text with what the word attends to in each image.

    What a word attends to, a weighted sum of regions, isn't made for all pairs: its product with the word is a weighted
    sum of the products that are there, and its norm follows from the products of the regions with one another. Where
    there are many pairs, a few texts are done at once, and again in the backward pass.

    Args:
        words: (M, T, D).
        regions: (N, R, D).
        scale: see `attend`.

    Returns:
        (M, N, T) float32 or finer; -inf for padding.
    """
    kept = torch.promote_types(words.dtype, torch.float32)
    size = max(1, _NUMBERS // (words.shape[1] * regions.shape[0] * regions.shape[1]))
    with torch.autocast(words.device.type, enabled=False):
        return in_chunks(partial(_word_cosines, regions=regions.to(kept), scale=scale), words.to(kept), size)


def _word_cosines(words: Tensor, regions: Tensor, scale: float) -> Tensor:
    real = are_words(words)  # (M, T)
    pairs = (len(regions), *real.shape)
    products = (words.flatten(0, 1)[None] @ regions.transpose(1, 2)).reshape(*pairs, -1)  # (N, M, T, R)
    attention = attend(products, real, scale)
    flat = attention.flatten(1, 2)  # (N, M * T, R)
    among = regions @ regions.transpose(1, 2)  # (N, R, R)
    squares = ((flat @ among) * flat).sum(dim=-1).reshape(pairs)  # (N, M, T) squared norms of the weighted sums
    norms = words.norm(dim=-1) * squares.clamp(min=_SMALLEST**2).sqrt()
    cosines: Tensor = (attention * products).sum(dim=-1) / norms.clamp(min=_SMALLEST)
    return cosines.masked_fill(~real, float("-inf")).transpose(0, 1)
