"""CLIP models built from open_clip's configuration keys or by the name of an architecture."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.hf_model import HFTextEncoder
from open_clip.model import CLIP, _build_vision_tower
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transformer import VisionTransformer
from torch import nn

from anatomy_clip.core.refusals import Refused
from anatomy_clip.models.image_text import ImageTextModel
from anatomy_clip.models.tokenizers import ClipTokenizer, Tokenizer, WordPieceTokenizer
from anatomy_clip.models.tower import Tower
from anatomy_clip.models.towers.bert import CLS_POOLER, MAX_POOLER, BertTower, MaxPooler, bert_config
from anatomy_clip.models.towers.image import ResNetTower, TimmTower, VisionTower
from anatomy_clip.models.towers.text import TextTower
from anatomy_clip.models.towers.words import WordConfig, WordTower
from anatomy_clip.models.weights.load import Weights, load_weights, read_weights, settings, settle
from anatomy_clip.models.weights.text_tower import load_text_tower, read_text_tower
from anatomy_clip.models.words import WordTokenizer

_LOGIT_SCALE = math.log(1 / 0.07)  # CLIP's start
# What `TextTower` computes; open_clip has more kinds of text towers.
_TEXT_TOWER = {
    "text.pool_type": "argmax", "text.no_causal_mask": False, "text.embed_cls": False,
    "text.proj_type": "linear", "text.proj_bias": False, "text.tokenizer_mode": None, "text.tokenizer_kwargs": None,
}  # fmt: skip


def from_config(
    embed_dim: int,
    vision: Mapping[str, Any],
    text: Mapping[str, Any],
    *,
    quick_gelu: bool | None = None,
    normalisation: str | None = None,
    weights: str | None = None,
    text_weights: str | None = None,
    text_tower: bool = True,
    joint: bool = True,
    vocabulary: Sequence[str] | None = None,
) -> ImageTextModel:
    """Build a CLIP model from open_clip's configuration keys.

    What is left open is taken from the weights; what is stated must agree with them.

    Args:
        embed_dim: D, width of the shared space.
        vision: keys of open_clip's `CLIPVisionCfg`.
        text: keys of open_clip's `CLIPTextCfg`; with `hf_model_name` the tower is a BERT (see `bert.bert_config`), and
            its tokenizer comes with its weights; with `words: true` it is a small one of whole words (`WordConfig`).
        quick_gelu: use OpenAI's approximate GELU, as PubMedCLIP does; None: as the weights say, without weights no.
        normalisation: a key of `NORMALISATIONS`; None: as the weights say, without weights CLIP's.
        weights: file, folder or hub reference to start from (see `weights.read.locate`); None for random weights.
        text_weights: folder of a BERT that the text tower starts from (see `read_text_tower`); unused with `weights`.
        text_tower: build the text tower.
        joint: build the projections into the joint space.
        vocabulary: words of a text tower of whole words; None: those of the weights.

    Raises:
        ValueError: a key isn't open_clip's, the text tower isn't of CLIP's kind, or the weights are missing, can't
            tell what is left open, or don't fit.
    """
    found = None if weights is None else read_weights(weights)
    bert = read_text_tower(text_weights) if text_weights and not found else None
    architecture = {
        "embed_dim": embed_dim,
        "quick_gelu": settle("quick_gelu", quick_gelu, found, False),
        "vision_cfg": dict(vision),
        "text_cfg": dict(text),
    }
    flat = settings(architecture)
    kinds: dict[str, _Build] = {"text.words": partial(_with_words, vocabulary), "text.hf_model_name": _with_bert}
    build: _Build = next((with_kind for key, with_kind in kinds.items() if flat.get(key)), _with_clips_text)
    visual, texts, tokenizer = build(architecture, found or bert, text_tower, joint)
    tower = next(tower for kind, tower in _TOWERS.items() if isinstance(visual, kind))
    model = ImageTextModel(
        tower(visual, joint),
        texts,
        image_size=int(vision["image_size"]),
        context_length=flat["text.context_length"],
        embedding_width=embed_dim if joint else None,
        initial_logit_scale=float(torch.tensor(_LOGIT_SCALE)),
        architecture=architecture,
        normalisation=settle("normalisation", normalisation, found, "clip"),
        tokenizer=tokenizer,
    ).to(torch.float32)
    if found is not None:
        load_weights(model, found)
    elif bert is not None and text_tower:
        load_text_tower(model, bert)
    return model


# open_clip's image network, our text tower, its tokenizer
_Networks = tuple[nn.Module, Tower | None, Tokenizer | None]
_Build = Callable[[Mapping[str, Any], Weights | None, bool, bool], _Networks]
_TOWERS: dict[type[nn.Module], Any] = {
    VisionTransformer: VisionTower, TimmModel: TimmTower, ModifiedResNet: ResNetTower,
}  # fmt: skip


def _with_clips_text(
    architecture: Mapping[str, Any], found: Weights | None, text_tower: bool, joint: bool
) -> _Networks:
    flat = settings(architecture)
    other = [f"{key}={flat[key]}" for key, value in _TEXT_TOWER.items() if flat[key] != value]
    if other:
        raise ValueError(f"only CLIP's causal text transformer can be built, not one with {', '.join(other)}")
    vision, text = (dict(architecture[key]) for key in ("vision_cfg", "text_cfg"))
    clip = CLIP(architecture["embed_dim"], vision, text, quick_gelu=architecture["quick_gelu"])
    return clip.visual, TextTower(clip, joint) if text_tower else None, ClipTokenizer()


def _with_bert(architecture: Mapping[str, Any], found: Weights | None, text_tower: bool, joint: bool) -> _Networks:
    width, vision, text = (architecture[key] for key in ("embed_dim", "vision_cfg", "text_cfg"))
    tokenizer = None if found is None else found.tokenizer
    visual = _build_vision_tower(width, dict(vision), architecture["quick_gelu"])
    if not text_tower:
        return visual, None, tokenizer
    if not isinstance(tokenizer, WordPieceTokenizer):
        raise ValueError(
            f"text: {text['hf_model_name']} has its own tokenizer, which is stored with the weights"
            f"{f', but {found.file} has none' if found else ''}; set model.weights to a folder or file that has it, or "
            "model.text_weights to the folder of a BERT"
        )
    flat = settings(architecture)
    encoder = HFTextEncoder(
        text["hf_model_name"],
        width,
        config=bert_config(text, tokenizer.pad),
        pooler_type=flat["text.hf_pooler_type"],
        proj_type=flat["text.hf_proj_type"],
    )
    if flat["text.hf_pooler_type"] != CLS_POOLER:
        encoder.transformer.pooler = None  # a layer that nothing would read, and that files don't have
    if flat["text.hf_pooler_type"] == MAX_POOLER:
        encoder.pooler = MaxPooler()
    return visual, BertTower(encoder, flat["text.context_length"], joint), tokenizer


def _with_words(
    vocabulary: Sequence[str] | None,
    architecture: Mapping[str, Any],
    found: Weights | None,
    text_tower: bool,
    joint: bool,
) -> _Networks:
    config, width = WordConfig.of(architecture["text_cfg"]), architecture["embed_dim"]
    tokenizer: Tokenizer | None = found.tokenizer if found else None
    if tokenizer is None and vocabulary is not None:
        tokenizer = WordTokenizer(vocabulary)
    # first, so that a seed gives the image tower the same random weights with and without a text tower
    visual = _build_vision_tower(width, dict(architecture["vision_cfg"]), architecture["quick_gelu"])
    texts = None
    if text_tower:
        if tokenizer is None:
            raise Refused(
                "model.text.words: there is no vocabulary",
                "train on a store of films with reports, which has a vocabulary, or start from weights with one",
            )
        texts = WordTower(config, tokenizer.size, width if joint else None)
    return visual, texts, tokenizer


def from_name(
    architecture: str,
    *,
    quick_gelu: bool | None = None,
    normalisation: str | None = None,
    weights: str | None = None,
    text_tower: bool = True,
    joint: bool = True,
) -> ImageTextModel:
    """Build a CLIP model by the name of an open_clip architecture, such as `ViT-B-32-quickgelu`.

    Args:
        architecture: one of `open_clip.list_models()`.
        quick_gelu: see `from_config`; a name with the ending -quickgelu states it already.
        normalisation: see `from_config`.
        weights: see `from_config`.
        text_tower: see `from_config`.
        joint: see `from_config`.

    Raises:
        ValueError: the architecture is unknown, or the weights are missing, can't tell what is left open, or don't fit.
    """
    config = open_clip.get_model_config(architecture)
    if config is None:
        raise ValueError(f"architecture {architecture!r} is unknown to open_clip {open_clip.__version__}")
    named = config.get("quick_gelu", quick_gelu)
    if quick_gelu is not None and quick_gelu != named:
        raise ValueError(f"architecture {architecture!r} has quick_gelu {named}, but quick_gelu={quick_gelu} is set")
    return from_config(
        config["embed_dim"],
        config["vision_cfg"],
        config["text_cfg"],
        quick_gelu=named,
        normalisation=normalisation,
        weights=weights,
        text_tower=text_tower,
        joint=joint,
    )


def write_tokenizer(folder: Path, context_length: int) -> None:
    """Write CLIP's tokenizer, which open_clip carries, as the files that `transformers.CLIPTokenizer` reads."""
    clip = SimpleTokenizer()
    start, end = "<|startoftext|>", "<|endoftext|>"
    renamed = {clip.sot_token_id: start, clip.eot_token_id: end}
    vocabulary = {renamed.get(number, token): number for token, number in clip.encoder.items()}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    merges = "\n".join(" ".join(pair) for pair in clip.bpe_ranks)
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", encoding="utf-8")
    config = {
        "tokenizer_class": "CLIPTokenizer", "model_max_length": context_length, "do_lower_case": True,
        "bos_token": start, "eos_token": end, "unk_token": end, "pad_token": end,
    }  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
