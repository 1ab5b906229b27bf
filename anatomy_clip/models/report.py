"""What was loaded, in words and numbers, so that two people can tell whether they have the same model."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anatomy_clip.files import sha256_of
from anatomy_clip.models.image_text import ImageTextModel

GOLDEN_SENTENCE = "An axial CT image of the liver"
_SHOWN = 4  # first numbers of an embedding


@dataclass(frozen=True)
class LoadReport:
    """What a model was loaded from, and what it is.

    Attributes:
        source: as the config names the weights.
        layout: whose tensor names the file has.
        sha256: of the file, hex.
        activation: `quick_gelu` or `gelu`.
        normalisation: a key of `NORMALISATIONS`.
        image_size: side of the input image, pixels.
        context_length: tokens.
        parameters: numbers in the two towers.
        logit_scale: log of the inverse temperature.
        golden_image: first numbers of the embedding of a fixed synthetic image.
        golden_text: first numbers of the embedding of a fixed sentence.
    """

    source: str
    layout: str
    sha256: str
    activation: str
    normalisation: str
    image_size: int
    context_length: int
    parameters: int
    logit_scale: float
    golden_image: tuple[float, ...]
    golden_text: tuple[float, ...]

    def __str__(self) -> str:
        def numbers(values: tuple[float, ...]) -> str:
            return " ".join(f"{value:+.4f}" for value in values)

        scale = f"logit scale {self.logit_scale:.4f} (x{math.exp(self.logit_scale):.1f})"
        return (
            f"weights {self.source} ({self.layout}), SHA-256 {self.sha256}\n"
            f"  {self.parameters:,} parameters, {self.activation}, {self.image_size} px, {self.context_length} tokens, "
            f"{self.normalisation} normalisation, {scale}\n"
            f"  golden image {numbers(self.golden_image)}, golden text {numbers(self.golden_text)}"
        )

    def plain(self) -> dict[str, Any]:
        """Plain values, for checkpoints and results."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}


def load_report(model: ImageTextModel, source: str, layout: str, file: Path) -> LoadReport:
    """Describe a model that was just loaded from a file."""
    image, text = golden_embeddings(model)
    return LoadReport(
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
    )


@torch.no_grad()
def golden_embeddings(model: ImageTextModel) -> tuple[Tensor, Tensor]:
    """Embed a fixed synthetic image and a fixed sentence; the model's mode is left as it was.

    Returns:
        (D,) of the image whose pixel (y, x) is (7 y + 13 x) mod 256, and (D,) of `GOLDEN_SENTENCE`.
    """
    training = model.training
    model.eval()
    y, x = torch.meshgrid(torch.arange(model.image_size), torch.arange(model.image_size), indexing="ij")
    image = ((7 * y + 13 * x) % 256).to(torch.uint8)[None, None]  # (1, 1, H, W)
    tokens = torch.tensor(model.tokenizer.encode(GOLDEN_SENTENCE))[None]  # (1, L)
    embeddings = model.encode_image(image).embedding[0], model.encode_text(tokens).embedding[0]
    model.train(training)
    return embeddings
