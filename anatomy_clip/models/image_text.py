"""The model that every image-text method trains: one image tower, one text tower, one shared space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from anatomy_clip.core.types import Features
from anatomy_clip.models.provenance import Provenance
from anatomy_clip.models.tokenizers import ClipTokenizer, Tokenizer
from anatomy_clip.models.tower import Tower

# Published channel means and standard deviations, RGB in [0, 1].
NORMALISATIONS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "inception": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),  # of EfficientNet-Lite too
}


class ImageTextModel(nn.Module):
    """An image tower and a text tower that embed into one space.

    Args:
        image: tower from (B, 3, H, W) normalised float images to `Features`.
        text: tower from (B, L) token ids to `Features`; L may be shorter than `context_length`. None: the method has
            no use for texts.
        image_size: side of the square input image, pixels.
        context_length: most tokens that a text may have.
        embedding_width: D, width of the joint space; None where the towers don't project into one.
        initial_logit_scale: log of the inverse temperature that the weights were trained with.
        architecture: open_clip's configuration keys that build the towers, plain values.
        normalisation: a key of `NORMALISATIONS`.
        tokenizer: makes the text tower's ids of texts; CLIP's by default.

    Attributes:
        provenance: what the weights were loaded from; None while they are random.

    Raises:
        ValueError: the normalisation is unknown.
    """

    mean: Tensor
    std: Tensor
    provenance: Provenance | None = None

    def __init__(
        self,
        image: Tower,
        text: Tower | None,
        *,
        image_size: int,
        context_length: int,
        embedding_width: int | None,
        initial_logit_scale: float,
        architecture: Mapping[str, Any],
        normalisation: str,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        super().__init__()
        if normalisation not in NORMALISATIONS:
            raise ValueError(f"normalisation {normalisation!r} is unknown; known: {', '.join(NORMALISATIONS)}")
        self.image: Tower = image
        self.text: Tower | None = text
        self.image_size = image_size
        self.context_length = context_length
        self.embedding_width = embedding_width
        self.initial_logit_scale = initial_logit_scale
        self.architecture = dict(architecture)
        self.normalisation = normalisation
        self.tokenizer: Tokenizer = tokenizer or ClipTokenizer()
        mean, std = NORMALISATIONS[normalisation]
        self.register_buffer("mean", _per_channel(mean), persistent=False)
        self.register_buffer("std", _per_channel(std), persistent=False)

    def towers(self) -> dict[str, Tower]:
        """The towers that the model has: "image", and "text" where texts are of use."""
        return {"image": self.image} | ({} if self.text is None else {"text": self.text})

    def describe(self) -> dict[str, Any]:
        """Plain values that say what the network is, for a checkpoint to carry."""
        network = {"architecture": self.architecture, "normalisation": self.normalisation}
        return network | self.tokenizer.describe()

    def encode_image(self, images: Tensor) -> Features:
        """Embed images.

        Args:
            images: (B, 1 or 3, H, W) uint8, H = W = `image_size`.

        Returns:
            Features with `embedding` (B, D) unit norm.
        """
        features: Features = self.image(self.pixels(images))
        return features

    def pixels(self, images: Tensor) -> Tensor:
        """Normalise (B, 1 or 3, H, W) uint8 images as (B, 3, H, W) floats, as the image tower takes them."""
        # (images / 255 - mean) / std in one pass: one grey channel broadcasts on the device alone
        return torch.addcmul(-self.mean / self.std, images.to(self.mean.dtype), 1 / (255 * self.std))

    def encode_text(self, tokens: Tensor) -> Features:
        """Embed texts.

        Args:
            tokens: (B, L) int64, L at most `context_length`.

        Returns:
            Features with `embedding` (B, D) unit norm.

        Raises:
            ValueError: the model has no text tower.
        """
        if self.text is None:
            raise ValueError("the model has no text tower, because its training used no texts")
        features: Features = self.text(tokens)
        return features


def _per_channel(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(1, 3, 1, 1)
