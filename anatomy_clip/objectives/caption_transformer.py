"""Caption-Transformer: a decoder over the image's regions writes the report, from its start and from its end."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from anatomy_clip.core.types import Batch, Losses
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.objectives.base import Objective
from anatomy_clip.objectives.captions import WANTS, Written, backwards, first_reports, token_cross_entropy, written

_SPREAD = 0.02  # of new embeddings, as in every BERT


class CaptionTransformer(Objective):
    """Learns by captioning (VirTex: Desai and Johnson 2021, arXiv 2006.06666; a comparison of Zhang et al. 2022).

    The two directions have a decoder each. They share the projection of regions, the embeddings of words and places,
    and the output, whose weights are the words' embeddings.

    Args:
        model: the model to train.
        width: of the decoders.
        layers: of each decoder.
        heads: of their attention.
        dropout: share of units left out.
    """

    wants = WANTS

    def __init__(
        self, model: ImageTextModel, *, width: int = 128, layers: int = 1, heads: int = 4, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.regions = nn.Linear(model.image.width, width)
        self.words = nn.Embedding(model.tokenizer.size, width)
        self.places = nn.Embedding(model.context_length, width)
        for table in (self.words, self.places):
            nn.init.normal_(table.weight, std=_SPREAD)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.output_bias = nn.Parameter(torch.zeros(model.tokenizer.size))
        ways = ("from_start", "from_end")
        self.decoders = nn.ModuleDict({way: _decoder(width, layers, heads, dropout) for way in ways})

    def forward(self, model: ImageTextModel, batch: Batch) -> Losses:
        """Add the cross entropy of both directions, each averaged over the tokens of all ranks."""
        regions = self.regions(model.encode_image(batch.images).local)  # (B, R, W)
        reports = first_reports(batch)
        terms = {
            "from_start": self._loss("from_start", regions, written(reports)),
            "from_end": self._loss("from_end", regions, written(backwards(reports))),
        }
        return Losses(terms["from_start"] + terms["from_end"], {name: term.detach() for name, term in terms.items()})

    def _loss(self, way: str, regions: Tensor, reports: Written) -> Tensor:
        length = reports.read.shape[1]
        places = self.places.weight[:length]  # (L, W)
        inputs = self.dropout(self.norm(self.words(reports.read) + places))  # (B, L, W)
        # No token looks ahead, so none looks at padding, which stands behind.
        ahead = nn.Transformer.generate_square_subsequent_mask(length, inputs.device, inputs.dtype)
        states: Tensor = self.decoders[way](inputs, regions, tgt_mask=ahead, tgt_is_causal=True)  # (B, L, W)
        return token_cross_entropy(linear(states[reports.counted], self.words.weight, self.output_bias), reports)


def _decoder(width: int, layers: int, heads: int, dropout: float) -> nn.TransformerDecoder:
    """Norms stand after their layers, as in VirTex."""
    layer = nn.TransformerDecoderLayer(width, heads, 4 * width, dropout, "gelu", batch_first=True)
    return nn.TransformerDecoder(layer, layers)
