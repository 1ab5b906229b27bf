"""Embeddings of one fixed image and one fixed sentence: by them two people can tell whether they have one model."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from anatomy_clip.core.files import sha256_of
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.models.provenance import Provenance

GOLDEN_SENTENCE = "An axial CT image of the liver"
_SHOWN = 4  # first numbers of an embedding


def provenance(model: ImageTextModel, source: str, layout: str, file: Path) -> Provenance:
    """Describe a model that was just loaded from a file."""
    image, text = golden_embeddings(model)
    return Provenance(
        source=source,
        layout=layout,
        sha256=sha256_of(file),
        activation="quick_gelu" if model.architecture["quick_gelu"] else "gelu",
        normalisation=model.normalisation,
        image_size=model.image_size,
        context_length=model.context_length,
        parameters=sum(p.numel() for p in model.parameters()),
        logit_scale=model.initial_logit_scale,
        golden_image=tuple(round(float(v), 6) for v in image[:_SHOWN]),
        golden_text=tuple(round(float(v), 6) for v in text[:_SHOWN]),
        beside=model.provenance.file if model.provenance else None,
    )


@torch.no_grad()
def golden_embeddings(model: ImageTextModel) -> tuple[Tensor, Tensor]:
    """Embed a fixed synthetic image and a fixed sentence; the model's mode is left as it was.

    Returns:
        (D,) of the image whose pixel (y, x) is (7 y + 13 x) mod 256, and (D,) of `GOLDEN_SENTENCE`; (W,) pooled where
        the model has no joint projection, and nothing, (0,), of the sentence where it has no text tower.
    """
    training = model.training
    model.eval()
    y, x = torch.meshgrid(torch.arange(model.image_size), torch.arange(model.image_size), indexing="ij")
    image = ((7 * y + 13 * x) % 256).to(torch.uint8)[None, None]  # (1, 1, H, W)
    tokens = torch.tensor(model.tokenizer.encode(GOLDEN_SENTENCE))[None]  # (1, L)
    features = [model.encode_image(image)] + ([] if model.text is None else [model.encode_text(tokens)])
    model.train(training)
    found = [(f.pooled if f.embedding is None else f.embedding)[0] for f in features]
    return found[0], found[1] if len(found) > 1 else torch.zeros(0)
