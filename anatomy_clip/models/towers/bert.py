"""A BERT as text tower: attention goes both ways, so padding is masked instead of left behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import normalize

from anatomy_clip.core.types import Features
from anatomy_clip.models.tokenizers import need_transformers
from anatomy_clip.models.tower import Tower
from anatomy_clip.models.towers.words import POOLS

# Sizes that open_clip's own configurations leave to a file on the hub; ours state them under open_clip's keys.
SIZES = ("vocab_size", "width", "heads", "layers")
CLS_POOLER = "cls_pooler"  # the only one that goes through BERT's own pooling layer
MAX_POOLER = "max_pooler"
_KNOWN = {
    "hf_pooler_type": ("mean_pooler", "cls_last_hidden_state_pooler", CLS_POOLER, MAX_POOLER),
    "hf_proj_type": ("mlp", "linear"),
    "tokenizer_mode": (None,),
    "tokenizer_kwargs": (None,),
}


# What every BERT of the base design has; no key of a model's config says otherwise.
_DESIGN = ("hidden_act", "layer_norm_eps", "max_position_embeddings", "type_vocab_size")


class MaxPooler(nn.Module):
    """The largest value of each number over a text's tokens, start and end counted (Zhang et al. 2022).

    It stands in for open_clip's pooler of that name, which leaves out the text and keeps the padding.
    """

    def forward(self, out: Any, mask: Tensor) -> Tensor:
        """Pool a BERT's output for a (T, L) mask of what is text: (T, W)."""
        return POOLS["max"](out.last_hidden_state, mask.bool())


class BertTower(Tower):
    """The parts of open_clip's `HFTextEncoder` around a BERT, run only as far as the batch's longest caption.

    Attention doesn't reach padding, and the embedding of a position doesn't depend on what follows: leaving padding
    out gives the same embedding.

    Args:
        encoder: the `HFTextEncoder`.
        context_length: most tokens of a caption.
        joint: keep its projection into the joint space.
    """

    def __init__(self, encoder: Any, context_length: int, joint: bool = True) -> None:
        super().__init__()
        self.context_length = context_length
        self.pad = int(encoder.config.pad_token_id)
        self.transformer = encoder.transformer
        self.pooler = encoder.pooler
        self.proj = encoder.proj if joint else None
        self.width = int(encoder.config.hidden_size)

    def forward(self, tokens: Tensor) -> Features:
        """Embed (B, L) token ids, L at most the context length; `local` is (B, L, W).

        Raises:
            ValueError: the captions are longer than the context.
        """
        length = tokens.shape[1]
        if length > self.context_length:
            raise ValueError(f"captions of {length} tokens don't fit the context of {self.context_length}")
        mask = (tokens != self.pad).long()  # (B, L)
        out = self.transformer(input_ids=tokens, attention_mask=mask)
        pooled = self.pooler(out, mask)  # (B, W)
        embedding = None if self.proj is None else normalize(self.proj(pooled), dim=-1)
        return Features(pooled, out.last_hidden_state, embedding)


def bert_config(text: Mapping[str, Any], pad: int) -> Any:
    """Make the `transformers.BertConfig` of a text tower; what isn't stated is as in every BERT of the base design.

    Args:
        text: keys of open_clip's `CLIPTextCfg`, with `SIZES`.
        pad: id of padding.

    Raises:
        ValueError: a size isn't stated, a way of pooling or projecting isn't known, or the extra isn't installed.
    """
    unsaid = [key for key in ("hf_tokenizer_name", *SIZES) if not text.get(key)]
    if unsaid:
        raise ValueError(
            f"text: {text['hf_model_name']} as a text tower can only be built as a BERT whose {', '.join(unsaid)} the "
            "config states, because its own configuration is not downloaded"
        )
    for key, values in _KNOWN.items():
        if text.get(key, values[0]) not in values:
            known = ", ".join(map(str, values))
            raise ValueError(f"text: a BERT with {key}={text[key]} can't be built; known: {known}")
    need_transformers()
    from transformers import BertConfig

    return BertConfig(
        vocab_size=text["vocab_size"],
        hidden_size=text["width"],
        num_hidden_layers=text["layers"],
        num_attention_heads=text["heads"],
        intermediate_size=round(text["width"] * text.get("mlp_ratio", 4.0)),
        pad_token_id=pad,
    )


def bert_facts(config: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the content of a BERT's `config.json` into what it says of a text tower, by the names of `load.settings`.

    Raises:
        ValueError: it is another kind of model, or differs from the base design in what no key of ours can state.
    """
    need_transformers()
    from transformers import BertConfig

    if config.get("model_type") != "bert":
        raise ValueError(f"config.json: model_type is {config.get('model_type')!r}; only 'bert' can be loaded")
    read, base = BertConfig.from_dict(dict(config)), BertConfig()
    if other := [f"{key}={getattr(read, key)}" for key in _DESIGN if getattr(read, key) != getattr(base, key)]:
        raise ValueError(
            f"config.json: {', '.join(other)}, which differs from the base design; only a plain BERT can be loaded"
        )
    return {
        "text.hf_model_name": True,
        "text.vocab_size": read.vocab_size,
        "text.width": read.hidden_size,
        "text.heads": read.num_attention_heads,
        "text.layers": read.num_hidden_layers,
        "text.mlp_ratio": read.intermediate_size / read.hidden_size,
    }
