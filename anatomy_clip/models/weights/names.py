"""The same CLIP under three sets of tensor names: OpenAI's (open_clip's too), `transformers`', and ours.

OpenAI's names stand in the middle: what is read becomes OpenAI's, then ours; what is exported the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from anatomy_clip.models.image_text import ImageTextModel

LOGIT_SCALE = "logit_scale"
# OpenAI's name without the block's number -> transformers' name, inside one block of either tower
_IN_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
_OUTSIDE = {
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",  # transformers' own spelling
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    LOGIT_SCALE: LOGIT_SCALE,
}
# (W, D) matrices with us, the weight (D, W) of a linear layer there
_TRANSPOSED = {"text_projection": "text_projection.weight", "visual.proj": "visual_projection.weight"}
_BLOCKS = {
    "transformer.resblocks.": "text_model.encoder.layers.",
    "visual.transformer.resblocks.": "vision_model.encoder.layers.",
}
_QKV = ("q", "k", "v")
_WORDS_OF_BERT = "transformer.embeddings.word_embeddings.weight"


def is_transformers(names: Iterable[str]) -> bool:
    """Whether tensor names are those of `transformers.CLIPModel`."""
    return any(name.startswith(("text_model.", "vision_model.")) for name in names)


def is_openai(names: Iterable[str]) -> bool:
    """Whether tensor names are those of OpenAI's CLIP, which open_clip has kept."""
    names = set(names)
    return "token_embedding.weight" in names and any(name.startswith("visual.") for name in names)


def has_bert(names: Iterable[str]) -> bool:
    """Whether tensor names, without a custom text tower's prefix, are open_clip's with a BERT as text tower."""
    return _WORDS_OF_BERT in set(names)


def from_transformers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename to OpenAI's names: projections are transposed, query, key and value joined.

    A name that isn't known is kept as it is, so that the check of names reports it.
    """
    rest = dict(tensors)
    renamed = {ours: rest.pop(theirs) for ours, theirs in _OUTSIDE.items() if theirs in rest}
    renamed |= {ours: rest.pop(theirs).T for ours, theirs in _TRANSPOSED.items() if theirs in rest}
    for ours, theirs in _BLOCKS.items():
        for number in sorted({name.removeprefix(theirs).split(".")[0] for name in rest if name.startswith(theirs)}):
            for kind in ("weight", "bias"):
                for a, b in _IN_BLOCK.items():
                    if (name := f"{theirs}{number}.{b}.{kind}") in rest:
                        renamed[f"{ours}{number}.{a}.{kind}"] = rest.pop(name)
                parts = [f"{theirs}{number}.self_attn.{letter}_proj.{kind}" for letter in _QKV]
                if all(name in rest for name in parts):
                    renamed[f"{ours}{number}.attn.in_proj_{kind}"] = torch.cat([rest.pop(name) for name in parts])
    return renamed | rest


def to_transformers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename OpenAI's names of a vision transformer and its text tower; the opposite of `from_transformers`.

    Raises:
        ValueError: a tensor has no counterpart there.
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name in _OUTSIDE:
            renamed[_OUTSIDE[name]] = tensor
        elif name in _TRANSPOSED:
            renamed[_TRANSPOSED[name]] = tensor.T
        else:
            renamed |= _block_to_transformers(name, tensor)
    return renamed


def _block_to_transformers(name: str, tensor: Tensor) -> dict[str, Tensor]:
    for ours, theirs in _BLOCKS.items():
        if name.startswith(ours):
            number, _, inner = name.removeprefix(ours).partition(".")
            if inner.startswith("attn.in_proj_"):
                kind = inner.removeprefix("attn.in_proj_")
                names = [f"{theirs}{number}.self_attn.{letter}_proj.{kind}" for letter in _QKV]
                # clones, since safetensors refuses tensors that share memory
                return {theirs: part.clone() for theirs, part in zip(names, tensor.chunk(3), strict=True)}
            part, _, kind = inner.rpartition(".")
            if part in _IN_BLOCK:
                return {f"{theirs}{number}.{_IN_BLOCK[part]}.{kind}": tensor}
    raise ValueError(f"{name}: transformers' CLIPModel has no such tensor; export to open_clip's layout instead")


def from_custom_text(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off the `text.` that open_clip puts before a text tower of its `CustomTextCLIP`."""
    return {name.removeprefix("text."): tensor for name, tensor in tensors.items()}


def from_openai(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename OpenAI's names to those of `ImageTextModel`; the logit scale keeps its name."""
    renamed = {}
    for name, tensor in tensors.items():
        if name == "visual.proj":
            renamed["image.projection"] = tensor
        elif name == LOGIT_SCALE:
            renamed[name] = tensor
        else:
            renamed[f"image.{name}" if name.startswith("visual.") else f"text.{name}"] = tensor
    return renamed


def to_openai(model: ImageTextModel) -> dict[str, Tensor]:
    """Tensors of a model under OpenAI's names, with its logit scale: what open_clip loads.

    A text tower that isn't CLIP's keeps the prefix `text.`, which open_clip's `CustomTextCLIP` has.
    """
    renamed = {LOGIT_SCALE: torch.tensor(model.initial_logit_scale)}
    state = model.state_dict()
    prefix = "" if f"text.{_WORDS_OF_BERT}" in state else "text."
    for name, tensor in state.items():
        if name == "image.projection":
            renamed["visual.proj"] = tensor
        else:
            renamed[name.removeprefix("image.").removeprefix(prefix)] = tensor
    return renamed
