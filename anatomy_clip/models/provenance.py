"""What was loaded, in words and numbers, so that two people can tell whether they have the same model."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Provenance:
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
        beside: what a tower was loaded from before, in one line; None where there was nothing before.
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
    beside: str | None = None

    def __str__(self) -> str:
        def numbers(values: tuple[float, ...]) -> str:
            return " ".join(f"{value:+.4f}" for value in values)

        scale = f"logit scale {self.logit_scale:.4f} (x{math.exp(self.logit_scale):.1f})"
        return (
            f"{self.file}{f', beside {self.beside}' if self.beside else ''}\n"
            f"  {self.parameters:,} parameters, {self.activation}, {self.image_size} px, {self.context_length} tokens, "
            f"{self.normalisation} normalisation, {scale}\n"
            f"  golden image {numbers(self.golden_image)}, golden text {numbers(self.golden_text)}"
        )

    @property
    def file(self) -> str:
        """What was loaded, in one line."""
        return f"weights {self.source} ({self.layout}), SHA-256 {self.sha256}"

    def plain(self) -> dict[str, Any]:
        """Plain values, for checkpoints and results."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}
