"""Caption-LSTM: an LSTM that looks at the image's regions writes the report."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from anatomy_clip.core.types import Batch, Losses
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.objectives.base import Objective
from anatomy_clip.objectives.captions import WANTS, first_reports, token_cross_entropy, written


class CaptionLSTM(Objective):
    """Learns by captioning with soft attention (Xu et al. 2015, "Show, Attend and Tell", arXiv 1502.03044).

    A comparison of Zhang et al. 2022, whose sizes aren't known. Its penalty on regions that are never looked at is left
    out.

    Args:
        model: the model to train.
        width: of the words' embeddings, the attention and the LSTM.
    """

    wants = WANTS

    def __init__(self, model: ImageTextModel, *, width: int = 256) -> None:
        super().__init__()
        image = model.image.width
        self.words = nn.Embedding(model.tokenizer.size, width)
        self.start = nn.Linear(image, 2 * width)
        self.attention_of_regions = nn.Linear(image, width)
        self.attention_of_state = nn.Linear(width, width, bias=False)
        self.attention = nn.Linear(width, 1, bias=False)  # a bias would be the same for all regions
        self.gate = nn.Linear(width, 1)
        self.cell = nn.LSTMCell(width + image, width)
        self.from_state = nn.Linear(width, width)
        self.from_seen = nn.Linear(image, width, bias=False)
        self.output = nn.Linear(width, model.tokenizer.size)

    def forward(self, model: ImageTextModel, batch: Batch) -> Losses:
        """Average the cross entropy over the tokens of all ranks."""
        regions = model.encode_image(batch.images).local  # (B, R, W)
        reports = written(first_reports(batch))
        words = self.words(reports.read)  # (B, L, H)
        states, seen = self._read(regions, words)
        # section 3.1.2, deep output: the word before, the state and what is looked at
        mixed = words + self.from_state(states) + self.from_seen(seen)
        return Losses(token_cross_entropy(self.output(mixed[reports.counted]), reports))

    def _read(self, regions: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Read words one after the other.

        Args:
            regions: (B, R, W).
            words: (B, L, H), embedded.

        Returns:
            The state after each word, (B, L, H), and what was looked at with it, (B, L, W).
        """
        state, memory = torch.tanh(self.start(regions.mean(dim=1))).chunk(2, dim=-1)  # each (B, H)
        offered = self.attention_of_regions(regions)  # (B, R, H)
        states, looks = [], []
        for word in words.unbind(dim=1):
            fits = self.attention(torch.tanh(offered + self.attention_of_state(state)[:, None]))  # (B, R, 1)
            look = (fits.softmax(dim=1) * regions).sum(dim=1)  # (B, W), section 4.2
            look = torch.sigmoid(self.gate(state)) * look
            state, memory = self.cell(torch.cat([word, look], dim=-1), (state, memory))
            states.append(state)
            looks.append(look)
        return torch.stack(states, dim=1), torch.stack(looks, dim=1)
