"""Batches of given tensors."""

import torch

from anatomy_clip.core.types import Batch, Texts


def make_batch(images, tokens=None, organs=None, stations=None, modalities=None, rows=None, mask=None):
    """N samples: (V * N, 1, H, W) images, (T, L) captions, labels as (N, K) bool or int, modalities as (N,).

    Captions are text throughout where no (T, L) mask says where padding begins.
    """
    n = len(images) if rows is None else len(rows)
    rows = torch.arange(n) if rows is None else torch.as_tensor(rows)
    nothing = torch.zeros(n, 1)
    labels = {"organ": nothing if organs is None else organs, "station": nothing if stations is None else stations}
    modality = torch.zeros(n) if modalities is None else modalities
    labels["modality"] = torch.nn.functional.one_hot(modality.long(), 2)
    texts = {}
    if tokens is not None:
        mask = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
        texts["caption"] = Texts(tokens, torch.arange(n).repeat(len(tokens) // n), mask)
    return Batch(images, texts, {space: values.to(torch.int8) for space, values in labels.items()}, rows)


def make_prompts(tokens, lengths=None):
    """Prompts of classes: (K, P, L) tokens, text throughout where (K, P) lengths don't say where padding begins."""
    places = torch.arange(tokens.shape[-1])
    mask = torch.ones_like(tokens, dtype=torch.bool) if lengths is None else places < lengths[..., None]
    return Texts(tokens, torch.arange(tokens.shape[:2].numel()).reshape(tokens.shape[:2]), mask)


def captions(batch):
    """(T, L) the tokens of a batch's captions."""
    return batch.texts["caption"].ids
