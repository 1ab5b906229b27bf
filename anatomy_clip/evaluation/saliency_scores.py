"""The scores that saliency maps explain: what each says of pairs of a film and a finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from anatomy_clip.evaluation.base import TestedRun
from anatomy_clip.evaluation.saliency_cells import WORD_ATTENTION
from anatomy_clip.evaluation.saliency_maps import Encoded, maps_of, on_grid

PROBE, PAIR = "probe", "pair"
_START = "There is"  # of the sentence that names a finding, as most sentences of reports begin
Maps = dict[tuple[str, str], Tensor]  # (score, kind of map) -> (P, h, w)


class Scores:
    """What the run says of findings: by a linear probe, and where its method compares, by a sentence of each name.

    All films are asked the same, so a sentence says nothing of where a finding lies in one of them. Of several names
    the one that fits a film best counts.

    Args:
        run: the run.
        weights: (W + 1, F) of the probe, see `linear_probe.logits`; NaN for findings that it doesn't know.
        names: finding -> what it is called.
    """

    def __init__(self, run: TestedRun, weights: NDArray[np.float64], names: Mapping[str, Sequence[str]]) -> None:
        self.model, self.objective = run.trained
        self.known: NDArray[np.bool_] = np.asarray(~np.isnan(weights).any(axis=0))  # (F,)
        self.weights = torch.as_tensor(np.nan_to_num(weights), dtype=torch.float32, device=self.model.mean.device)
        self.texts: Tensor | None = None
        if self.objective.compares:
            self.texts = run.embed_texts(_sentences(names)).clone()  # (T, ...); not an inference tensor any more
            self.naming = self._naming(names)
            owner = [k for k, each in enumerate(names.values()) for _ in each]
            self.owner = torch.tensor(owner, device=self.texts.device)  # (T,) the finding that each sentence names

    def maps(self, encoded: Encoded, findings: Tensor) -> Maps:
        """Explain by every score why each of P images shows its finding, (P,)."""
        features = encoded.features
        slopes, bias = self.weights[:-1, findings].T, self.weights[-1, findings]  # (P, W), (P,)
        log_odds = (features.pooled.float() * slopes).sum(dim=1) + bias
        found = {(PROBE, kind): each for kind, each in maps_of(log_odds, encoded).items()}
        if self.texts is not None:
            images = self.objective.embed_images(features)
            fit = self.objective.similarity(images, self.texts)  # (P, T)
            best = fit.masked_fill(self.owner != findings[:, None], float("-inf")).max(dim=1)
            found |= {(PAIR, kind): each for kind, each in maps_of(best.values, encoded).items()}
            found |= self._attention(images.detach(), self.texts[best.indices], self.naming[best.indices])
        return found

    def _attention(self, images: Tensor, texts: Tensor, naming: Tensor) -> Maps:
        """Mean attention of the words that name the finding, where the method has it."""
        attention = self.objective.word_attention(images, texts)  # (P, N, R)
        if attention is None:
            return {}
        place = torch.arange(attention.shape[1], device=attention.device)
        named = ((place >= naming[:, :1]) & (place < naming[:, 1:])).to(attention.dtype)  # (P, N)
        mean = (attention * named[..., None]).sum(dim=1) / named.sum(dim=1, keepdim=True)
        return {(PAIR, WORD_ATTENTION): on_grid(mean)}

    def _naming(self, names: Mapping[str, Sequence[str]]) -> Tensor:
        """(T, 2) the first of a sentence's words that name the finding, and the first after them."""

        def words(text: str) -> int:
            return len(self.model.tokenizer.encode(text)) - 2  # all but start and end

        ends = [words(f"{_START} {name}") for each in names.values() for name in each]
        return torch.tensor([[words(_START), end] for end in ends], device=self.model.mean.device)


def _sentences(names: Mapping[str, Sequence[str]]) -> list[str]:
    return [f"{_START} {name}." for each in names.values() for name in each]
