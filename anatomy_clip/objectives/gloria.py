"""GLoRIA: images against texts as wholes, and regions of images against words of texts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from anatomy_clip.core.types import Batch, Features, Losses, Texts, Wants
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.objectives.base import Objective, gather, gather_with_grad, refuse_a_batch_of_one
from anatomy_clip.objectives.losses import cosines
from anatomy_clip.objectives.words import are_words, attend, pad_words, word_cosines, words_of

_IMAGES_AT_ONCE = 256  # whose pairs with texts are held by `similarities`


class GLoRIA(Objective):
    """Global and local contrast of images and texts (Huang et al., ICCV 2021); each is one of two parts of the loss.

    Images are projected to the width of the text tower. A text's global vector is the mean of its words. An image is
    embedded as (1 + R, D), its global vector (unit norm) before its regions, and a text as (1 + N, D), its global
    vector before its words; a part of weight 0 is left out of both. The authors sum the last four layers of a BERT;
    here a text's vectors are what its tower gives.

    Args:
        model: the model to train.
        stage: of a convolutional tower, counted from the last (1), whose output are the regions; another tower has its
            patches.
        global_weight: of the sum of both directions of the global loss; 0 leaves the part out.
        local_weight: the same of the local loss.
        attention_scale: temp1, of a word's attention over regions.
        word_scale: temp2, of a word's cosine.
        pair_scale: temp3, of the score of a pair.

    Raises:
        ValueError: both parts are left out, or the tower has no such stage.
    """

    wants = Wants(texts=("caption",))

    def __init__(
        self,
        model: ImageTextModel,
        *,
        stage: int = 2,
        global_weight: float = 1.0,
        local_weight: float = 1.0,
        attention_scale: float = 4.0,
        word_scale: float = 5.0,
        pair_scale: float = 10.0,
    ) -> None:
        super().__init__()
        if not global_weight and not local_weight:
            raise ValueError(
                "objective: global_weight and local_weight are both 0, so there is no loss; set one of them"
            )
        image, text = model.image, model.towers()["text"].width
        self.stage = stage if image.map_widths else 0
        if image.map_widths and not 1 <= stage <= len(image.map_widths):
            raise ValueError(f"objective.stage={stage}: the image tower has stages 1 to {len(image.map_widths)}")
        widths = {"global": image.width, "local": image.map_widths[-stage] if self.stage else image.width}
        self.weights = {name: w for name, w in (("global", global_weight), ("local", local_weight)) if w}
        self.project = nn.ModuleDict(
            {name: nn.Linear(widths[name], text, bias=name == "global") for name in self.weights}
        )
        self.attention_scale = attention_scale
        self.word_scale = word_scale
        self.pair_scale = pair_scale
        self.most_words = model.context_length - 2  # all but start and end

    def forward(self, model: ImageTextModel, batch: Batch) -> Losses:
        """Add both directions of both parts over the batch of all ranks; of several texts a sample, the first counts.

        Raises:
            ValueError: a text without a word.
        """
        refuse_a_batch_of_one(batch)
        texts = batch.by_text("caption")[0].texts["caption"]
        words = words_of(model.encode_text(texts.ids).local, texts)
        if not are_words(words).any(dim=1).all():
            raise ValueError("a training text has no word, but objective=gloria needs one; leave out such texts")
        longest = int(gather(torch.tensor([words.shape[1]], device=words.device)).max())  # of all ranks
        spoken = gather_with_grad(self._pack(words, longest))  # (N, 1 + longest, D)
        images = gather_with_grad(self.embed_images(model.encode_image(batch.images)))  # (N, 1 + R, D)
        right = torch.arange(len(images), device=images.device)
        terms: dict[str, Tensor] = {}
        for name, scores in self._compare(images, spoken, partial(torch.logsumexp, dim=-1)).items():
            terms[f"{name}_image_to_text"] = cross_entropy(self.pair_scale * scores, right)
            terms[f"{name}_text_to_image"] = cross_entropy(self.pair_scale * scores.T, right)
        loss = torch.stack([self.weights[name.split("_")[0]] * term for name, term in terms.items()]).sum()
        return Losses(loss, {name: term.detach() for name, term in terms.items()})

    def embed_images(self, features: Features) -> Tensor:
        """Project images: (B, 1 + R, D), the global vector first."""
        parts = []
        if "global" in self.project:
            parts.append(normalize(self.project["global"](features.pooled), dim=-1)[:, None])
        if "local" in self.project:
            regions = features.maps[-self.stage].flatten(2).mT if self.stage else features.local  # (B, R, W')
            parts.append(self.project["local"](regions))
        return torch.cat(parts, dim=1)

    def embed_texts(self, features: Features, texts: Texts) -> Tensor:
        """Join the words of texts: (T, 1 + N, D), the global vector first; N fits the longest text there can be."""
        return self._pack(words_of(features.local, texts), self.most_words)

    def _pack(self, words: Tensor, most: int) -> Tensor:
        """From (T, N, D) words to (T, 1 + most, D)."""
        whole = [normalize(words.mean(dim=1), dim=-1)[:, None]] if "global" in self.project else []
        return torch.cat([*whole, *([pad_words(words, most)] if "local" in self.project else [])], dim=1)

    def _compare(self, images: Tensor, texts: Tensor, over_words: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """Score all pairs by each part, (N, M); `over_words` makes one of the scores of a text's words."""
        first = int("global" in self.project)
        found = {"global": cosines(images[:, 0], texts[:, 0])} if first else {}
        if "local" in self.project:
            each = word_cosines(texts[:, first:], images[:, first:], self.attention_scale)  # (M, N, T)
            found["local"] = over_words(self.word_scale * each).T
        return found

    def embed_classes(self, model: ImageTextModel, prompts: Texts) -> Tensor:
        """Embed P prompts of each of K classes: (K, P, 1 + N, D)."""
        return self._embed_prompts(model, prompts)

    def similarities(self, images: Tensor, texts: Tensor) -> dict[str, Tensor]:
        """How well texts or classes fit images, by each part of the loss and by both.

        Args:
            images: (N, 1 + R, D).
            texts: (M, 1 + T, D), or classes (M, P, 1 + T, D), of which the prompt that fits best counts.

        Returns:
            (N, M) by "global" (cosine), "local" (temp2 times the cosine of the word that fits best: so the authors'
            code outside training) and "both" (their mean); one only where the other part is left out.
        """
        flat = texts.flatten(0, -3)
        parts = [self._compare(one, flat, partial(torch.amax, dim=-1)) for one in torch.split(images, _IMAGES_AT_ONCE)]
        found = {name: torch.cat([part[name] for part in parts]) for name in self.weights}
        if len(found) > 1:
            found["both"] = (found["global"] + found["local"]) / 2
        return {name: scores.reshape(len(images), len(texts), -1).amax(dim=-1) for name, scores in found.items()}

    def similarity(self, images: Tensor, texts: Tensor) -> Tensor:
        """See `Objective`; by both parts, where there are both."""
        return [*self.similarities(images, texts).values()][-1]

    def word_attention(self, images: Tensor, texts: Tensor) -> Tensor | None:
        """See `Objective`: from (N, 1 + R, D) and (N, 1 + T, D); each row sums to 1. None without the local part."""
        if "local" not in self.project:
            return None
        first = int("global" in self.project)
        words, regions = texts[:, first:], images[:, first:]
        return attend(words @ regions.transpose(1, 2), are_words(words), self.attention_scale)
